import { createHash } from 'node:crypto';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openS3Stub, PART, spooled } from '../../../../test/support/s3-scene.ts';
import { refuse, S3Stub } from '../../../../test/support/s3-stub.ts';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { openS3 } from './s3.ts';

const MIB = 1024 * 1024;
const text = { data: Buffer.from('text') };
const md5Of = (data: Buffer) => createHash('md5').update(data).digest('hex');

describe('a small file', () => {
  test('is one signed request with its digest, and a question about it', async () => {
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub({}, { partBytes: 8 * MIB });
    await target.put('x', spooled(3 * MIB).source, 'video/mp4');
    expect(stub.requests[0]?.headers.expect).toBeUndefined();
  });

  test.each([503, 429])('is not asked for again before the store (%s) says that it may be', async (status) => {
    const { stub, target } = await openS3Stub();
    stub.interfere = (_request, response) => {
      response.setHeader('Retry-After', '20');
      refuse(response, status, 'SlowDown', 'later');
      return true;
    };
    await expect(target.put('x', text, 'text')).rejects.toMatchObject({ retryable: true, retryAfterMs: 20_000 });
    expect(stub.requests).toHaveLength(1);
  });

  test('goes into a bucket that keeps objects locked', async () => {
    const { target } = await openS3Stub({ objectLock: true });
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(await target.put('y', spooled(3 * PART).source, 'video/mp4')).toMatchObject({ evidence: 'digest' });
  });

  test('carries tag, encryption and session token when they are given', async () => {
    const extensionParams = { tag: 'k=v w', sse: 'kms' as const };
    const { stub, target } = await openS3Stub(
      { sessionToken: 'sts' },
      { storage: { stsToken: 'sts', extensionParams } },
    );
    await target.put('x', text, 'text/plain');
    expect(stub.requests[0]?.headers).toMatchObject({
      'x-amz-tagging': 'k=v%20w',
      'x-amz-server-side-encryption': 'aws:kms',
      'x-amz-security-token': 'sts',
    });
  });

  test('goes to the region that the store names, whatever was configured', async () => {
    const { stub, target, warnings } = await openS3Stub({ region: 'eu-fra' });
    await target.put('x', text, 'text/plain');
    await target.put('y', text, 'text/plain');
    expect(stub.actions()).toEqual(['PutObject x', 'PutObject x', 'HeadObject x', 'PutObject y', 'HeadObject y']);
    expect(warnings).toEqual([expect.stringMatching(/bucket is in region eu-fra/)]);
  });

  test('follows the store to another address, and signs for that', async () => {
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
    let late = 3;
    stub.interfere = ({ action }, response) => {
      if (action !== 'HeadObject' || late-- <= 0) return false;
      response.writeHead(404).end();
      return true;
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(stub.actions()).toEqual(['PutObject x', ...Array(4).fill('HeadObject x')]);
  });

  test('is heard of within a second from when the store shows it', async () => {
    const { stub } = await openS3Stub();
    let waitedMs = 0;
    const after: Clock['after'] = (delayMs, run) => {
      waitedMs += delayMs;
      return systemClock.after(0, run);
    };
    const target = openS3(stub.storage(), { clock: { ...systemClock, after } });
    onTestFinished(() => target.close());
    stub.interfere = ({ action }, response) => {
      if (action !== 'HeadObject' || waitedMs >= 4000) return false;
      response.writeHead(404).end();
      return true;
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(waitedMs).toBeLessThanOrEqual(5000);
  });

  test.each([403, 405, 501])('may be kept to itself (HEAD %s) when the ETag is the digest', async (status) => {
    const { stub, target } = await openS3Stub();
    stub.interfere = ({ action }, response) => {
      if (action === 'HeadObject') response.writeHead(status).end();
      return action === 'HeadObject';
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'digest' });
    expect(await target.put('y', spooled(3 * PART).source, 'video/mp4')).toMatchObject({ evidence: 'digest' });
  });

  test('is its length when the ETag is no digest', async () => {
    const { target } = await openS3Stub({ etag: () => '"0"' });
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'size', etag: '0' });
  });

  test.each([
    ['refuses', 405],
    ['leaves out', 200],
  ])('is only its word when the ETag is no digest and it %s the length', async (_what, status) => {
    const { stub, target } = await openS3Stub({ etag: () => '"0"' });
    stub.interfere = ({ action }, response) => {
      if (action === 'HeadObject') response.writeHead(status, { 'transfer-encoding': 'chunked' }).end();
      return action === 'HeadObject';
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'accepted' });
  });

  test('is nothing when it answers a put with a page of HTML', async () => {
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub({ etag: () => `"${'0'.repeat(32)}"` });
    stub.interfere = (_request, response) => {
      response.setHeader('x-amz-server-side-encryption', 'aws:kms');
      return false;
    };
    expect(await target.put('x', text, 'text/plain')).toMatchObject({ evidence: 'size' });
  });
});

test('a store is asked whether it has a file, an empty one too, and no is told apart from a refusal', async () => {
  const { stub, target } = await openS3Stub();
  await target.put('a/x.ts', text, 'video/mp2t');
  await target.put('a/empty', { data: Buffer.alloc(0) }, 'text/plain');
  expect([await target.has('a/x.ts'), await target.has('a/empty'), await target.has('a/y.ts')]).toEqual([
    ...[true, true, false],
  ]);
  stub.interfere = (_request, response) => {
    refuse(response, 403, 'AccessDenied', 'no');
    return true;
  };
  await expect(target.has('a/x.ts')).rejects.toMatchObject({ blame: 'destination' });
});

test('a store without tags gets the files without, and it is told once', async () => {
  const { stub, target, warnings } = await openS3Stub(
    { tags: 'refused' },
    { storage: { extensionParams: { tag: 'a' } } },
  );
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
    const { target } = await openS3Stub({}, { storage });
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
    const { stub, target } = await openS3Stub();
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
