/**
 * The child process of `stores.ts` that plays the store: takes what is put, tells its MD5 as stores do, and keeps
 * lengths and digests alone. Signatures are not looked at: what they cost is the client's to bear, not the store's.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * From the parent: whether to answer 503 to everything, after how many bytes to break a connection each time (0 for
 * never), or to tell what was put so far.
 */
export type SinkRequest = { away: boolean } | { breakEveryBytes: number } | { tell: true };
/** Playlists are counted apart as well. */
type SinkReply = { port: number } | Counts;
export type Counts = { receivedBytes: number; breaks: number; playlistBytes: number; playlists: number };

type Kept = { bytes: number; md5: string };

const objects = new Map<string, Kept>();
const uploads = new Map<string, Map<number, Kept>>();
let away = false;
let breakEveryBytes = 0;
let sinceBreak = 0;
const counts: Counts = { receivedBytes: 0, breaks: 0, playlistBytes: 0, playlists: 0 };

async function take(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname: key, searchParams: query } = new URL(request.url ?? '/', 'http://sink');
  const hash = createHash('md5');
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
    counts.receivedBytes += chunk.length;
    sinceBreak += chunk.length;
    if (breakEveryBytes > 0 && sinceBreak >= breakEveryBytes) {
      sinceBreak = 0;
      counts.breaks++;
      request.destroy();
      return;
    }
  }
  const md5 = hash.digest('hex');
  if (away) {
    response.writeHead(503).end('<Error><Code>SlowDown</Code><Message>away</Message></Error>');
    return;
  }
  const id = query.get('uploadId') ?? '';
  if (request.method === 'PUT') {
    if (key.endsWith('.m3u8')) {
      counts.playlistBytes += bytes;
      counts.playlists++;
    }
    if (id) uploads.get(id)?.set(Number(query.get('partNumber')), { bytes, md5 });
    else objects.set(key, { bytes, md5: `"${md5}"` });
    response.setHeader('ETag', `"${md5}"`).end();
  } else if (request.method === 'POST' && query.has('uploads')) {
    const begun = `u${uploads.size + 1}`;
    uploads.set(begun, new Map());
    response.end(`<InitiateMultipartUploadResult><UploadId>${begun}</UploadId></InitiateMultipartUploadResult>`);
  } else if (request.method === 'POST') {
    const whole = wholeOf([...(uploads.get(id) ?? [])].sort(([a], [b]) => a - b).map(([, part]) => part));
    objects.set(key, whole);
    response.end(`<CompleteMultipartUploadResult><ETag>${whole.md5}</ETag></CompleteMultipartUploadResult>`);
  } else {
    const object = objects.get(key);
    if (object) response.setHeader('ETag', object.md5).setHeader('Content-Length', object.bytes).end();
    else response.writeHead(404).end();
  }
}

function wholeOf(parts: readonly Kept[]): Kept {
  const hash = createHash('md5');
  for (const { md5 } of parts) hash.update(md5, 'hex');
  return { bytes: parts.reduce((sum, part) => sum + part.bytes, 0), md5: `"${hash.digest('hex')}-${parts.length}"` };
}

const server = createServer((request, response) => {
  // A client that breaks off needs no answer.
  take(request, response).catch(() => response.destroy());
}).listen(0, '127.0.0.1', () => process.send?.({ port: (server.address() as AddressInfo).port } satisfies SinkReply));
process.on('message', (message: SinkRequest) => {
  if ('away' in message) away = message.away;
  else if ('breakEveryBytes' in message) breakEveryBytes = message.breakEveryBytes;
  else process.send?.(counts satisfies SinkReply);
});
process.on('disconnect', () => process.exit(0));
