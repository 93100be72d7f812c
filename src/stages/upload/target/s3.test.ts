import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { refuse, S3Stub, type StubDialect } from '../../../../test/support/s3-stub.ts';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { Fault } from '../../../kernel/fault.ts';
import { openS3 } from './s3.ts';
import type { Target } from './target.ts';

const MIB = 1024 * 1024;
/** Parts as small as S3 allows none: the stub does, and the tests stay quick. */
const PART = 64 * 1024;
const text = { data: Buffer.from('text') };

/** A clock whose pauses take no time. */
const hasty: Clock = { ...systemClock, after: (_delayMs, run) => systemClock.after(0, run) };

async function open(
  dialect: StubDialect = {},
  { storage = {}, partBytes = PART }: { storage?: Partial<StorageConfig>; partBytes?: number } = {},
) {
  const stub = await S3Stub.start(dialect);
  const warnings: string[] = [];
  const options = { clock: hasty, partBytes, warn: (warning: string) => void warnings.push(warning) };
  const target: Target = openS3(stub.storage(storage), options);
  onTestFinished(async () => {
    target.close();
    await stub.close();
  });
  return { stub, target, warnings };
}

function spooled(bytes: number) {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-s3-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const data = randomBytes(bytes);
  const path = join(dir, 'x.mp4');
  writeFileSync(path, data);
  return { data, source: { path, bytes } };
}
const md5Of = (data: Buffer) => createHash('md5').update(data).digest('hex');

describe('a small file', () => {
  test('is one signed request with its digest, and a question about it', async () => {
    const { stub, target } = await open();
    const { data, source } = spooled(5000);
    expect(await target.put('a/x y.ts', source, 'video/mp2t')).toEqual({
      key: 'a/x y.ts',
      bytes: 5000,
      etag: md5Of(data),
      md5: md5Of(data),
      sha256: createHash('sha256').update(data).digest('hex'),
      evidence: 'digest',
    });
    expect(stub.actions()).toEqual(['PutObject a/x y.ts', 'HeadObject a/x y.ts']);
    expect(stub.read('a/x y.ts').equals(data)).toBe(true);
    const { headers } = stub.requests[0]!;
    expect(headers['content-type']).toBe('video/mp2t');
    expect(headers['content-md5']).toBe(createHash('md5').update(data).digest('base64'));
    // Stores that do not know these answer 400 or 501, or make the request wait for an answer that never comes.
    const unwanted = /checksum|trailer|tagging|encryption|token|expect/;
    expect(Object.keys(headers).filter((name) => unwanted.test(name))).toEqual([]);
  });

  test('of 2 MiB and more does not wait for a server to say 100', async () => {
    const { stub, target } = await open({}, { partBytes: 8 * MIB });
    await target.put('x', spooled(3 * MIB).source, 'video/mp4');
    expect(stub.requests[0]?.headers.expect).toBeUndefined();
  });

  test.each([503, 429])('is not asked for again before the store (%s) says that it may be', async (status) => {
    const { stub, target } = await open();
    stub.interfere = (_request, response) => {
      response.setHeader('Retry-After', '20');
      refuse(response, status, 'SlowDown', 'later');
      return true;
    };
    await expect(target.put('x', text, 'text')).rejects.toMatchObject({ retryable: true, retryAfterMs: 20_000 });
    expect(stub.requests).toHaveLength(1);
  });

  test('goes into a bucket that keeps objects locked', async () => {
    const { target } = await open({ objectLock: true });
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(await target.put('y', spooled(3 * PART).source, 'video/mp4')).toMatchObject({ evidence: 'digest' });
  });

  test('carries tag, encryption and session token when they are given', async () => {
    const extensionParams = { tag: 'k=v w', sse: 'kms' as const };
    const { stub, target } = await open({ sessionToken: 'sts' }, { storage: { stsToken: 'sts', extensionParams } });
    await target.put('x', text, 'text/plain');
    expect(stub.requests[0]?.headers).toMatchObject({
      'x-amz-tagging': 'k=v%20w',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-security-token': 'sts',
    });
  });

  test('goes to the region that the store names, whatever was configured', async () => {
    const { stub, target, warnings } = await open({ region: 'eu-fra' });
    await target.put('x', text, 'text/plain');
    await target.put('y', text, 'text/plain');
    expect(stub.actions()).toEqual(['PutObject x', 'PutObject x', 'HeadObject x', 'PutObject y', 'HeadObject y']);
    expect(warnings).toEqual([expect.stringMatching(/bucket is in region eu-fra/)]);
  });

  test('follows the store to another address, and signs for that', async () => {
    const { stub, target } = await open();
    const other = await S3Stub.start();
    onTestFinished(() => other.close());
    stub.interfere = (request, response) => {
      response.writeHead(307, { location: `${other.url}/bucket/${request.key}` }).end();
      return true;
    };
    await target.put('x', text, 'text/plain');
    expect(other.read('x')).toEqual(text.data);
  });
});

