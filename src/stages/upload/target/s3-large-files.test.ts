import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openS3Stub, PART, spooled } from '../../../../test/support/s3-scene.ts';
import { refuse, S3Stub } from '../../../../test/support/s3-stub.ts';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import { Fault } from '../../../kernel/fault.ts';
import { openS3 } from './s3.ts';

describe('a large file', () => {
  test('goes in parts, and comes together again', async () => {
    const { stub, target } = await openS3Stub({ emptyCompleteEtag: true });
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
    const { stub, target } = await openS3Stub();
    const { data, source } = spooled(7 * PART + 7);
    stub.interfere = ({ action }) => {
      if (action === 'Complete') rmSync(source.path);
      return false;
    };
    const { sha256 } = await target.put('x.mp4', source, 'video/mp4');
    expect(sha256).toBe(createHash('sha256').update(data).digest('hex'));
  });

  test('is signed by the MD5 of its parts, or by their SHA-256 where the bucket insists on it', async () => {
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub({ uploadsAtOnce: 2 });
    for (const key of ['a & <b>.mp4', 'a & <b>.mp4', 'a & <b>.mp4.ts', 'a & <b>.mp4', 'z', 'a', 'a & <b>.mp4', 'a/x'])
      stub.beginUpload(key);
    await target.sweep('a & <b>.mp4', PART + 1);
    expect(stub.unfinished.sort()).toEqual(['a', 'a & <b>.mp4.ts', 'a/x', 'z']);
    // Five begin with the key, one of them with another behind it.
    expect(stub.actions().filter((action) => action.startsWith('ListUploads'))).toHaveLength(3);
  });

  test('is not asked for where it would not go in parts, or the vendor does not tell of them', async () => {
    const { stub, target } = await openS3Stub();
    await target.sweep('x.ts', PART);
    const oss = openS3({ ...stub.storage(), vendor: 2 }, { endpoint: stub.url, partBytes: PART });
    onTestFinished(() => oss.close());
    await oss.sweep('x.mp4', PART + 1);
    expect(stub.requests).toEqual([]);
  });

  test('that the store does not tell what was begun, or goes on telling the same, is a fault or the end', async () => {
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub();
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
    const { stub, target } = await openS3Stub({ tags }, { storage: { extensionParams: { tag: 'a=b' } } });
    await target.put('x.mp4', spooled(3 * PART).source, 'video/mp4');
    expect(stub.objects.get('x.mp4')?.tags).toBe('a=b');
  });
});
