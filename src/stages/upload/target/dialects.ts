/**
 * Dialects: how each vendor wants the S3 protocol spoken, one row per vendor. A new vendor is a row here, its name in
 * contract/line/storage.ts, its regions in contract/line/regions.ts, and a line of the test. The sources are in
 * docs/reference/storage-vendors.md.
 */
import { KS3_HOSTS, REGIONS } from '../../../contract/line/regions.ts';
import { STORAGE_VENDORS, type StorageConfig } from '../../../contract/line/storage.ts';
import { Fault } from '../../../kernel/fault.ts';

export type Dialect = {
  name: string;
  /** Address of the service, by the contract's name of the region. Vendor 11 has its own. */
  endpoint: (region: string) => string;
  /** Region in the signature, by the contract's name of the region. */
  signingRegion: (region: string) => string;
  /** Whether the bucket is named in the path or in the host. */
  addressing: 'path' | 'host';
  /**
   * `header`: x-amz-tagging, also when an upload in parts begins. `afterwards`: PutObjectTagging for files in parts.
   */
  tags: 'header' | 'afterwards' | 'none';
  /** Whether x-amz-server-side-encryption is sent when `sse` is given. */
  sse: boolean;
  /** Whether session tokens exist (x-amz-security-token). */
  sts: boolean;
  /** The smallest part except the last, and how many parts there may be. */
  minPartBytes: number;
  maxParts: number;
  /** Whether ListMultipartUploads shows uploads in parts that were begun, so that those nobody noted can be found. */
  listsUploads: boolean;
};

const MIB = 1024 * 1024;
const same = (region: string) => region;
/** What holds for a vendor unless its row says otherwise. */
const COMMON = {
  signingRegion: same,
  addressing: 'host',
  tags: 'none',
  sse: false,
  sts: false,
  minPartBytes: 5 * MIB,
  maxParts: 10_000,
  listsUploads: false,
} as const satisfies Partial<Dialect>;

const KODO = { z0: 'cn-east-1', z1: 'cn-north-1', z2: 'cn-south-1', na0: 'us-north-1' } as const;
const kodoRegion = (region: string) => KODO[region as keyof typeof KODO];

export const DIALECTS: Readonly<Record<number, Dialect>> = {
  0: {
    ...COMMON,
    name: 'Qiniu Kodo',
    endpoint: (region) => `https://s3-${kodoRegion(region)}.qiniucs.com`,
    signingRegion: kodoRegion,
    addressing: 'path',
  },
  1: {
    ...COMMON,
    name: 'Amazon S3',
    endpoint: (region) => `https://s3.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`,
    tags: 'header',
    sse: true,
    sts: true,
    listsUploads: true,
  },
  2: {
    ...COMMON,
    name: 'Alibaba Cloud OSS',
    endpoint: (region) => `https://s3.oss-${region}.aliyuncs.com`,
    tags: 'afterwards',
    sts: true,
  },
  3: {
    ...COMMON,
    name: 'Tencent COS',
    endpoint: (region) => `https://cos.${region}.myqcloud.com`,
    sts: true,
    listsUploads: true,
  },
  4: {
    ...COMMON,
    name: 'Kingsoft KS3',
    endpoint: (region) => `https://ks3-${KS3_HOSTS[region]}.ksyuncs.com`,
    signingRegion: (region) => KS3_HOSTS[region] ?? region,
  },
  6: {
    ...COMMON,
    name: 'Google Cloud Storage',
    endpoint: () => 'https://storage.googleapis.com',
    signingRegion: () => 'auto',
    addressing: 'path',
    listsUploads: true,
  },
  7: {
    ...COMMON,
    name: 'Huawei OBS',
    endpoint: (region) => `https://obs.${region}.myhuaweicloud.com`,
    listsUploads: true,
  },
  8: {
    ...COMMON,
    name: 'Baidu BOS',
    endpoint: (region) => `https://s3.${region}.bcebos.com`,
    listsUploads: true,
  },
  // Whatever store an operator runs: what it lacks is found out and left out. Few have a DNS name for each bucket.
  11: {
    ...COMMON,
    name: 'S3-compatible',
    endpoint: () => '',
    signingRegion: () => 'us-east-1',
    addressing: 'path',
    tags: 'afterwards',
    sse: true,
    sts: true,
    listsUploads: true,
  },
};

/** Where an S3 client connects, and how it signs. */
export type S3Address = { dialect: Dialect; endpoint: string; region: string };

/** Throws a Fault blaming `caller` for a vendor that does not speak S3, and for a region that it does not have. */
export function s3AddressOf(storage: StorageConfig): S3Address {
  const { vendor, region, extensionParams } = storage;
  const dialect = DIALECTS[vendor];
  if (!dialect) throw new Fault('vendor-unsupported', `vendor ${vendor} does not speak S3`, { blame: 'caller' });
  const name = REGIONS[vendor]?.[region];
  if (REGIONS[vendor] && name === undefined)
    throw new Fault('region-unknown', `region ${region} is not a region of vendor ${vendor}`, { blame: 'caller' });
  const endpoint = vendor === STORAGE_VENDORS.s3Compatible ? endpointUrl(extensionParams?.endpoint ?? '') : undefined;
  return {
    dialect,
    endpoint: endpoint ?? dialect.endpoint(name ?? ''),
    region: dialect.signingRegion(name ?? ''),
  };
}

/** A bare host means https, as in the contract's sample; a given scheme is kept. */
export function endpointUrl(endpoint: string): string {
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
  return url.replace(/\/+$/, '');
}

/** The address of the account's blobs: for vendor 5 accessKey is the account's name, unless an endpoint is given. */
export function azureEndpoint({ accessKey, extensionParams }: StorageConfig): string {
  const given = extensionParams?.endpoint;
  return given === undefined ? `https://${accessKey}.blob.core.windows.net` : endpointUrl(given);
}

/** The x-amz-tagging value of `tag`: `key=value` pairs unchanged, a bare word as the value of a tag named `tag`. */
export function taggingOf(tag: string): string {
  return tagPairs(tag)
    .map((pair) => pair.map((word) => encodeURIComponent(word)).join('='))
    .join('&');
}

export function tagPairs(tag: string): [key: string, value: string][] {
  return tag.includes('=') ? [...new URLSearchParams(tag)] : [['tag', tag]];
}
