import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { endpointUrl, faultOf, openS3, taggingOf } from './s3.ts';

const storage: StorageConfig = {
  vendor: 1,
  region: 7,
  bucket: 'b',
  accessKey: 'AK-not-for-logs',
  secretKey: 'SK-not-for-logs',
  fileNamePrefix: [],
};

test('an endpoint is https unless it says otherwise', () => {
  expect(endpointUrl('s3.example.com')).toBe('https://s3.example.com');
  expect(endpointUrl('s3.example.com:9000/')).toBe('https://s3.example.com:9000');
  expect(endpointUrl('http://10.0.0.5:9000')).toBe('http://10.0.0.5:9000');
});

test('a tag is a pair, or a word under the name tag', () => {
  expect(taggingOf('project=a b&team=c')).toBe('project=a%20b&team=c');
  expect(taggingOf('a/b c')).toBe('tag=a%2Fb%20c');
});

test('a bucket is described by its place and no secret', () => {
  expect(openS3(storage).description).toBe('bucket b at Amazon S3, eu-central-1');
  expect(() => openS3({ ...storage, region: 99 })).toThrow(/region 99/);
});

describe('an answer of the store', () => {
  const answer = (name: string, status?: number) =>
    Object.assign(new Error('text'), { name, $metadata: status === undefined ? {} : { httpStatusCode: status } });

  test.each([
    ['AccessDenied', 403, false, /check accessKey/],
    ['InvalidAccessKeyId', 403, false, /check accessKey/],
    ['SignatureDoesNotMatch', 403, false, /check accessKey/],
    ['NoSuchBucket', 404, false, /create the bucket/],
    ['PermanentRedirect', 301, false, /another region/],
    ['ExpiredToken', 400, false, /stsToken/],
    ['InternalError', 500, true, /HTTP 500\)$/],
    ['SlowDown', 503, true, /HTTP 503\)$/],
    ['TooManyRequests', 429, true, /HTTP 429\)$/],
    ['RequestTimeout', 400, true, /HTTP 400\)$/],
    ['TimeoutError', undefined, true, /\(TimeoutError\)$/],
  ])('%s (%s) is tried again: %s', (name, status, retryable, message) => {
    const fault = faultOf(answer(name, status), 'bucket b');
    expect(fault).toMatchObject({ code: 'store-failed', blame: 'destination', retryable });
    expect(fault.message).toMatch(message);
  });
});

describe('what goes over the wire', () => {
  /** A server that takes whatever is put and notes each request; `size` is what it says of every object, `deny` refuses HEAD. */
  async function scripted(answers: { size?: number; denyHead?: boolean } = {}) {
    const requests: IncomingMessage[] = [];
    const sizes = new Map<string, number>();
    const http = createServer((request, response) => {
      requests.push(request);
      const url = new URL(request.url ?? '', 'http://x');
      let bytes = 0;
      request.on('data', (chunk: Buffer) => (bytes += chunk.length));
      request.on('end', () => {
        const { method } = request;
        response.setHeader('ETag', '"e"');
        if (method === 'PUT') sizes.set(url.pathname, (sizes.get(url.pathname) ?? 0) + bytes);
        if (method === 'HEAD' && answers.denyHead) response.statusCode = 403;
        else if (method === 'HEAD') response.setHeader('Content-Length', answers.size ?? sizes.get(url.pathname) ?? 0);
        const upload = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>';
        const complete = '<CompleteMultipartUploadResult><ETag>"e-3"</ETag></CompleteMultipartUploadResult>';
        response.end(method === 'POST' ? (url.searchParams.has('uploads') ? upload : complete) : undefined);
      });
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      http.closeAllConnections();
      http.close();
    });
    const address = http.address();
    const port = address && typeof address === 'object' ? address.port : 0;
    const compatible: StorageConfig = {
      ...storage,
      vendor: 11,
      extensionParams: { endpoint: `http://127.0.0.1:${port}` },
    };
    return { requests, compatible };
  }
  const lines = (requests: IncomingMessage[]) => requests.map((r) => `${r.method} ${r.url}`);
  const bytes = { data: Buffer.from('text') };

  test('is one request for a small file, and a question about it', async () => {
    const { requests, compatible } = await scripted();
    expect(await openS3(compatible).put('a/x.ts', bytes, 'video/mp2t')).toEqual({
      key: 'a/x.ts',
      bytes: 4,
      etag: '"e"',
    });
    expect(lines(requests)).toEqual(['PUT /b/a/x.ts?x-id=PutObject', 'HEAD /b/a/x.ts']);
    const { headers } = requests[0]!;
    expect(headers['content-type']).toBe('video/mp2t');
    expect(headers['content-length']).toBe('4');
    // Stores that do not know these answer 400 or 501.
    expect(Object.keys(headers).filter((name) => /checksum|trailer|tagging|encryption|token/.test(name))).toEqual([]);
  });

  test('is three parts for 21 MB', async () => {
    const { requests, compatible } = await scripted();
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-parts-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    writeFileSync(join(dir, 'x.mp4'), Buffer.alloc(21_000_000));
    const put = await openS3(compatible).put('x.mp4', { path: join(dir, 'x.mp4'), bytes: 21_000_000 }, 'video/mp4');
    expect(put).toEqual({ key: 'x.mp4', bytes: 21_000_000, etag: '"e-3"' });
    expect(lines(requests).filter((line) => line.includes('partNumber='))).toHaveLength(3);
    expect(requests[0]?.headers['content-type']).toBe('video/mp4');
  });

  test('carries tag, encryption and session token when they are given', async () => {
    const { requests, compatible } = await scripted();
    const { extensionParams } = compatible;
    const full = {
      ...compatible,
      stsToken: 'sts',
      extensionParams: { ...extensionParams, tag: 'k=v w', sse: 'kms' as const },
    };
    await openS3(full).put('x', bytes, 'text/plain');
    const aes = { ...compatible, extensionParams: { ...extensionParams, sse: 'aes256' as const } };
    await openS3(aes).put('y', bytes, 'text/plain');
    const puts = requests.filter((r) => r.method === 'PUT').map((r) => r.headers);
    expect(puts[0]).toMatchObject({
      'x-amz-tagging': 'k=v%20w',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-security-token': 'sts',
    });
    expect(puts[1]).toMatchObject({ 'x-amz-server-side-encryption': 'AES256' });
  });

  test('fails a put of which the store has less, and trusts one that it may not ask about', async () => {
    const short = await scripted({ size: 3 });
    await expect(openS3(short.compatible).put('x', bytes, 'text')).rejects.toMatchObject({
      code: 'stored-size-wrong',
      retryable: true,
    });
    const closed = await scripted({ denyHead: true });
    expect(await openS3(closed.compatible).put('x', bytes, 'text')).toMatchObject({ bytes: 4 });
  });
});