describe('what a store says it has', () => {
  test('is asked for until it shows it', async () => {
    const { stub, target } = await open();
    let late = 3;
    stub.interfere = ({ action }, response) => {
      if (action !== 'HeadObject' || late-- <= 0) return false;
      response.writeHead(404).end();
      return true;
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(stub.actions()).toEqual(['PutObject x', ...Array(4).fill('HeadObject x')]);
  });

  test.each([403, 405, 501])('may be kept to itself (HEAD %s) when the ETag is the digest', async (status) => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action === 'HeadObject') response.writeHead(status).end();
      return action === 'HeadObject';
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(await target.put('y', spooled(3 * PART).source, 'video/mp4')).toMatchObject({ evidence: 'digest' });
  });

  test('is its length when the ETag is no digest', async () => {
    const { target } = await open({ etag: () => '"0"' });
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'size', etag: '0' });
  });

  test.each([
    ['refuses', 405],
    ['leaves out', 200],
  ])('is only its word when the ETag is no digest and it %s the length', async (_what, status) => {
    const { stub, target } = await open({ etag: () => '"0"' });
    stub.interfere = ({ action }, response) => {
      if (action === 'HeadObject') response.writeHead(status, { 'transfer-encoding': 'chunked' }).end();
      return action === 'HeadObject';
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'accepted' });
  });

  test('is nothing when it answers a put with a page of HTML', async () => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action === 'PutObject') response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
      else response.writeHead(403).end();
      return true;
    };
    await expect(target.put('x', text, 'text/plain')).rejects.toMatchObject({
      code: 'store-answer-empty',
      retryable: true,
    });
  });

  test('is nothing when it answers with a page of HTML that parts are to be put together', async () => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action === 'Complete') response.writeHead(200, { 'content-type': 'text/html' }).end('<html></html>');
      else if (action === 'HeadObject') response.writeHead(403).end();
      return action === 'Complete' || action === 'HeadObject';
    };
    await expect(target.put('x.mp4', spooled(3 * PART).source, 'video/mp4')).rejects.toMatchObject({
      code: 'store-answer-empty',
      retryable: true,
    });
  });

  test('is nothing when its 200 to putting parts together holds an error', async () => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action === 'Complete') response.end('  <Error><Code>InternalError</Code><Message>later</Message></Error>');
      return action === 'Complete';
    };
    await expect(target.put('x.mp4', spooled(3 * PART).source, 'video/mp4')).rejects.toMatchObject({
      retryable: true,
      message: expect.stringContaining('InternalError'),
    });
  });

  test('may be nothing, or less, or other bytes', async () => {
    const { stub, target } = await open();
    stub.interfere = ({ key }) => {
      if (key === 'gone') stub.objects.delete('gone');
      return false;
    };
    await expect(target.put('gone', text, 'text/plain')).rejects.toMatchObject({ code: 'stored-then-absent' });
    stub.interfere = ({ action, key }) => {
      const object = stub.objects.get(key);
      if (action === 'HeadObject' && object) object.data = object.data.subarray(1);
      return false;
    };
    await expect(target.put('less', text, 'text/plain')).rejects.toMatchObject({ code: 'stored-size-wrong' });
    stub.interfere = undefined;
    stub.dialect = { etag: () => `"${md5Of(Buffer.from('other'))}"` };
    await expect(target.put('other', text, 'text/plain')).rejects.toMatchObject({
      code: 'stored-bytes-differ',
      retryable: true,
    });
    await expect(target.put('parts', spooled(3 * PART).source, 'video/mp4')).rejects.toMatchObject({
      code: 'stored-bytes-differ',
    });
  });

  test('under keys of KMS has an ETag that looks like a digest and is none', async () => {
    const { stub, target } = await open({ etag: () => `"${'0'.repeat(32)}"` });
    stub.interfere = (_request, response) => {
      response.setHeader('x-amz-server-side-encryption', 'aws:kms');
      return false;
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'size' });
  });
});

