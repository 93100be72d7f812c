import { describe, expect, test } from 'vitest';
import { REGIONS } from '../../../contract/line/regions.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { azureEndpoint, DIALECTS, endpointUrl, s3AddressOf, taggingOf } from './dialects.ts';
import { openS3 } from './s3.ts';

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
  expect(() => openS3({ ...storage, vendor: 5 })).toThrow(/does not speak S3/);
});

describe('each vendor', () => {
  test.each([
    [0, 1, 'https://s3-cn-north-1.qiniucs.com', 'cn-north-1'],
    [1, 15, 'https://s3.cn-north-1.amazonaws.com.cn', 'cn-north-1'],
    [1, 28, 'https://s3.il-central-1.amazonaws.com', 'il-central-1'],
    [2, 0, 'https://s3.oss-cn-hangzhou.aliyuncs.com', 'cn-hangzhou'],
    [3, 18, 'https://cos.eu-frankfurt.myqcloud.com', 'eu-frankfurt'],
    [4, 3, 'https://ks3-cn-beijing.ksyuncs.com', 'cn-beijing'],
    [6, 0, 'https://storage.googleapis.com', 'auto'],
    [7, 1, 'https://obs.cn-north-4.myhuaweicloud.com', 'cn-north-4'],
    [8, 2, 'https://s3.su.bcebos.com', 'su'],
  ] as const)('%s in region %s is at %s', (vendor, region, endpoint, signed) => {
    expect(s3AddressOf({ ...storage, vendor, region })).toMatchObject({ endpoint, region: signed });
  });

  test('has an address for each of its regions', () => {
    for (const [vendor, dialect] of Object.entries(DIALECTS)) {
      for (const region of Object.keys(REGIONS[Number(vendor)] ?? {})) {
        const { endpoint, region: signed } = s3AddressOf({
          ...storage,
          vendor: Number(vendor) as StorageConfig['vendor'],
          region: Number(region),
        });
        expect(`${new URL(endpoint).host} ${signed}`, `${dialect.name} ${region}`).not.toMatch(/undefined/);
      }
    }
  });
});

test('an account of Azure is a host of its own', () => {
  expect(azureEndpoint({ ...storage, vendor: 5, accessKey: 'acc' })).toBe('https://acc.blob.core.windows.net');
});
