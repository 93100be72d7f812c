import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { AircheckClient } from './client.ts';
import type { ClientOptions, Remark } from './exchange.ts';

const NAMES = { cname: 'ch1', uid: '527841' };
const RECORDING = { ...NAMES, resourceId: 'r', sid: 's', mode: 'mix' } as const;

type Scripted = { status: number; body?: unknown; headers?: Record<string, string> } | Error;
/** A client that is answered with these, in order, and then with the last again. */
function scripted(answers: Scripted[], more: Partial<ClientOptions> = {}) {
  const asked: { url: string; init: RequestInit; atMs: number }[] = [];
  const remarks: Remark[] = [];
  const client = new AircheckClient({
    ...{ url: 'https://record.example.com/', appId: 'a'.repeat(32), customerId: 'id', customerSecret: 'sé:cret' },
    onRemark: (remark) => remarks.push(remark),
    fetch: async (url, init) => {
      const answer = answers[Math.min(asked.length, answers.length - 1)] as Scripted;
      asked.push({ url, init, atMs: performance.now() });
      if (answer instanceof Error) throw answer;
      const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? {});
      return new Response(body, { status: answer.status, headers: { 'x-request-id': 'req', ...answer.headers } });
    },
    ...more,
  });
  return { client, asked, remarks };
}
const TIMEOUT_62 = { status: 500, body: { code: 62, reason: 'request timeout' } };
const GOOD = { status: 200, body: { ...NAMES, resourceId: 'r', sid: 's' } };

describe('with time held', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] }));
  afterEach(() => void vi.useRealTimers());

  test('a start that the server was too slow for is made again with the same resource, and its sid is told', async () => {
    const { client, asked, remarks } = scripted([
      TIMEOUT_62,
      { status: 206, body: { code: 65, reason: 'request not completed' } },
      { status: 201, body: { ...GOOD.body, code: 7, reason: 'already started' } },
    ]);
    const storageConfig = { vendor: 1000, bucket: 'b' } as const;
    const started = client.start('mix', { ...NAMES, resourceId: 'r', clientRequest: { storageConfig } });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(await started).toEqual(RECORDING);
    expect(asked.map(({ atMs }) => atMs - asked[0]!.atMs)).toEqual([0, 3000, 9000]);
    expect(new Set(asked.map(({ url, init }) => `${url} ${init.body}`)).size).toBe(1);
    expect(remarks.map((remark) => remark.kind === 'retry' && remark.afterMs)).toEqual([3000, 6000]);
  });

  test('it is told how often it was tried when the deadline would pass before the next', async () => {
    const { client, asked } = scripted([TIMEOUT_62], { deadlineMs: 8_000 });
    const refused = expect(client.query(RECORDING)).rejects.toMatchObject({
      ...{ name: 'AircheckError', status: 500, code: 62, reason: 'request timeout', attempts: 2, requestId: 'req' },
      message: 'query: request timeout (HTTP 500, code 62)',
    });
    await vi.advanceTimersByTimeAsync(20_000);
    await refused;
    expect(asked).toHaveLength(2);
  });

  test('no answer is asked for again, and says why there was none', async () => {
    const { client, asked } = scripted([new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })]);
    const refused = expect(client.channel('a b/c')).rejects.toMatchObject({
      ...{ status: undefined, attempts: 6 },
      message: 'channel: no answer from https://record.example.com: connect ECONNREFUSED',
    });
    await vi.advanceTimersByTimeAsync(60_000);
    await refused;
    expect(asked[0]?.url).toBe(`https://record.example.com/v1/apps/${'a'.repeat(32)}/aircheck/channels/a%20b%2Fc`);
  });

  test('an abort ends the wait for the next try', async () => {
    const { client, asked } = scripted([TIMEOUT_62]);
    const stop = new AbortController();
    const given = expect(client.query(RECORDING, { signal: stop.signal })).rejects.toThrow('enough');
    await vi.advanceTimersByTimeAsync(1_000);
    stop.abort(new Error('enough'));
    await given;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(asked).toHaveLength(1);
  });

  test('finish goes on where a stop was answered to nobody, until the recording has ended', async () => {
    const report = { ...RECORDING, phase: 'uploading', files: [] };
    const { client, asked } = scripted([
      new TypeError('socket closed'),
      { status: 400, body: { code: 49, reason: 'invalid operation' } },
      { status: 200, body: report },
      { status: 200, body: { ...report, phase: 'ended' } },
    ]);
    const finished = client.finish(RECORDING);
    await vi.advanceTimersByTimeAsync(20_000);
    expect(await finished).toMatchObject({ phase: 'ended' });
    expect(asked.map(({ url }) => url.split('/').at(-1))).toEqual(['stop', 'stop', 's', 's']);
  });
});

test('what cannot be put right by asking again is told at once, in the server’s words', async () => {
  const { client, asked } = scripted([
    { status: 400, body: { cname: 'ch1', code: 53, reason: 'task conflict' } },
    { status: 401, body: { message: 'Invalid authentication credentials' } },
    { status: 413, body: '<html>\n  <h1>Too large</h1>' },
    { status: 404, body: { code: 404, reason: 'failed to find worker' } },
  ]);
  const told = () => client.query(RECORDING).catch((error) => error);
  expect(await told()).toMatchObject({ status: 400, code: 53, message: expect.stringContaining('task conflict') });
  expect(await told()).toMatchObject({ status: 401, code: undefined, reason: 'Invalid authentication credentials' });
  expect(await told()).toMatchObject({ status: 413, reason: '<html> <h1>Too large</h1>' });
  expect(await told()).toMatchObject({ isGone: true, isStopping: false });
  expect(asked).toHaveLength(4);
});

test('sending an event again is never done twice for one call', async () => {
  const { client, asked } = scripted([new TypeError('fetch failed')]);
  await expect(client.redeliver('n')).rejects.toMatchObject({ attempts: 1 });
  expect(asked).toHaveLength(1);
});

test('credentials go out as UTF-8, and warnings are told beside the answer', async () => {
  const { client, asked, remarks } = scripted([
    { ...GOOD, headers: { 'x-aircheck-warnings': '2', 'x-aircheck-store-warning': 'no such bucket' } },
  ]);
  await client.updateLayout(RECORDING, { mixedVideoLayout: 1 });
  const { authorization } = asked[0]!.init.headers as Record<string, string>;
  expect(Buffer.from(String(authorization?.slice('Basic '.length)), 'base64').toString()).toBe('id:sé:cret');
  expect(remarks).toEqual([
    { kind: 'warnings', call: 'updateLayout', count: 2, store: 'no such bucket', requestId: 'req' },
  ]);
});

test.each(['record.example.com', 'ftp://record.example.com', 'https://id:secret@record.example.com'])(
  'the address %s is refused',
  (url) => {
    expect(() => scripted([], { url })).toThrow(TypeError);
  },
);
