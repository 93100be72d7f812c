import { randomBytes } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ACQUIRE, ACQUIRE_BODY, AUTHORIZATION, buildEdge } from '../../test/support/edge-server.ts';
import { APP, BASE } from '../../test/support/rest-api.ts';
import { MAX_DEPTH } from './json.ts';
import { BODY_LIMIT_BYTES } from './server.ts';

async function post(payload: string | Buffer, headers: Record<string, string> = {}, legacyErrorCodes = false) {
  const app = buildEdge({ legacyErrorCodes });
  const url = ACQUIRE;
  const answer = await app.inject({
    method: 'POST',
    url,
    payload,
    headers: { authorization: AUTHORIZATION, ...headers },
  });
  return { status: answer.statusCode, body: answer.json(), headers: answer.headers };
}
const refused = (status: number, reason: string, code = 2) => ({
  status,
  body: { code, reason: expect.stringContaining(reason) },
});

describe('a JSON body', () => {
  test.each([
    'application/json',
    'APPLICATION/JSON ; Charset="utf-8"',
    'application/vnd.api+json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'application/xml',
    'application/x-www-form-urlencoded',
    'json',
    'application/json/x',
    ', ;',
    '',
  ])('is read as type %j', async (type) => {
    expect((await post(ACQUIRE_BODY, { 'content-type': type })).status).toBe(200);
  });

  test('is read without a type, behind a byte order mark, and as "identity"', async () => {
    expect((await post(ACQUIRE_BODY)).status).toBe(200);
    expect((await post(`\uFEFF${ACQUIRE_BODY}`)).status).toBe(200);
    expect((await post(ACQUIRE_BODY, { 'content-encoding': ' Identity ' })).status).toBe(200);
  });
});

describe('a body that is not JSON', () => {
  test.each([
    undefined,
    'application/json',
    'application/json; charset=utf-8',
    'text/json',
    'application/problem+json',
  ])('of type %j is code 2', async (type) => {
    const headers = type === undefined ? {} : { 'content-type': type };
    expect(await post('{"cname":', headers)).toMatchObject(refused(400, 'the body is not JSON: '));
  });

  test.each(['multipart/form-data; boundary=x', 'application/xml', 'text/plain', 'application/octet-stream', 'json'])(
    'of type %j is code 2, and told its type',
    async (type) => {
      expect(await post('<acquire/>', { 'content-type': type })).toMatchObject(
        refused(400, 'Content-Type must be application/json'),
      );
    },
  );

  test('has code 8 where the codes in use until 2026 are sent', async () => {
    expect(await post('{', {}, true)).toMatchObject(refused(400, 'is not JSON', 8));
    expect(await post('<a/>', { 'content-type': 'text/xml' }, true)).toMatchObject(refused(400, 'Content-Type', 8));
    expect(await post('{}', {}, true)).toMatchObject(refused(400, 'cname', 2));
  });

  test('is not repeated in the answer', async () => {
    const { body } = await post(`${'x'.repeat(100_000)}`);
    expect(JSON.stringify(body).length).toBeLessThan(300);
  });
});

test.each(['br', 'deflate', 'zstd', 'gzip, gzip', 'gzip, identity', 'nonsense'])(
  'the encoding %j is 415',
  async (encoding) => {
    const answer = await post(gzipSync(ACQUIRE_BODY), { 'content-encoding': encoding });
    expect(answer).toMatchObject(refused(415, 'Content-Encoding must be gzip or identity'));
    expect(answer.headers['accept-encoding']).toBe('gzip');
  },
);

