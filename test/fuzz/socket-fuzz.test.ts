/**
 * Bytes that are no good HTTP, over real sockets: each is answered with what is documented, or, where there is no
 * request to answer, with a bare status line; and the server goes on.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import fc from 'fast-check';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PROBLEMS } from '../../src/contract/problems.ts';
import { BODY_LIMIT_BYTES } from '../../src/http/server.ts';
import { ACQUIRE, ACQUIRE_BODY, AUTHORIZATION, listenEdge } from '../support/edge-server.ts';

let app: FastifyInstance;
let port: number;
beforeAll(async () => {
  ({ app, port } = await listenEdge());
});
afterAll(() => app.close());

type Answer = { status: number; body: string };

/** Sends all, says that there is no more, and reads to the end. */
async function exchange(bytes: Buffer): Promise<Answer[]> {
  const socket = connect(port, '127.0.0.1');
  // The server may close before it has been sent everything.
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.end(bytes);
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await new Promise<void>((done) => socket.once('close', () => done()));
  return answersIn(Buffer.concat(chunks).toString('latin1'));
}

/** The final answers in what a connection was sent. */
function answersIn(text: string): Answer[] {
  const answers: Answer[] = [];
  for (let rest = text; rest !== ''; ) {
    const head = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[^\r\n]+\r\n)*)\r\n/.exec(rest);
    if (!head) throw new Error(`this is no answer: ${JSON.stringify(rest.slice(0, 300))}`);
    const [whole, status = '', headers = ''] = head;
    const length = Number(/^content-length: (\d+)\r$/im.exec(headers)?.[1] ?? 0);
    const body = rest.slice(whole.length, whole.length + length);
    rest = rest.slice(whole.length + length);
    if (/^transfer-encoding: chunked\r$/im.test(headers)) rest = rest.replace(/^0\r\n\r\n/, '');
    if (status !== '100') answers.push({ status: Number(status), body });
  }
  return answers;
}

/**
 * What Node answers, without a body, where there is no request: bad syntax, bad expectations, too long a head, a method
 * it has not.
 */
const BARE = [400, 408, 411, 413, 417, 431, 501, 505];

function undocumented({ status, body }: Answer): string | undefined {
  if (body === '') return BARE.includes(status) || status === 404 ? undefined : `a bare ${status}`;
  const parsed = JSON.parse(body) as Record<string, unknown>;
  if (status === 200) return parsed['resourceId'] === 'made' ? undefined : body;
  const known = Object.values(PROBLEMS).some(
    (problem) =>
      problem.http === status &&
      problem.http < 500 &&
      (problem.shape === 'gateway' ? problem.message === parsed['message'] : problem.code === parsed['code']),
  );
  return known ? undefined : `${status} ${body}`;
}

const request = (body: Buffer | string, headers: string[] = [], line = `POST ${ACQUIRE} HTTP/1.1`) =>
  Buffer.concat([
    Buffer.from(
      [line, 'Host: a', `Authorization: ${AUTHORIZATION}`, `Content-Length: ${body.length}`, ...headers, '', ''].join(
        '\r\n',
      ),
      'latin1',
    ),
    Buffer.from(body),
  ]);
const VALID = request(ACQUIRE_BODY);
const chunked = (body: string) =>
  Buffer.from(
    `POST ${ACQUIRE} HTTP/1.1\r\nHost: a\r\nAuthorization: ${AUTHORIZATION}\r\nTransfer-Encoding: chunked\r\n\r\n${body}`,
  );

