/**
 * The examples that the pages named in store-signatures.ts publish; of COS as they were before the key was masked, and
 * of version 4 of OSS, whose page has none, as the tests of Alibaba's SDK for Kotlin have it.
 */
import { expect, test } from 'vitest';
import { type Keys, type SignedRequest, type Verdict, verifyCos, verifyOss, verifySigV4 } from './store-signatures.ts';

const SIGV4_KEYS = { accessKey: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' };
const SIGV4: SignedRequest = {
  method: 'GET',
  url: '/test.txt',
  headers: {
    ...{ host: 'examplebucket.s3.amazonaws.com', range: 'bytes=0-9', 'x-amz-date': '20130524T000000Z' },
    'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    authorization:
      'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,' +
      'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date,' +
      'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  },
};

const OSS1_KEYS = { accessKey: '44CF9590006BF252F707', secretKey: 'OtxrzxIsfpFjA7SwPzILwy8Bw21TLhquhboDYROV' };
const OSS1: SignedRequest = {
  method: 'PUT',
  url: '/nelson',
  headers: {
    ...{ host: 'oss-example.oss-cn-hangzhou.aliyuncs.com', date: 'Thu, 17 Nov 2005 18:49:58 GMT' },
    ...{ 'content-md5': 'ODBGOERFMDMzQTczRUY3NUE3NzA5QzdFNUYzMDQxNEM=', 'content-type': 'text/html' },
    ...{ 'x-oss-meta-author': 'foo@bar.com', 'x-oss-magic': 'abracadabra' },
    authorization: 'OSS 44CF9590006BF252F707:26NBxoKdsyly4EDv6inkoDft/yA=',
  },
};

const OSS4_KEYS = { accessKey: 'ak', secretKey: 'sk' };
const OSS4: SignedRequest = {
  method: 'PUT',
  url: '/1234%2B-/123/1.txt?param1=value1&%2Bparam1=value3&%7Cparam1=value4&%2Bparam2=&%7Cparam2=&param2=',
  headers: {
    ...{ 'x-oss-head1': 'value', abc: 'value', zabc: 'value', xyz: 'value', 'content-type': 'text/plain' },
    ...{ 'x-oss-content-sha256': 'UNSIGNED-PAYLOAD', 'x-oss-date': '20231216T162057Z' },
    authorization:
      'OSS4-HMAC-SHA256 Credential=ak/20231216/cn-hangzhou/oss/aliyun_v4_request,' +
      'Signature=e21d18daa82167720f9b1047ae7e7f1ce7cb77a31e8203a7d5f4624fa0284afe',
  },
};

const COS_HOST = 'examplebucket-1250000000.cos.ap-beijing.myqcloud.com';
const COS_KEYS = { accessKey: 'EXAMPLE', secretKey: 'BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz' };
const cos = (keyTime: string, headerList: string, parameterList: string, signature: string) =>
  [
    `q-sign-algorithm=sha1&q-ak=EXAMPLE&q-sign-time=${keyTime}&q-key-time=${keyTime}`,
    `q-header-list=${headerList}&q-url-param-list=${parameterList}&q-signature=${signature}`,
  ].join('&');
const COS_PUT: SignedRequest = {
  method: 'PUT',
  url: '/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)',
  headers: {
    ...{ date: 'Thu, 16 May 2019 06:45:51 GMT', host: COS_HOST },
    ...{ 'content-type': 'text/plain', 'content-length': '13', 'content-md5': 'mQ/fVh815F3k6TAUm8m0eg==' },
    ...{ 'x-cos-acl': 'private', 'x-cos-grant-read': 'uin="100000000011"' },
    authorization: cos(
      '1557989151;1557996351',
      'content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-grant-read',
      '',
      '3b8851a11a569213c17ba8fa7dcf2abec6935172',
    ),
  },
};

const COS_GET: SignedRequest = {
  method: 'GET',
  url:
    '/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)' +
    '?response-content-type=application%2Foctet-stream&response-cache-control=max-age%3D600',
  headers: {
    ...{ date: 'Thu, 16 May 2019 06:55:53 GMT', host: COS_HOST },
    authorization: cos(
      '1557989753;1557996953',
      'date;host',
      'response-cache-control;response-content-type',
      '01681b8c9d798a678e43b685a9f1bba0f6c0e012',
    ),
  },
};

type Verify = (request: SignedRequest, keys: Keys) => Verdict;
const ossIn = (bucket: string, region: string): Verify => {
  return (request, keys) => verifyOss(request, keys, { bucket, region });
};

test.each<[string, SignedRequest, Keys, string, Verify]>([
  ['S3', SIGV4, SIGV4_KEYS, 'range', (request, keys) => verifySigV4(request, keys, 'us-east-1')],
  ['OSS, version 1,', OSS1, OSS1_KEYS, 'x-oss-magic', ossIn('oss-example', 'cn-hangzhou')],
  ['OSS, version 4,', OSS4, OSS4_KEYS, 'x-oss-head1', ossIn('bucket', 'cn-hangzhou')],
  ['COS, a put,', COS_PUT, COS_KEYS, 'x-cos-acl', verifyCos],
  ['COS, a get,', COS_GET, COS_KEYS, 'date', verifyCos],
])('the example of %s is good, and is not with what it signs changed', (_name, request, keys, header, verify) => {
  const { method, url = '', headers } = request;
  expect(verify(request, keys)).toBe('good');
  expect(verify(request, { ...keys, secretKey: 'another' })).toBe('SignatureDoesNotMatch');
  expect(verify(request, { ...keys, accessKey: 'another' })).toBe('InvalidAccessKeyId');
  expect(verify({ method, url, headers: { ...headers, authorization: '' } }, keys)).toBe('InvalidAccessKeyId');
  expect(verify({ method: 'DELETE', url, headers }, keys)).toBe('SignatureDoesNotMatch');
  expect(verify({ method, url: `/other${url}`, headers }, keys)).toBe('SignatureDoesNotMatch');
  expect(verify({ method, url, headers: { ...headers, [header]: 'another' } }, keys)).toBe('SignatureDoesNotMatch');
});

test.each<[string, SignedRequest, Keys, Verify]>([
  ['S3', SIGV4, SIGV4_KEYS, (request, keys) => verifySigV4(request, keys, 'us-east-1')],
  ['OSS, version 1,', OSS1, OSS1_KEYS, ossIn('oss-example', 'cn-hangzhou')],
  ['OSS, version 4,', OSS4, OSS4_KEYS, ossIn('bucket', 'cn-hangzhou')],
])('the example of %s is not good with a parameter more', (_name, request, keys, verify) => {
  const url = `${request.url}${request.url?.includes('?') ? '&' : '?'}acl`;
  expect(verify({ ...request, url }, keys)).toBe('SignatureDoesNotMatch');
});

test('a signature is good in its own region and bucket alone', () => {
  expect(verifySigV4(SIGV4, SIGV4_KEYS, 'eu-central-1')).toBe('region');
  expect(ossIn('bucket', 'cn-beijing')(OSS4, OSS4_KEYS)).toBe('SignatureDoesNotMatch');
  expect(ossIn('another', 'cn-hangzhou')(OSS4, OSS4_KEYS)).toBe('SignatureDoesNotMatch');
  expect(ossIn('another', 'cn-hangzhou')(OSS1, OSS1_KEYS)).toBe('SignatureDoesNotMatch');
});