describe('a body packed with gzip', () => {
  const GZIP = { 'content-encoding': 'gzip' };

  test.each(['gzip', 'x-gzip', ' GZIP '])('is read as %j', async (encoding) => {
    expect((await post(gzipSync(ACQUIRE_BODY), { 'content-encoding': encoding })).status).toBe(200);
  });

  test('is read in parts, and when it has several members', async () => {
    const [head, tail] = [ACQUIRE_BODY.slice(0, 9), ACQUIRE_BODY.slice(9)];
    expect((await post(Buffer.concat([gzipSync(head), gzipSync(tail)]), GZIP)).status).toBe(200);
  });

  test('of nothing is judged as a missing one', async () => {
    for (const payload of ['', gzipSync('')])
      expect(await post(payload, GZIP)).toMatchObject(refused(400, 'api body validate failed!'));
  });

  const packed = gzipSync(ACQUIRE_BODY);
  test.each([
    ['no gzip at all', Buffer.from(ACQUIRE_BODY)],
    ['cut short', packed.subarray(0, -10)],
    ['damaged', Buffer.from(packed.map((byte, at) => (at === 20 ? byte ^ 0xff : byte)))],
    ['packed in another way', deflateSync(ACQUIRE_BODY)],
  ])('that is %s is refused', async (_what, payload) => {
    expect(await post(payload, GZIP)).toMatchObject(refused(400, 'cannot be unpacked'));
  });

  test('that is no JSON when unpacked is refused', async () => {
    expect(await post(gzipSync('<acquire/>'), GZIP)).toMatchObject(refused(400, 'the body is not JSON'));
  });

  test('may unpack to the size a body may have, and to no more', async () => {
    const random = randomBytes(BODY_LIMIT_BYTES).toString('base64url');
    const sized = (bytes: number) => {
      const rest = bytes - ACQUIRE_BODY.length - '"x":"",'.length;
      return gzipSync(ACQUIRE_BODY.replace('{', `{"x":"${random.slice(0, rest)}",`));
    };
    expect((await post(sized(BODY_LIMIT_BYTES), GZIP)).status).toBe(200);
    const tooLarge = { status: 413, body: { message: 'Request size limit exceeded' } };
    expect(await post(sized(BODY_LIMIT_BYTES + 1), GZIP)).toMatchObject(tooLarge);
  });

  test('may not unpack to a hundred times its size', async () => {
    const tooLarge = { status: 413, body: { message: 'Request size limit exceeded' } };
    for (const bytes of [200_000, 1_000_000, 50_000_000])
      expect(await post(gzipSync(Buffer.alloc(bytes, ' ')), GZIP)).toMatchObject(tooLarge);
    // Short ones may: they do no harm.
    const short = ACQUIRE_BODY.replace('{', `{${' '.repeat(50_000)}`);
    expect((await post(gzipSync(short), GZIP)).status).toBe(200);
  });

  test('twice is unpacked once, and then is no JSON', async () => {
    expect(await post(gzipSync(packed), GZIP)).toMatchObject(refused(400, 'not text in UTF-8'));
  });
});

test.each([
  ['a lone byte', Buffer.from([...Buffer.from('{"cname":"'), 0xff, ...Buffer.from('"}')])],
  ['a character cut short', Buffer.from([...Buffer.from('{"cname":"'), 0xe2, 0x82, ...Buffer.from('"}')])],
  ['UTF-16', Buffer.from(`\uFEFF${ACQUIRE_BODY}`, 'utf16le')],
])('%s is not UTF-8', async (_what, bytes) => {
  expect(await post(bytes)).toMatchObject(refused(400, 'not text in UTF-8'));
});

describe('size', () => {
  const ofSize = (bytes: number) => `${ACQUIRE_BODY}${' '.repeat(bytes - ACQUIRE_BODY.length)}`;
  test('up to the limit is read, beyond it refused', async () => {
    expect((await post(ofSize(BODY_LIMIT_BYTES))).status).toBe(200);
    expect(await post(ofSize(BODY_LIMIT_BYTES + 1))).toMatchObject({
      status: 413,
      body: { message: 'Request size limit exceeded' },
    });
  });

  test('of a body in chunks is counted as it comes', async () => {
    const { Readable } = await import('node:stream');
    const payload = Readable.from(Array.from({ length: 200 }, () => Buffer.alloc(10_000, ' ')));
    const headers = { authorization: AUTHORIZATION, 'transfer-encoding': 'chunked' };
    const answer = await buildEdge().inject({ method: 'POST', url: ACQUIRE, payload, headers });
    expect(answer.statusCode).toBe(413);
  });
});