describe('told cases', () => {
  test.each<[what: string, bytes: Buffer, statuses: number[]]>([
    ['a good request', VALID, [200]],
    ['two good requests at once', Buffer.concat([VALID, VALID]), [200, 200]],
    ['a body of bytes that are no UTF-8', request(Buffer.from([0x22, 0xff, 0xfe, 0x22])), [400]],
    ['a body cut short', VALID.subarray(0, -5), [400]],
    ['a JSON text cut short', request('{"cname":"ch'), [400]],
    ['garbage', Buffer.from('\u0000\u0001\u0002\r\n\r\n'), [400]],
    ['a TLS greeting', Buffer.from('1603010200010001fc0303', 'hex'), [400]],
    ['no Host', Buffer.from('GET / HTTP/1.1\r\n\r\n'), [400]],
    ['a method nobody has', request('', [], `FETCH ${ACQUIRE} HTTP/1.1`), [400]],
    ['HTTP/9.9', request('', [], `POST ${ACQUIRE} HTTP/9.9`), [400]],
    ['two lengths', request(ACQUIRE_BODY, ['Content-Length: 3']), [400]],
    ['a length and chunks', request(ACQUIRE_BODY, ['Transfer-Encoding: chunked']), [400]],
    ['an expectation nobody meets', request(ACQUIRE_BODY, ['Expect: 200-maybe']), [417]],
    ['an expectation of going on', request(ACQUIRE_BODY, ['Expect: 100-continue']), [200]],
    ['an upgrade', request(ACQUIRE_BODY, ['Connection: Upgrade', 'Upgrade: websocket']), [200]],
    ['many headers', request(ACQUIRE_BODY, Array(500).fill('X-A: b')), [200]],
    ['a long header', request(ACQUIRE_BODY, [`X-A: ${'b'.repeat(20_000)}`]), [431]],
    ['a whole address', request(ACQUIRE_BODY, [], `POST http://a${ACQUIRE} HTTP/1.1`), [200]],
    ['chunks', chunked(`${ACQUIRE_BODY.length.toString(16)}\r\n${ACQUIRE_BODY}\r\n0\r\n\r\n`), [200]],
    ['a chunk of bad length', chunked('zz\r\n{}\r\n0\r\n\r\n'), [400]],
  ])('%s', async (_what, bytes, statuses) => {
    const answers = await exchange(bytes);
    expect(answers.map(({ status }) => status)).toEqual(statuses);
    expect(answers.map(undocumented)).toEqual(statuses.map(() => undefined));
  });

  test.each([
    ['says its length', request(Buffer.alloc(BODY_LIMIT_BYTES + 1, 0x20))],
    ['comes in chunks', chunked(`${(2 ** 21).toString(16)}\r\n${' '.repeat(2 ** 21)}\r\n0\r\n\r\n`)],
  ])('a body that is too large and %s is answered while it is sent', async (_what, bytes) => {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => {});
    await once(socket, 'connect');
    socket.write(bytes);
    const [first] = (await once(socket, 'data')) as [Buffer];
    expect(answersIn(first.toString('latin1'))).toEqual([
      { status: 413, body: '{"message":"Request size limit exceeded"}' },
    ]);
    socket.destroy();
  });

  test('callers that leave in the middle are forgotten', async () => {
    for (let cut = 1; cut < VALID.length; cut += 7) {
      const socket = connect(port, '127.0.0.1');
      await once(socket, 'connect');
      socket.write(VALID.subarray(0, cut));
      socket.resetAndDestroy();
    }
    expect((await exchange(VALID)).map(({ status }) => status)).toEqual([200]);
  });
});

test('spoilt bytes of good requests', async () => {
  const change = fc.record({
    at: fc.nat(100_000),
    how: fc.constantFrom('replace', 'insert', 'drop', 'cut', 'double'),
    bytes: fc.oneof(
      fc.uint8Array({ minLength: 1, maxLength: 12 }),
      fc
        .constantFrom(
          '\r\n',
          '\n',
          '\r\n\r\n',
          ' ',
          ':',
          '\u0000',
          '%',
          'Content-Length: 0\r\n',
          'Transfer-Encoding: x\r\n',
        )
        .map((text) => new Uint8Array(Buffer.from(text))),
    ),
  });
  const statuses = new Map<number, number>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(change, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 3 }),
      async (changes, times) => {
        let bytes = Buffer.concat(Array<Buffer>(times).fill(VALID));
        for (const { at, how, bytes: given } of changes) {
          const cut = at % (bytes.length + 1);
          const [head, tail] = [bytes.subarray(0, cut), bytes.subarray(cut)];
          if (how === 'replace') bytes = Buffer.concat([head, given, tail.subarray(given.length)]);
          else if (how === 'insert') bytes = Buffer.concat([head, given, tail]);
          else if (how === 'drop') bytes = Buffer.concat([head, tail.subarray(given.length)]);
          else if (how === 'double') bytes = Buffer.concat([head, tail, tail]);
          else bytes = Buffer.from(head);
        }
        for (const answer of await exchange(bytes)) {
          expect(undocumented(answer), JSON.stringify(bytes.toString('latin1'))).toBeUndefined();
          statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
        }
      },
    ),
    { numRuns: 600, seed: 1 },
  );
  for (const status of [200, 400, 401, 404]) expect(statuses.get(status) ?? 0, `${status}`).toBeGreaterThan(5);
  expect((await exchange(VALID)).map(({ status }) => status)).toEqual([200]);
});
