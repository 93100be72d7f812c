import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:tls';
import { expect, onTestFinished, test } from 'vitest';
import { faultOf, isPassing, S3Error } from './s3-faults.ts';

const answer = (code: string, status: number, message = 'text') =>
  new S3Error(status, {}, `<Error><Code>${code}</Code><Message>${message}</Message></Error>`);

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
  ['ETIMEDOUT', true, /ETIMEDOUT/],
  ['ECONNREFUSED', true, /nobody listens/],
])('a connection that ends with %s may pass: %s', (code, retryable, message) => {
  const fault = faultOf(Object.assign(new Error('text'), { code }), 'bucket b');
  expect(fault).toMatchObject({ retryable, message: expect.stringMatching(message) });
});

test('an empty message is replaced by the store’s own word, and that by HTTP’s', () => {
  const empty = answer('MissingContentLength', 411, '');
  expect(faultOf(empty, 'bucket b').message).toMatch(/failed: MissingContentLength \(MissingContentLength, HTTP 411\)/);
  const page = new S3Error(502, { 'content-type': 'text/html' }, '<html><h1>502</h1></html>');
  expect(faultOf(page, 'bucket b').message).toMatch(/failed: BadGateway \(BadGateway, HTTP 502\)/);
});

test('a refusal tells the region, the address and the time of the store, where it has a reason to', () => {
  const date = 'Sat, 28 Nov 2026 19:00:00 GMT';
  const malformed = '<Error><Code>AuthorizationHeaderMalformed</Code><Region>eu-fra</Region></Error>';
  expect(new S3Error(400, { date }, malformed)).toMatchObject({ region: 'eu-fra', dateMs: Date.parse(date) });
  expect(new S3Error(301, { 'x-amz-bucket-region': 'eu-west-1' }, '')).toMatchObject({ region: 'eu-west-1' });
  expect(new S3Error(307, { location: 'https://a.example/x' }, '')).toMatchObject({ location: 'https://a.example/x' });
  expect(new S3Error(403, { 'x-amz-bucket-region': 'eu-west-1' }, '').region).toBeUndefined();
  expect(new S3Error(400, {}, '<Region>no region, &lt;b&gt;</Region>').region).toBeUndefined();
});

test('is a hiccup when the store or the connection may be well at once', () => {
  expect([500, 502, 503, 504, 429].every((status) => isPassing(answer('x', status)))).toBe(true);
  expect([501, 505, 507, 400, 403, 404].some((status) => isPassing(answer('x', status)))).toBe(false);
  expect(isPassing(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))).toBe(true);
  expect(isPassing(Object.assign(new Error('late'), { code: 'ETIMEDOUT' }))).toBe(false);
});

test('a store that speaks no TLS is told of in few words, on one line', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const socket = connect({ port: (server.address() as AddressInfo).port });
  const [error] = (await once(socket, 'error').catch((cause: unknown) => [cause])) as [unknown];
  const { message, retryable } = faultOf(error, 'bucket b');
  // The code depends on whether a write or a read comes upon it.
  expect(message).toMatch(/^bucket b failed: wrong version number \((EPROTO|ERR_SSL_WRONG_VERSION_NUMBER)\); /);
  expect(message).toMatch(/; the endpoint does not speak TLS: check its scheme and port$/);
  expect(retryable).toBe(false);
});