describe('nesting', () => {
  const nested = (levels: number) =>
    `{"cname":"ch1","uid":"1","clientRequest":{"startParameter":${'['.repeat(levels)}${']'.repeat(levels)}}}`;
  test('is bounded', async () => {
    expect((await post(nested(MAX_DEPTH - 2))).status).toBe(200);
    expect(await post(nested(MAX_DEPTH - 1))).toMatchObject(refused(400, `deeper than ${MAX_DEPTH} levels`));
  });

  test.each([
    ['lists', '['.repeat(500_000) + ']'.repeat(500_000)],
    ['objects', `${'{"a":'.repeat(150_000)}1${'}'.repeat(150_000)}`],
    ['lists that do not end', '['.repeat(1_000_000)],
  ])('of %s as deep as a body can hold is refused', async (_what, body) => {
    expect((await post(body)).status).toBe(400);
  });

  test('does not count width', async () => {
    expect(await post(`[${'{},'.repeat(300_000)}{}]`)).toMatchObject({ status: 400, body: { code: 2 } });
  });
});

test.each([
  ['U+0000 in a name', '{"cname":"a\\u0000b","uid":"1","clientRequest":{"scene":1}}'],
  ['U+0000 in an unknown member', '{"cname":"ch1","uid":"1","clientRequest":{"x":[{"y":"\\u0000"}]}}'],
  ['U+0000 in the name of a member', '{"cname":"ch1","uid":"1","clientRequest":{"a\\u0000b":1}}'],
  ['half of a surrogate pair', '{"cname":"ch1","uid":"1","clientRequest":{"x":"\\ud800"}}'],
  ['halves in the wrong order', '{"cname":"ch1","uid":"1","clientRequest":{"x":"\\udc00\\ud800"}}'],
])('a text that no database keeps is refused: %s', async (_what, body) => {
  expect(await post(body)).toMatchObject(refused(400, 'U+0000'));
});

test('a surrogate pair is one character', async () => {
  expect((await post('{"cname":"ch1","uid":"1","clientRequest":{"x":"\\ud83d\\udc69"}}')).status).toBe(200);
});

test('members that name prototypes are data', async () => {
  const names = '"cname":"ch1","uid":"1","clientRequest":{}';
  for (const member of ['"__proto__":{"polluted":1}', '"constructor":{"prototype":{"polluted":1}}'])
    expect((await post(`{${member},${names}}`)).status).toBe(200);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  expect(await post(`{"__proto__":{${names}}}`)).toMatchObject(refused(400, 'cname'));
});

describe('methods and headers that clients send', () => {
  const query = `${BASE}/resourceid/r/sid/s/mode/mix/query`;
  test.each([
    [{ 'content-type': 'application/json' }, undefined],
    [{ 'content-type': 'application/json' }, 'null'],
    [{ 'content-type': 'text/xml', 'content-encoding': 'gzip' }, '<a/>'],
  ])('GET with %o and the body %j is answered as without', async (headers, payload) => {
    const answer = await buildEdge().inject({
      method: 'GET',
      url: query,
      headers: { authorization: AUTHORIZATION, ...headers } as Record<string, string>,
      ...(payload !== undefined && { payload }),
    });
    expect(answer.json()).toEqual({ code: 404, reason: 'failed to find worker' });
  });

  test.each(['HEAD', 'OPTIONS', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'PROPFIND'])('%s has no route', async (method) => {
    const paths = [ACQUIRE, query, `/v1/apps/${APP}/aircheck/channels/a`, '/v1/ncs/ip'];
    for (const url of paths) {
      const answer = await buildEdge().inject({
        method: method as 'PUT',
        url,
        payload: '{ not json',
        headers: {
          authorization: AUTHORIZATION,
          'content-type': 'application/json',
          origin: 'https://example.com',
          'access-control-request-method': 'POST',
        },
      });
      expect(answer.statusCode).toBe(404);
      expect(answer.headers['x-request-id']).toBeTruthy();
      expect(Object.keys(answer.headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
      if (method !== 'HEAD') expect(answer.json()).toEqual({ message: 'no Route matched with those values' });
    }
  });
});