describe('a large file', () => {
  test('goes in parts, and comes together again', async () => {
    const { stub, target } = await open({ emptyCompleteEtag: true });
    const { data, source } = spooled(5 * PART + 7);
    const told: (PartsSoFar | undefined)[] = [];
    const receipt = await target.put('x.mp4', source, 'video/mp4', { onParts: (parts) => told.push(parts) });
    const sha256 = createHash('sha256').update(data).digest('hex');
    expect(receipt).toEqual({ key: 'x.mp4', bytes: data.length, etag: undefined, sha256, evidence: 'digest' });
    expect(stub.read('x.mp4').equals(data)).toBe(true);
    expect(told.map((parts) => parts?.parts.length)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(stub.requests[0]?.headers['content-type']).toBe('video/mp4');
  });

  test('is digested as its parts are read, and not read again for that', async () => {
    const { stub, target } = await open();
    const { data, source } = spooled(7 * PART + 7);
    stub.interfere = ({ action }) => {
      if (action === 'Complete') rmSync(source.path);
      return false;
    };
    const { sha256 } = await target.put('x.mp4', source, 'video/mp4');
    expect(sha256).toBe(createHash('sha256').update(data).digest('hex'));
  });

  test('is signed by the MD5 of its parts, or by their SHA-256 where the bucket insists on it', async () => {
    const { stub, target } = await open();
    const { data, source } = spooled(4 * PART);
    const signedSha256 = () =>
      stub.requests
        .filter(({ action }) => action === 'Part')
        .map(({ headers }) => {
          expect(headers.authorization).toMatch(/SignedHeaders=[^,]*content-md5/);
          return headers['x-amz-content-sha256'] !== 'UNSIGNED-PAYLOAD';
        });
    await target.put('x.mp4', source, 'video/mp4');
    expect(signedSha256()).toEqual([false, false, false, false]);
    stub.requests.length = 0;
    stub.dialect = { signedBodies: true };
    const { sha256 } = await target.put('y.mp4', source, 'video/mp4');
    expect(stub.read('y.mp4').equals(data)).toBe(true);
    expect(sha256).toBe(createHash('sha256').update(data).digest('hex'));
    // Two parts are on their way when the store first says so.
    expect(signedSha256().filter((signed) => !signed)).toHaveLength(2);
    expect(signedSha256().filter((signed) => signed)).toHaveLength(4);
  });

  test.each([403, 404, 500])('whose part is refused (%s) is the store’s fault, not the spool’s', async (status) => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action === 'Part') refuse(response, status, 'Refused', 'no');
      return action === 'Part';
    };
    await expect(target.put('x.mp4', spooled(5 * PART).source, 'video/mp4')).rejects.toMatchObject({
      code: 'store-failed',
      blame: 'destination',
    });
  });

  test('that a cut link interrupts goes on at the last part that the store confirmed', async () => {
    const { stub, target } = await open();
    const { data, source } = spooled(10 * PART);
    let sofar: PartsSoFar | undefined;
    let bytes = 0;
    stub.onData = (request, more) => {
      bytes += more;
      if (bytes > 3 * PART) request.destroy();
    };
    let cuts = 0;
    for (;;) {
      const put = target.put('x.mp4', source, 'video/mp4', {
        resume: sofar,
        onParts: (parts) => {
          sofar = parts;
        },
      });
      const outcome = await put.catch((error: unknown) => error);
      if (!(outcome instanceof Fault)) {
        expect(outcome).toMatchObject({ sha256: createHash('sha256').update(data).digest('hex') });
        break;
      }
      expect(outcome).toMatchObject({ code: 'store-failed', retryable: true });
      expect(++cuts).toBeLessThan(20);
      bytes = 0;
    }
    expect(cuts).toBeGreaterThan(0);
    expect(stub.read('x.mp4').equals(data)).toBe(true);
    const sent = stub.requests.filter(({ action }) => action === 'Part').map(({ query }) => query.get('partNumber'));
    expect(new Set(sent).size).toBe(10);
    expect(sent.length).toBe(10);
    expect(stub.actions().filter((action) => action.startsWith('Create'))).toHaveLength(1);
  });

  test('leaves no parts behind where nobody knows of them to go on', async () => {
    const { stub, target } = await open();
    const { source } = spooled(4 * PART);
    stub.interfere = ({ action, query }, response) => {
      const isLast = action === 'Part' && query.get('partNumber') === '4';
      if (isLast) refuse(response, 500, 'InternalError', 'no');
      return isLast;
    };
    await expect(target.put('known.mp4', source, 'video/mp4', { onParts: () => {} })).rejects.toThrow('no');
    await expect(target.put('unknown.mp4', source, 'video/mp4')).rejects.toThrow('no');
    const aborted = new AbortController();
    stub.interfere = ({ action }) => {
      if (action === 'Part') aborted.abort(new Error('took too long'));
      return action === 'Part';
    };
    const { signal } = aborted;
    await expect(target.put('late.mp4', source, 'video/mp4', { signal })).rejects.toThrow('took too long');
    expect(stub.unfinished).toEqual(['known.mp4']);
  });

  test('of which parts were begun twice is told, as one of the two is unnoted', async () => {
    const { stub, target } = await open();
    stub.interfere = ({ action }, response) => {
      if (action !== 'Create') return false;
      stub.interfere = undefined;
      response.end = () => response.destroy();
      return false;
    };
    const { source } = spooled(3 * PART);
    expect(await target.put('x.mp4', source, 'video/mp4')).toMatchObject({ unnoted: true });
    expect(stub.unfinished).toEqual(['x.mp4']);
    expect(await target.put('x.mp4', source, 'video/mp4')).not.toHaveProperty('unnoted');
  });

  test('has all that was begun under its key taken back, and nothing else, page by page', async () => {
    const { stub, target } = await open({ uploadsAtOnce: 2 });
    for (const key of ['a & <b>.mp4', 'a & <b>.mp4', 'a & <b>.mp4.ts', 'a & <b>.mp4', 'z', 'a', 'a & <b>.mp4', 'a/x'])
      stub.beginUpload(key);
    await target.sweep('a & <b>.mp4', PART + 1);
    expect(stub.unfinished.sort()).toEqual(['a', 'a & <b>.mp4.ts', 'a/x', 'z']);
    // Five begin with the key, one of them with another behind it.
    expect(stub.actions().filter((action) => action.startsWith('ListUploads'))).toHaveLength(3);
  });

  test('is not asked for where it would not go in parts, or the vendor does not tell of them', async () => {
    const { stub, target } = await open();
    await target.sweep('x.ts', PART);
    const oss = openS3({ ...stub.storage(), vendor: 2 }, { endpoint: stub.url, partBytes: PART });
    onTestFinished(() => oss.close());
    await oss.sweep('x.mp4', PART + 1);
    expect(stub.requests).toEqual([]);
  });

  test('that the store does not tell what was begun, or goes on telling the same, is a fault or the end', async () => {
    const { stub, target } = await open();
    stub.interfere = (_request, response) => {
      refuse(response, 403, 'AccessDenied', 'no');
      return true;
    };
    await expect(target.sweep('x.mp4', PART + 1)).rejects.toMatchObject({ code: 'store-failed', retryable: false });
    const page = `<IsTruncated>true</IsTruncated><NextKeyMarker>x.mp4</NextKeyMarker>
      <NextUploadIdMarker>u1</NextUploadIdMarker><Upload><Key>x.mp4</Key><UploadId>u1</UploadId></Upload>`;
    stub.interfere = ({ action }, response) => {
      response.end(action === 'ListUploads' ? page : '');
      return true;
    };
    stub.requests.length = 0;
    await target.sweep('x.mp4', PART + 1);
    const asked = stub.requests.filter(({ action }) => action === 'ListUploads').length;
    expect([asked, stub.requests.length]).toEqual([20, 21]);
  });

  test('whose upload the store has forgotten is begun anew', async () => {
    const { stub, target } = await open();
    const { source } = spooled(4 * PART);
    const told: (PartsSoFar | undefined)[] = [];
    const forgotten: PartsSoFar = { uploadId: 'u99', partBytes: PART, parts: [] };
    const onParts = (parts: PartsSoFar | undefined) => void told.push(parts);
    await expect(target.put('x.mp4', source, 'video/mp4', { resume: forgotten, onParts })).rejects.toMatchObject({
      retryable: true,
    });
    expect(told.at(-1)).toBeUndefined();
    expect(stub.objects.size).toBe(0);
    await target.put('x.mp4', source, 'video/mp4');
    expect(stub.objects.size).toBe(1);
  });

  test('is not sent again when the answer that it is complete is lost', async () => {
    const { stub, target } = await open();
    const { data, source } = spooled(4 * PART);
    stub.interfere = ({ action }, response) => {
      if (action === 'Complete') {
        stub.interfere = undefined;
        response.end = () => response.destroy();
      }
      return false;
    };
    expect(await target.put('x.mp4', source, 'video/mp4')).toMatchObject({ evidence: 'digest' });
    expect(stub.read('x.mp4').equals(data)).toBe(true);
    expect(stub.actions().filter((action) => action.startsWith('Part'))).toHaveLength(4);
    expect(stub.actions().filter((action) => action.startsWith('Complete'))).toHaveLength(2);
  });

  test('is put together by a store that takes longer than a connection may be silent', async () => {
    const stub = await S3Stub.start();
    const target = openS3(stub.storage(), { partBytes: PART, idleTimeoutMs: 200 });
    onTestFinished(async () => {
      target.close();
      await stub.close();
    });
    stub.interfere = async ({ action }) => {
      if (action === 'Complete') await new Promise((resolve) => setTimeout(resolve, 600));
      return false;
    };
    await target.put('x.mp4', spooled(3 * PART).source, 'video/mp4');
    expect(stub.actions().filter((action) => action.startsWith('Complete'))).toHaveLength(1);
  });

  test.each(['kept', 'lost'] as const)('keeps its tags where those of the first request are %s', async (tags) => {
    const { stub, target } = await open({ tags }, { storage: { extensionParams: { tag: 'a=b' } } });
    await target.put('x.mp4', spooled(3 * PART).source, 'video/mp4');
    expect(stub.objects.get('x.mp4')?.tags).toBe('a=b');
  });
});

