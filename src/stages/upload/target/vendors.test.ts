/**
 * Each vendor that speaks S3, as its row of dialects has it, against a store that takes what that vendor takes and
 * refuses the rest, at that vendor's own host name. What each takes is from the pages that
 * docs/reference/storage-vendors.md names. What was put in OSS and COS is read back through their
 * own SDKs.
 */
import { createHash, randomBytes } from 'node:crypto';
import type dns from 'node:dns';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OSS from 'ali-oss';
import COS from 'cos-nodejs-sdk-v5';
import { describe, expect, onTestFinished, test } from 'vitest';
import { S3Stub, STUB_KEYS, type StubDialect } from '../../../../test/support/s3-stub.ts';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig, StorageVendor } from '../../../contract/line/storage.ts';
import { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { openS3 } from './s3.ts';

const MIB = 1024 * 1024;
const NEWER = 'x-amz-(checksum|sdk-checksum|trailer|te|decoded)';
const TOKEN = 'x-amz-security-token';
const ENCRYPTION = 'x-amz-server-side-encryption';
const TAGGING = 'x-amz-tagging';
const none = (...names: string[]) => new RegExp(`^(${[NEWER, 'expect', ...names].join('|')})`);

type Row = {
  vendor: StorageVendor;
  region: number;
  stub: StubDialect & { host: string };
  /** Which of the three that every request here asks for reach the store. */
  sends: { token: boolean; encryption: boolean; tags: 'at first' | 'never' | 'refused' };
  /** Whether it tells what was begun in parts. */
  tells: boolean;
};

/** `region` of the stub is the one that the vendor expects in signatures. */
const ROWS: [string, Row][] = [
  [
    'Qiniu Kodo',
    {
      ...{ vendor: 0, region: 1 },
      stub: {
        ...{ host: 's3-cn-north-1.qiniucs.com', region: 'cn-north-1', addressing: 'path', minPartBytes: MIB },
        refuses: none(TOKEN, ENCRYPTION, TAGGING),
      },
      sends: { token: false, encryption: false, tags: 'never' },
      tells: false,
    },
  ],
  [
    'Amazon S3',
    {
      ...{ vendor: 1, region: 7 },
      stub: {
        ...{ host: 's3.eu-central-1.amazonaws.com', region: 'eu-central-1', addressing: 'host' },
        ...{ sessionToken: 'sts', minPartBytes: 5 * MIB, objectLock: true, refuses: none('never') },
        errorMore: '<RequestId>4442587FB7D0A2F9</RequestId><HostId>x</HostId>',
      },
      sends: { token: true, encryption: true, tags: 'at first' },
      tells: true,
    },
  ],
  [
    'Alibaba Cloud OSS',
    {
      ...{ vendor: 2, region: 0 },
      stub: {
        ...{ host: 's3.oss-cn-hangzhou.aliyuncs.com', region: 'cn-hangzhou', addressing: 'host' },
        ...{ sessionToken: 'sts', minPartBytes: 100 * 1024, tags: 'refused', refuses: none(ENCRYPTION) },
        own: { protocol: 'oss', host: 'oss-cn-hangzhou.aliyuncs.com' },
        etag: (md5: string) => `"${md5.toUpperCase()}"`,
        errorMore: '<RequestId>5C3D9175B6FC201293AD</RequestId><EC>0002-00000040</EC>',
      },
      sends: { token: true, encryption: false, tags: 'refused' },
      tells: false,
    },
  ],
  [
    'Tencent COS',
    {
      ...{ vendor: 3, region: 18 },
      stub: {
        ...{ host: 'cos.eu-frankfurt.myqcloud.com', region: 'eu-frankfurt', addressing: 'host' },
        ...{ sessionToken: 'sts', minPartBytes: MIB, refuses: none(ENCRYPTION, TAGGING) },
        ...{ bucket: 'bucket-1250000000', own: { protocol: 'cos', host: 'cos.eu-frankfurt.myqcloud.com' } },
        errorMore: '<Resource>bucket-1250000000.cos.eu-frankfurt.myqcloud.com</Resource><TraceId>OGVm</TraceId>',
      },
      sends: { token: true, encryption: false, tags: 'never' },
      tells: true,
    },
  ],
  [
    'Kingsoft KS3',
    {
      ...{ vendor: 4, region: 3 },
      stub: {
        ...{ host: 'ks3-cn-beijing.ksyuncs.com', region: 'cn-beijing', addressing: 'host', minPartBytes: 100 * 1024 },
        refuses: none(TOKEN, ENCRYPTION, TAGGING),
      },
      sends: { token: false, encryption: false, tags: 'never' },
      tells: false,
    },
  ],
  [
    'Google Cloud Storage',
    {
      ...{ vendor: 6, region: 0 },
      stub: {
        ...{ host: 'storage.googleapis.com', region: 'auto', addressing: 'path', minPartBytes: 5 * MIB },
        refuses: none(TOKEN, ENCRYPTION, TAGGING),
        errorMore: '<Details>not the signature of this request</Details>',
      },
      sends: { token: false, encryption: false, tags: 'never' },
      tells: true,
    },
  ],
  [
    'Huawei OBS',
    {
      ...{ vendor: 7, region: 1 },
      stub: {
        ...{ host: 'obs.cn-north-4.myhuaweicloud.com', region: 'cn-north-4', addressing: 'host' },
        ...{ minPartBytes: 100 * 1024, refuses: none(TOKEN, ENCRYPTION, TAGGING) },
      },
      sends: { token: false, encryption: false, tags: 'never' },
      tells: true,
    },
  ],
  [
    'Baidu BOS',
    {
      ...{ vendor: 8, region: 2 },
      stub: {
        ...{ host: 's3.su.bcebos.com', region: 'su', addressing: 'host', minPartBytes: 100 * 1024 },
        refuses: none(TOKEN, ENCRYPTION, TAGGING),
      },
      sends: { token: false, encryption: false, tags: 'never' },
      tells: true,
    },
  ],
  [
    'an S3-compatible store',
    {
      ...{ vendor: 11, region: 0 },
      stub: {
        ...{ host: 's3.example.com', region: 'us-east-1', addressing: 'path', sessionToken: 'sts' },
        ...{ minPartBytes: 5 * MIB, objectLock: true, emptyCompleteEtag: true, refuses: none('never') },
      },
      sends: { token: true, encryption: true, tags: 'at first' },
      tells: true,
    },
  ],
];

/** Every name is this machine. */
const lookup = ((_name: string, _options: unknown, done: (error: null, all: object[]) => void) =>
  done(null, [{ address: '127.0.0.1', family: 4 }])) as unknown as typeof dns.lookup;
const guard = new EndpointGuard({ networks: ['loopback'], plainHttp: true }, lookup);

async function open({ vendor, region, stub: dialect }: Row, more: Partial<StorageConfig> = {}) {
  const stub = await S3Stub.start(dialect);
  const endpoint = `http://${dialect.host}:${stub.port}`;
  const warnings: string[] = [];
  const storage: StorageConfig = {
    ...{ vendor, region, bucket: stub.bucket, ...STUB_KEYS, fileNamePrefix: ['a', 'b'], stsToken: 'sts' },
    extensionParams: { sse: 'aes256', tag: 'k=v w', endpoint },
    ...more,
  };
  const target = openS3(storage, { guard, endpoint, warn: (text) => void warnings.push(text) });
  onTestFinished(async () => {
    target.close();
    await stub.close();
  });
  return { stub, target, warnings };
}

describe.each(ROWS)('%s', (name, row) => {
  test('has files small and in parts, with what it knows of tags, encryption and tokens', async () => {
    const { stub, target, warnings } = await open(row);
    const small = randomBytes(2000);
    const large = randomBytes(9 * MIB);
    const md5 = createHash('md5').update(small).digest('hex');
    expect(await target.put('a/b/x.ts', { data: small }, 'video/mp2t')).toMatchObject({ md5, evidence: 'digest' });
    expect(await target.put('a/b/x.mp4', { data: large }, 'video/mp4')).toMatchObject({ evidence: 'digest' });
    expect(stub.read('a/b/x.ts').equals(small)).toBe(true);
    expect(stub.read('a/b/x.mp4').equals(large)).toBe(true);
    expect(stub.objects.get('a/b/x.mp4')?.parts).toBe(2);
    const { token, encryption, tags } = row.sends;
    for (const { headers } of stub.requests) expect(headers[TOKEN]).toBe(token ? 'sts' : undefined);
    const begun = stub.requests.filter(({ action }) => action === 'Create' || action === 'PutObject');
    for (const { headers } of begun) expect(headers[ENCRYPTION]).toBe(encryption ? 'AES256' : undefined);
    for (const key of ['a/b/x.ts', 'a/b/x.mp4'])
      expect(decodeURIComponent(stub.objects.get(key)?.tags ?? '')).toBe(tags === 'at first' ? 'k=v w' : '');
    // Who keeps no tags says so once.
    expect(warnings).toHaveLength(tags === 'at first' ? 0 : 1);
    if (tags !== 'at first') expect(warnings[0]).toMatch(/extensionParams\.tag/);
  });

  test('refuses a wrong key in words that say whose it is, and what to do', async () => {
    const { target } = await open(row, { secretKey: 'wrong-not-for-logs' });
    const fault = await target.put('x', { data: Buffer.from('x') }, 'text/plain').catch((error) => error);
    expect(fault).toMatchObject({ code: 'store-failed', retryable: false });
    expect(fault.message).toMatch(/SignatureDoesNotMatch, HTTP 403\); check accessKey, secretKey/);
    expect(fault.message).toContain(row.vendor === 11 ? 's3.example.com' : name);
    expect(fault.message).not.toContain('not-for-logs');
  });

  test('has what nobody noted taken back, where it tells of that', async () => {
    const { stub, target } = await open(row);
    for (const key of ['a/b/x.mp4', 'a/b/x.mp4.ts']) stub.beginUpload(key);
    await target.sweep('a/b/x.mp4', 9 * MIB);
    expect(stub.unfinished).toEqual(row.tells ? ['a/b/x.mp4.ts'] : ['a/b/x.mp4', 'a/b/x.mp4.ts']);
    expect(stub.actions()).toEqual(row.tells ? ['ListUploads ', 'Abort a/b/x.mp4'] : []);
  });

  test('has no file in more than 10,000 parts, nor any in parts that are too small', async () => {
    const { stub, target } = await open(row);
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-vendors-'));
    onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
    const path = join(dir, 'huge.mp4');
    writeFileSync(path, '');
    // Full of nothing: it takes no room on the disk.
    const bytes = 200_000_000_000;
    truncateSync(path, bytes);
    const enough = new AbortController();
    let begun: PartsSoFar | undefined;
    const onParts = (parts: PartsSoFar | undefined) => {
      begun = parts;
      enough.abort(new Error('enough'));
    };
    const put = target.put('huge.mp4', { path, bytes }, 'video/mp4', { signal: enough.signal, onParts });
    await expect(put).rejects.toThrow('enough');
    expect(Math.ceil(bytes / (begun?.partBytes ?? 1))).toBeLessThanOrEqual(10_000);
    expect(begun?.partBytes).toBeGreaterThanOrEqual(stub.dialect.minPartBytes ?? 0);
  });
});

