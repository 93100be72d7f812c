/**
 * The thread of `digests.ts`.
 */
import { createHash, type Hash, hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { type Digests, digestsOf, type PartDigests } from './digests-of.ts';

/** These bytes, in a thread's shared memory. */
type Bytes = { memory: SharedArrayBuffer; offset: number; length: number };
/** The running SHA-256 of file `id` goes on with these bytes, of which the first is its byte `at`. */
type FilePart = Bytes & { file: { id: number; at: number }; signed: boolean };
/** What the running SHA-256 of a file has come to; it is forgotten. */
type FileEnd = { end: number };
/** A file is read whole. */
type WholeFile = { path: string };
export type DigestTask = { id: number; task: Bytes | FilePart | FileEnd | WholeFile };
/** `bytes` is how many the SHA-256 is of. */
export type FileSha256 = { bytes: number; sha256: string };
export type DigestAnswer = { id: number; answer: Digests | PartDigests | FileSha256 } | { id: number; error: string };

const READ_BYTES = 1024 * 1024;

const running = new Map<number, { hash: Hash; bytes: number }>();

async function answer(task: DigestTask['task']) {
  if ('path' in task) return readWhole(task.path);
  if ('end' in task) return end(task.end);
  const data = Buffer.from(task.memory, task.offset, task.length);
  if (!('file' in task)) return digestsOf(data);
  goOn(task.file, data);
  return task.signed ? digestsOf(data) : { md5: hash('md5', data) };
}

function goOn({ id, at }: FilePart['file'], data: Buffer): void {
  const state = running.get(id) ?? { hash: createHash('sha256'), bytes: 0 };
  // After a gap, or a part that came out of turn, no digest of the whole can come of it.
  if (state.bytes !== at) return;
  running.set(id, state);
  state.hash.update(data);
  state.bytes += data.length;
}

function end(id: number): FileSha256 {
  const { bytes, hash } = running.get(id) ?? { bytes: 0, hash: createHash('sha256') };
  running.delete(id);
  return { bytes, sha256: hash.digest('hex') };
}

async function readWhole(path: string): Promise<FileSha256> {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of createReadStream(path, { highWaterMark: READ_BYTES }) as AsyncIterable<Buffer>) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

parentPort?.on('message', ({ id, task }: DigestTask) => {
  answer(task).then(
    (answer) => parentPort?.postMessage({ id, answer } satisfies DigestAnswer),
    (error: unknown) => parentPort?.postMessage({ id, error: String(error) } satisfies DigestAnswer),
  );
});
