import { expect, test } from 'vitest';
import { faultOf } from './s3-faults.ts';

const answer = (name: string, status?: number, message = 'text') =>
  Object.assign(new Error(message), { name, $metadata: status === undefined ? {} : { httpStatusCode: status } });

test.each([
  ['AccessDenied', 403, false, /check accessKey/],
  ['InvalidAccessKeyId', 403, false, /check accessKey/],
  ['NoSuchBucket', 404, false, /create the bucket/],
  ['PermanentRedirect', 301, false, /the bucket is elsewhere/],
  ['ExpiredToken', 400, false, /stsToken/],
  ['QuotaExceeded', 403, false, /is full or has a quota/],
  ['EntityTooLarge', 400, false, /is full or has a quota/],
  ['NotImplemented', 501, false, /lacks something/],
  ['InternalError', 500, true, /HTTP 500\)$/],
  ['SlowDown', 503, true, /HTTP 503\)$/],
  ['TooManyRequests', 429, true, /HTTP 429\)$/],
  ['TemporaryRedirect', 307, true, /HTTP 307\)$/],
  ['RequestTimeout', 400, true, /HTTP 400\)$/],
  ['BadDigest', 400, true, /HTTP 400\)$/],
  ['RequestTimeTooSkewed', 403, true, /clock/],
  ['TimeoutError', undefined, true, /\(TimeoutError\)$/],
])('%s (%s) may pass: %s', (name, status, retryable, message) => {
  const fault = faultOf(answer(name, status), 'bucket b');
  expect(fault).toMatchObject({ code: 'store-failed', blame: 'destination', retryable });
  expect(fault.message).toMatch(message);
});

test.each([
  ['DEPTH_ZERO_SELF_SIGNED_CERT', false, /certificate is not trusted/],
  ['ERR_TLS_CERT_ALTNAME_INVALID', false, /certificate is not trusted/],
  ['CERT_HAS_EXPIRED', false, /certificate is not trusted/],
  ['ENOTFOUND', false, /no such host/],
  ['EAI_AGAIN', true, /EAI_AGAIN/],
  ['ECONNRESET', true, /ECONNRESET/],
  ['ECONNREFUSED', true, /nobody listens/],
])('a connection that ends with %s may pass: %s', (code, retryable, message) => {
  const fault = faultOf(Object.assign(new Error('text'), { code }), 'bucket b');
  expect(fault).toMatchObject({ retryable, message: expect.stringMatching(message) });
});

test('an empty message is replaced by the store’s own word', () => {
  const error = Object.assign(answer('UnknownError', 411, 'UnknownError'), { Code: 'MissingContentLength' });
  expect(faultOf(error, 'bucket b').message).toMatch(/failed: MissingContentLength \(MissingContentLength, HTTP 411\)/);
});
