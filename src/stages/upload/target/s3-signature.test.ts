import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { queryText, signed, signedQuery, uriPath } from './s3-signature.ts';

/** The examples of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
const keys = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const NOW = Date.UTC(2013, 4, 24);
const host = 'examplebucket.s3.amazonaws.com';
const sha256Of = (text: string) => createHash('sha256').update(text).digest('hex');

test.each([
  [
    'GET Object',
    {
      method: 'GET',
      path: uriPath('test.txt'),
      query: {},
      headers: { host, range: 'bytes=0-9' },
      sha256: sha256Of(''),
    },
    'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  ],
  [
    'PUT Object',
    {
      ...{ method: 'PUT', path: uriPath('test$file.text'), query: {}, sha256: sha256Of('Welcome to Amazon S3.') },
      headers: { host, date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
    },
    '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
  ],
  [
    'GET Bucket Lifecycle',
    { method: 'GET', path: '/', query: { lifecycle: '' }, headers: { host }, sha256: sha256Of('') },
    'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
  ],
  [
    'Get Bucket (List Objects)',
    { method: 'GET', path: '/', query: { prefix: 'J', 'max-keys': '2' }, headers: { host }, sha256: sha256Of('') },
    '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
  ],
])('signs Amazon’s example "%s" as Amazon does', (_name, request, signature) => {
  const { authorization } = signed(request, keys, 'us-east-1', NOW);
  expect(authorization).toContain('Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request');
  expect(authorization).toMatch(new RegExp(`Signature=${signature}$`));
});

test('signs the address of Amazon’s example as Amazon does', () => {
  const query = signedQuery({ path: uriPath('test.txt'), query: {}, host }, { ...keys }, 'us-east-1', NOW, 86_400);
  expect(query.split('&')).toEqual([
    'X-Amz-Algorithm=AWS4-HMAC-SHA256',
    'X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request',
    'X-Amz-Date=20130524T000000Z',
    'X-Amz-Expires=86400',
    'X-Amz-SignedHeaders=host',
    'X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
  ]);
});

test('a session token is signed with the rest', () => {
  const request = { method: 'HEAD', path: '/b/x', query: {}, headers: { host }, sha256: sha256Of('') };
  const headers = signed(request, { ...keys, sessionToken: 'token' }, 'us-east-1', NOW);
  expect(headers['x-amz-security-token']).toBe('token');
  expect(headers['authorization']).toContain(
    'SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token,',
  );
});

test('the key of one day and region signs for no other', () => {
  const request = { method: 'HEAD', path: '/b/x', query: {}, headers: { host }, sha256: sha256Of('') };
  const credentials = { ...keys };
  for (const [region, nowMs] of [
    ['us-east-1', NOW],
    ['us-east-1', NOW + 86_400_000],
    ['eu-west-1', NOW + 86_400_000],
    ['us-east-1', NOW],
  ] as const)
    expect(signed(request, credentials, region, nowMs)).toEqual(signed(request, { ...keys }, region, nowMs));
});

test('paths and queries are encoded once, and all that is reserved is', () => {
  expect(uriPath('bucket', "a/b c+d/(é)!*'.ts")).toBe('/bucket/a/b%20c%2Bd/%28%C3%A9%29%21%2A%27.ts');
  expect(queryText({ uploadId: 'a/b==', partNumber: '7' })).toBe('partNumber=7&uploadId=a%2Fb%3D%3D');
});