/** A vendor's SDK that reads from the stub: it connects to an address here, and asks for the vendor's own host. */
type Reader = {
  head: (key: string) => Promise<object>;
  get: (key: string) => Promise<{ data: Buffer; headers: object }>;
};

function ossReader(authorizationV4: boolean, { url, bucket }: S3Stub, secretKey = STUB_KEYS.secretKey): Reader {
  const keys = { accessKeyId: STUB_KEYS.accessKey, accessKeySecret: secretKey, stsToken: 'sts' };
  const client = new OSS({
    ...{ ...keys, authorizationV4, bucket, region: 'oss-cn-hangzhou' },
    // With an address for its endpoint, the region makes the host that it asks for.
    endpoint: url,
    // It warns of tokens that nobody renews.
    refreshSTSToken: async () => keys,
  });
  return {
    head: async (key) => (await client.head(key)).res.headers,
    get: async (key) => {
      const { content, res } = await client.get(key);
      return { data: content, headers: res.headers };
    },
  };
}

function cosReader({ port, bucket }: S3Stub, secretKey = STUB_KEYS.secretKey): Reader {
  const keys = { SecretId: STUB_KEYS.accessKey, SecretKey: secretKey, SecurityToken: 'sts' };
  const client = new COS({ ...keys, Protocol: 'http:', Ip: `127.0.0.1:${port}` });
  const object = (Key: string) => ({ Bucket: bucket, Region: 'eu-frankfurt', Key });
  return {
    head: async (key) => (await client.headObject(object(key))).headers ?? {},
    get: async (key) => {
      const { Body, headers = {} } = await client.getObject(object(key));
      return { data: Body, headers };
    },
  };
}

