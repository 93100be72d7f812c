/** Commands that follow what a server makes, while that is started anew: as they are typed, by a held clock. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { TypedCommands } from '../../../test/support/typed-command.ts';
import { drain } from './drain.ts';

const SID = 'e'.repeat(32);
const MADE = Buffer.from('an MP4, as far as the command knows');
const MIX = {
  ...{ mixId: 'a'.repeat(32), sid: SID, state: 'done', progress: 1, from: 0, to: 10, bytes: MADE.length },
  ...{ file: '/file', error: null, expiresMs: 1, createdMs: 1, endedMs: 2, warnings: [] },
  ...{ users: [], request: {}, attempts: 2 },
};
const CUT = {
  ...{ cutId: 'c'.repeat(32), sid: SID, state: 'done', progress: 1, from: 4, to: 9, startUtcMs: 1 },
  ...{ bytes: MADE.length, file: '/file', error: null, expiresMs: 1 },
};

let dir: string;
let commands: TypedCommands;
let calls: string[];
/** Seconds of the held clock in which the server is away. */
let away: { from: number; to: number };
/** What the server has at a path, by method. */
let answers: (call: string) => object | Buffer | undefined;
let said: string;

const seconds = () => performance.now() / 1000;
const isAway = () => seconds() >= away.from && seconds() < away.to;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-patience-'));
  commands = await TypedCommands.open({});
  [calls, said] = [[], ''];
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said += text;
    return true;
  });
  vi.useFakeTimers({
    toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'hrtime', 'performance'],
  });
  away = { from: seconds() + 0.5, to: seconds() + 20 };
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (url, init) => {
    const path = new URL(String(url)).pathname.replace(/^.*\/aircheck/, '');
    const call = `${init?.method} ${path}`;
    if (isAway()) throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    calls.push(call);
    const answer = answers(call);
    if (answer instanceof Response) return answer;
    if (Buffer.isBuffer(answer)) return new Response(new Uint8Array(answer), { status: 206 });
    const status = answer === undefined ? 404 : call.startsWith('POST') && /(mixes|cuts)$/.test(call) ? 201 : 200;
    return new Response(JSON.stringify(answer ?? { code: 404, reason: 'no such thing' }), { status });
  });
});
afterEach(async () => {
  vi.useRealTimers();
  await commands.close();
  rmSync(dir, { recursive: true });
});

/** Types a command and lets the clock run until it has ended; how long it took by that, and what it printed. */
const type = (...words: string[]) => run(() => commands.type(...words));

async function run<T>(work: () => Promise<T>): Promise<{ tookS: number; printed: T }> {
  const beganS = seconds();
  let isOver = false;
  const ended = work().finally(() => {
    isOver = true;
  });
  ended.catch(() => undefined);
  while (!isOver) {
    // What the command does by the disk takes none of the held time.
    if (vi.getTimerCount() > 0) await vi.advanceTimersByTimeAsync(100);
    await setImmediate();
  }
  return { printed: await ended, tookS: seconds() - beganS };
}

const SEEN = `GET /recordings/${SID}`;

test('a mix that outlives its server is waited for, and brought', async () => {
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    if (call.endsWith('/mixes')) return { ...MIX, state: 'running', progress: 0.5 };
    return call.endsWith('/file') ? MADE : MIX;
  };
  const output = join(dir, 'mix.mp4');
  const { printed, tookS } = await type('mix', SID, '-o', output, '--quiet');
  expect(printed).toBe(`${output}\n`);
  expect(readFileSync(output)).toEqual(MADE);
  expect(tookS).toBeGreaterThan(19);
  expect(tookS).toBeLessThan(27);
  expect(said).toBe('aircheck: the server does not answer; waiting for it\naircheck: the server answers again\n');
  expect(calls.filter((call) => call.startsWith('POST'))).toHaveLength(1);
});

test('a server that stays away is given up after a minute, and one that never answered at once', async () => {
  away.to = Number.POSITIVE_INFINITY;
  answers = (call) => (call === SEEN ? { startedMs: 1 } : { ...MIX, state: 'running', progress: 0.5 });
  const beganS = seconds();
  await expect(type('mix', SID, '-o', join(dir, 'mix.mp4'))).rejects.toThrow('does not answer: connect ECONNREFUSED');
  expect(seconds() - beganS).toBeGreaterThan(59);
  expect(seconds() - beganS).toBeLessThan(70);
  expect(said).toContain(`it goes on with ${MIX.mixId} once it runs`);
  const againS = seconds();
  await expect(type('mix', SID, '-o', join(dir, 'mix.mp4'))).rejects.toThrow('does not answer');
  expect(seconds() - againS).toBeLessThan(1);
});