test('a store without tags gets the files without, and it is told once', async () => {
  const { stub, target, warnings } = await open({ tags: 'refused' }, { storage: { extensionParams: { tag: 'a' } } });
  await target.put('x', text, 'text/plain');
  await target.put('y.mp4', spooled(3 * PART).source, 'video/mp4');
  expect([...stub.objects.keys()]).toEqual(['x', 'y.mp4']);
  expect(warnings).toEqual([expect.stringMatching(/tagging is not supported.*without extensionParams.tag/)]);
});

describe('a store that fails', () => {
  test.each([
    ['wrong keys', { secretKey: 'wrong-not-for-logs' }, /SignatureDoesNotMatch.*check accessKey/],
    ['a bucket that is not there', { bucket: 'nowhere' }, /NoSuchBucket.*create the bucket/],
  ])('for %s does not heal by itself', async (_what, storage, message) => {
    const { target } = await open({}, { storage });
    const fault = await target.put('x', text, 'text/plain').catch((error) => error);
    expect(fault).toMatchObject({ code: 'store-failed', blame: 'destination', retryable: false });
    expect(fault.message).toMatch(message);
    expect(fault.message).not.toContain('not-for-logs');
  });

  test.each([
    [500, 'InternalError', true],
    [503, 'SlowDown', true],
    [501, 'NotImplemented', false],
    [400, 'BadDigest', true],
    [403, 'QuotaExceeded', false],
    [400, 'EntityTooLarge', false],
  ])('with %s %s may pass: %s', async (status, code, passes) => {
    const { stub, target } = await open();
    stub.interfere = (_request, response) => {
      refuse(response, status, code, 'no');
      return true;
    };
    const fault = await target.put('x', text, 'text/plain').catch((error) => error);
    expect(fault).toMatchObject({ code: 'store-failed', retryable: passes });
    expect(fault.message).toContain(code);
    if (code === 'QuotaExceeded') expect(fault.message).not.toContain('accessKey');
  });

  test('has a host that nobody knows, or a port where nobody listens', async () => {
    const at = (endpoint: string) =>
      openS3({
        ...{ vendor: 11, region: 0, bucket: 'b', accessKey: 'a', secretKey: 's', fileNamePrefix: [] },
        extensionParams: { endpoint },
      });
    await expect(at('no-such-host.invalid').put('x', text, 'text/plain')).rejects.toMatchObject({
      retryable: false,
      message: expect.stringMatching(/ENOTFOUND.*no such host/),
    });
    await expect(at('http://127.0.0.1:1').put('x', text, 'text/plain')).rejects.toMatchObject({
      retryable: true,
      message: expect.stringMatching(/ECONNREFUSED.*nobody listens/),
    });
  });
});