const READERS: [string, string, (stub: S3Stub, secretKey?: string) => Reader][] = [
  ['ali-oss, signing by version 1,', 'Alibaba Cloud OSS', (...of) => ossReader(false, ...of)],
  ['ali-oss, signing by version 4,', 'Alibaba Cloud OSS', (...of) => ossReader(true, ...of)],
  ['cos-nodejs-sdk-v5', 'Tencent COS', cosReader],
];

describe.each(READERS)('%s', (_name, vendor, reader) => {
  const row = new Map(ROWS).get(vendor) as Row;
  // A channel's name may hold all of these.
  const awkward = 'a/b/sid_ab Z!#$%&()+-:;<=.>?@[]^_{}|~,_0.ts';

  test('reads each file as it was put, whether small, in parts or put again', async () => {
    const { stub, target } = await open(row);
    const small = randomBytes(2000);
    const large = randomBytes(9 * MIB);
    const playlists = ['#EXTM3U\n', '#EXTM3U\n#EXTINF:15,\nx.ts\n'].map((text) => Buffer.from(text));
    await target.put(awkward, { data: small }, 'video/mp2t');
    await target.put('a/b/x.mp4', { data: large }, 'video/mp4');
    for (const data of playlists) await target.put('a/b/x.m3u8', { data }, 'application/vnd.apple.mpegurl');
    expect(stub.objects.get('a/b/x.mp4')?.parts).toBe(2);

    const asked = stub.requests.length;
    const { head, get } = reader(stub);
    for (const [key, expected, type] of [
      [awkward, small, 'video/mp2t'],
      ['a/b/x.mp4', large, 'video/mp4'],
      ['a/b/x.m3u8', playlists[1], 'application/vnd.apple.mpegurl'],
    ] as [string, Buffer, string][]) {
      const { data, headers } = await get(key);
      expect(data.equals(expected), key).toBe(true);
      expect(headers).toMatchObject({ 'content-type': type });
      expect(await head(key)).toMatchObject({ 'content-type': type, 'content-length': String(expected.length) });
    }
    // The SDK asked the vendor's own host, and not in S3's protocol.
    for (const { headers } of stub.requests.slice(asked)) {
      expect(headers.host).toBe(`${stub.bucket}.${row.stub.own?.host}`);
      expect(headers.authorization).not.toMatch(/^AWS4-/);
    }
  });

  test('is refused with a wrong key, and told of what is not there', async () => {
    const { stub, target } = await open(row);
    await target.put(awkward, { data: Buffer.from('x') }, 'video/mp2t');
    const wrong = reader(stub, 'wrong-not-for-logs');
    await expect(wrong.get(awkward)).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
    await expect(reader(stub).get('a/b/none.ts')).rejects.toMatchObject({ code: 'NoSuchKey' });
  });
});