test('what a server refuses after it came back is told, not asked for again', async () => {
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    return call.startsWith('POST') ? { ...MIX, state: 'running' } : { ...MIX, state: 'failed', error: 'no such user' };
  };
  await expect(type('mix', SID, '-o', join(dir, 'mix.mp4'))).rejects.toThrow('the mix failed: no such user');
});

test('an MP4 whose server goes away while it is brought goes on where it was', async () => {
  away = { from: Number.POSITIVE_INFINITY, to: 0 };
  const pieces = [Buffer.alloc(16_000_000, 'a'), Buffer.from('the end')];
  const bytes = 16_000_007;
  let files = 0;
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    if (!call.endsWith('/file')) return { ...MIX, bytes };
    files++;
    away = files === 1 ? { from: seconds(), to: seconds() + 10 } : away;
    return pieces[files - 1];
  };
  const output = join(dir, 'mix.mp4');
  await type('mix', SID, '-o', output, '--quiet');
  expect([files, readFileSync(output).equals(Buffer.concat(pieces))]).toEqual([2, true]);
});

test('a cut that the new server knows nothing of is made again, once', async () => {
  let made = 0;
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    if (call.startsWith('POST')) {
      made++;
      return { ...CUT, state: 'running', cutId: String(made).repeat(32) };
    }
    if (call.includes('1'.repeat(32))) return undefined;
    return call.endsWith('/file') ? MADE : CUT;
  };
  const output = join(dir, 'part.mp4');
  const cut = ['cut', SID, '--from', '4', '--to', '9', '-o', output];
  expect((await type(...cut)).printed).toBe(`${output}\n`);
  expect([made, readFileSync(output)]).toEqual([2, MADE]);
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    return call.startsWith('POST') ? { ...CUT, state: 'running' } : undefined;
  };
  await expect(type(...cut, '--force')).rejects.toThrow('somebody called it off');
});

test('stop, and the tail of events, go on when the server is back', async () => {
  const report = { cname: 'room', uid: '1', resourceId: 'r', mode: 'mix', files: [{ fileName: 'room_0.mp4' }] };
  answers = (call) => {
    if (call === SEEN)
      return { ...report, phase: calls.filter((each) => each === SEEN).length < 3 ? 'uploading' : 'ended' };
    return { ...report, serverResponse: {} };
  };
  const { printed, tookS } = await type('stop', SID);
  expect(printed).toBe('room_0.mp4\n');
  expect(tookS).toBeGreaterThan(19);

  away = { from: seconds() + 0.5, to: seconds() + 20 };
  let looks = 0;
  answers = () => {
    looks++;
    return looks < 4 ? { events: [], next: 0 } : undefined;
  };
  await expect(type('events', '--follow')).rejects.toThrow('no such thing');
  expect(seconds()).toBeGreaterThan(away.to);
});

test('a cut whose server is started anew while it is brought is made again, once', async () => {
  away = { from: Number.POSITIVE_INFINITY, to: 0 };
  let made = 0;
  answers = (call) => {
    if (call === SEEN) return { startedMs: 1 };
    if (call.startsWith('POST')) {
      made++;
      return { ...CUT, cutId: String(made).repeat(32) };
    }
    return call.endsWith('/file') && made > 1 ? MADE : undefined;
  };
  const output = join(dir, 'part.mp4');
  const cut = ['cut', SID, '--from', '4', '--to', '9', '-o', output];
  expect((await type(...cut)).printed).toBe(`${output}\n`);
  expect([made, readFileSync(output)]).toEqual([2, MADE]);
  answers = (call) => (call === SEEN ? { startedMs: 1 } : call.startsWith('POST') ? CUT : undefined);
  await expect(type(...cut, '--force')).rejects.toThrow('somebody called it off');
});

test('Ctrl-C ends a mix within seconds also where the server takes connections and answers nothing', async () => {
  away = { from: Number.POSITIVE_INFINITY, to: 0 };
  vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
    const late = new AbortController();
    setTimeout(() => late.abort(new Error('it took too long')), ms);
    return late.signal;
  });
  answers = (call) => (call === SEEN ? { startedMs: 1 } : { ...MIX, state: 'running', progress: 0.5 });
  const answering = vi.mocked(globalThis.fetch).getMockImplementation()!;
  vi.mocked(globalThis.fetch).mockImplementation((url, init) => {
    if (!/mixes\/./.test(String(url))) return answering(url, init);
    if (init?.method === 'GET') process.emit('SIGINT', 'SIGINT');
    return new Promise((_, reject) => {
      const { signal } = init ?? {};
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
  });
  const beganS = seconds();
  await expect(type('mix', SID, '-o', join(dir, 'mix.mp4'), '--quiet')).rejects.toThrow('ended by SIGINT');
  expect(seconds() - beganS).toBeLessThan(15);
  expect(said).toContain(`it goes on with ${MIX.mixId}`);
});

