import { describe, expect, test } from 'vitest';
import { storageConfigSchema } from './storage.ts';

const s3 = { vendor: 1, region: 0, bucket: 'bucket', accessKey: 'AK', secretKey: 'SK', fileNamePrefix: ['a', 'b'] };
const compatible = { ...s3, vendor: 11, extensionParams: { endpoint: 's3.example.com' } };
const local = { vendor: 1000, region: 0, bucket: 'recordings', accessKey: '', secretKey: '' };

const refusals = (value: unknown) => {
  const parsed = storageConfigSchema.safeParse(value);
  return parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
};

describe('storageConfig', () => {
  test('takes what each vendor needs', () => {
    expect(refusals(s3)).toEqual([]);
    expect(refusals(compatible)).toEqual([]);
    expect(refusals(local)).toEqual([]);
    expect(storageConfigSchema.parse({ vendor: 1000, bucket: 'b' })).toMatchObject({ region: 0, fileNamePrefix: [] });
  });

  test('treats what client libraries send empty as absent', () => {
    const parsed = storageConfigSchema.parse({ ...s3, stsToken: '', extensionParams: { sse: '', tag: '' } });
    expect(parsed.stsToken).toBeUndefined();
    expect(parsed.extensionParams).toEqual({});
  });

  test.each([
    ['a vendor that does not exist', { ...s3, vendor: 9 }, /^vendor: .*1 \(Amazon S3\), 2/],
    ['a region of another vendor', { ...s3, vendor: 8, region: 20 }, /^region: region 20 is not a region of vendor 8/],
    ['a region Amazon has not', { ...s3, region: 26 }, /^region: region 26 is not a region of vendor 1/],
    ['no keys', { ...s3, accessKey: '' }, /^accessKey: /],
    ['no endpoint', { ...compatible, extensionParams: {} }, /^extensionParams\.endpoint: .*must be given/],
    ['an endpoint with a path', { ...compatible, extensionParams: { endpoint: 'h/p?x' } }, /must be a host/],
    ['an unknown encryption', { ...s3, extensionParams: { sse: 'rot13' } }, /must be "aes256" or "kms"/],
    ['a bucket that climbs', { ...local, bucket: '..' }, /^bucket: .*one folder name/],
    ['a bucket with a separator', { ...local, bucket: 'a/b' }, /^bucket: .*one folder name/],
    ['a prefix that climbs', { ...local, fileNamePrefix: ['..'] }, /^fileNamePrefix\.0: /],
    ['a prefix with a separator', { ...s3, fileNamePrefix: ['a/b'] }, /^fileNamePrefix\.0: /],
    ['a long prefix', { ...s3, fileNamePrefix: ['a'.repeat(64), 'b'.repeat(64)] }, /at most 128/],
  ])('refuses %s, naming the member', (_what, value, message) => {
    expect(refusals(value).join('\n')).toMatch(message);
  });
});