test.each([
  ['another server is at its address', 404, { code: 404, reason: 'no such recording' }, '`aircheck recordings` lists'],
  ['the server has other credentials', 401, { message: 'Invalid authentication credentials' }, 'give --customer'],
])('record ends, and says that the recording goes on, where %s', async (_what, status, body, words) => {
  const recording = { cname: 'room', uid: '1', resourceId: 'r', sid: SID, mode: 'mix', files: [] };
  answers = (call) => {
    if (call.startsWith('POST')) return recording;
    if (seconds() > away.to) return new Response(JSON.stringify(body), { status });
    return call === SEEN ? { ...recording, phase: 'recording' } : { participants: [], recordings: [] };
  };
  await expect(type('record', 'room')).rejects.toThrow(words);
  expect(seconds()).toBeGreaterThan(away.to);
  expect(said).toContain(`nor stopped: \`aircheck stop ${SID}\``);
});

test('record leaves most of the calls that an app may make to others', async () => {
  away = { from: Number.POSITIVE_INFINITY, to: 0 };
  const recording = { cname: 'room', uid: '1', resourceId: 'r', sid: SID, mode: 'mix', files: [] };
  const endS = seconds() + 30;
  answers = (call) => {
    if (call.startsWith('POST')) return recording;
    const phase = seconds() < endS ? 'recording' : 'ended';
    return call === SEEN ? { ...recording, phase, healthy: true } : { participants: [], recordings: [] };
  };
  await type('record', 'room');
  const looks = calls.filter((call) => call === SEEN).length;
  expect(looks).toBeGreaterThan(25);
  expect(calls.length).toBeLessThan(1.4 * looks);
  expect(said.match(/nobody is there/g)?.length).toBe(3);
});

test('record says why a recording is over that nobody stopped, and waits for its files', async () => {
  away = { from: Number.POSITIVE_INFINITY, to: 0 };
  const recording = { cname: 'room', uid: '1', resourceId: 'r', sid: SID, mode: 'mix', files: [], healthy: false };
  const ending = 'the store refuses files: there is no such bucket';
  const refusedS = seconds() + 5;
  answers = (call) => {
    if (call.startsWith('POST')) return recording;
    if (call !== SEEN) return { participants: [], recordings: [] };
    const phase = seconds() < refusedS ? 'recording' : seconds() < refusedS + 60 ? 'uploading' : 'ended';
    return { ...recording, phase, ending };
  };
  const { tookS } = await type('record', 'room', '--for', '600');
  expect(said).toMatch(/it is over: the store refuses files: there is no such bucket\n.*waiting until all files/);
  expect(tookS).toBeGreaterThan(60);
  expect(tookS).toBeLessThan(80);
});

describe('drain', () => {
  beforeEach(() => {
    vi.stubEnv('AIRCHECK_APP_ID', 'a'.repeat(32));
    vi.stubEnv('AIRCHECK_CUSTOMER_ID', 'id');
    vi.stubEnv('AIRCHECK_CUSTOMER_SECRET', 'secret');
  });
  afterEach(() => vi.unstubAllEnvs());
  const node = (id: string, state: 'live' | 'draining', recordings: number) => ({
    ...{ self: id, id, name: id, version: '1', wire: 1, nodeUrl: null, publicUrl: null, state, recordings },
    ...{ capacity: { cores: 1, bytes: 1 }, load: { cores: 1, bytes: 1 }, publishers: 0, seenMsAgo: 1 },
  });
  const reply = (own: ReturnType<typeof node>) => ({ self: own.id, nodes: [own] });

  test('waits for a server that is started anew, and has it take nothing new again', async () => {
    answers = (call) => {
      if (call === 'POST /drain') return {};
      if (seconds() < away.from) return reply(node('one', 'draining', 1));
      const asked = calls.filter((each) => each === 'POST /drain').length;
      return reply(asked < 2 ? node('two', 'live', 1) : node('two', 'draining', 0));
    };
    await run(() => drain({ wait: 600 }));
    expect(commands.printed).toBe('draining: no recording is left, 0 publishers are\n');
    expect(calls.filter((call) => call === 'POST /drain')).toHaveLength(2);
    expect(said).toContain('started anew, and has been told again to take nothing new');
  });

  test('ends with its wait, or after a minute, where the server stays away', async () => {
    for (const [wait, fromS, toS, words] of [
      [30, 30, 45, 'the wait is over, and the server does not answer'],
      [600, 60, 75, 'does not answer: connect ECONNREFUSED'],
    ] as const) {
      away = { from: seconds() + 0.5, to: Number.POSITIVE_INFINITY };
      answers = () => reply(node('one', 'draining', 1));
      const beganS = seconds();
      await expect(run(() => drain({ wait }))).rejects.toThrow(words);
      expect(seconds() - beganS).toBeGreaterThan(fromS - 1);
      expect(seconds() - beganS).toBeLessThan(toS);
    }
  });
});
