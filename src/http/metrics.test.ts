import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { metricsRoute, type RecorderSample } from './metrics.ts';
import { buildHttp } from './server.ts';

const [ONE, OTHER] = ['1'.repeat(32), '2'.repeat(32)];
const RECORDERS: RecorderSample[] = [
  { sid: 'a'.repeat(32), appid: ONE!, mode: 'mix', depth: 3, lagUs: 1_250_000, cpuUs: 2_500_000, memoryBytes: 1e8 },
  { sid: 'b'.repeat(32), appid: OTHER!, mode: 'individual', depth: undefined, lagUs: 0, cpuUs: 1e6, memoryBytes: 9e7 },
];
const app = buildHttp({ log: pino({ level: 'silent' }) });

beforeAll(async () => {
  metricsRoute(app, {
    customers: [
      { id: 'all', secret: 's', apps: undefined },
      { id: 'some', secret: 's', apps: [OTHER!] },
    ],
    recordings: () => [ONE!, ONE!, OTHER!],
    recorders: () => RECORDERS,
  });
  await app.ready();
});
afterAll(() => app.close());

async function read(customer?: string) {
  const authorization = `Basic ${Buffer.from(`${customer}:s`).toString('base64')}`;
  const answer = await app.inject({ url: '/metrics', headers: customer ? { authorization } : {} });
  const samples = answer.body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return { ...answer, status: answer.statusCode, samples };
}

test('each recorder has its samples, and one without a picture has no rung', async () => {
  const { status, headers, body, samples } = await read('all');
  expect([status, headers['content-type']]).toEqual([200, 'text/plain; version=0.0.4; charset=utf-8']);
  const [a, b] = [`{sid="${'a'.repeat(32)}",mode="mix"}`, `{sid="${'b'.repeat(32)}",mode="individual"}`];
  expect(samples).toEqual([
    'aircheck_recordings 3',
    `aircheck_recorder_rung${a} 3`,
    `aircheck_recorder_lag_seconds${a} 1.25`,
    `aircheck_recorder_lag_seconds${b} 0`,
    `aircheck_recorder_cpu_seconds_total${a} 2.5`,
    `aircheck_recorder_cpu_seconds_total${b} 1`,
    `aircheck_recorder_memory_bytes${a} 100000000`,
    `aircheck_recorder_memory_bytes${b} 90000000`,
  ]);
  // Every metric is announced before its samples, once, and the text ends with a line feed.
  for (const name of new Set(samples.map((line) => line.split(/[{ ]/)[0]!))) {
    const type = new RegExp(`^# HELP ${name} .+\n# TYPE ${name} (gauge|counter)\n${name}[{ ]`, 'm');
    expect(body.match(type), name).not.toBeNull();
    expect(body.split(`# TYPE ${name} `)).toHaveLength(2);
  }
  expect(body.endsWith('\n')).toBe(true);
});

test('a customer sees no recording of an app that is not its own', async () => {
  const { samples } = await read('some');
  expect(samples[0]).toBe('aircheck_recordings 1');
  expect(samples.some((line) => line.includes('a'.repeat(32)))).toBe(false);
  expect(samples).toHaveLength(4);
});

test('a stranger sees nothing', async () => {
  expect((await read()).status).toBe(401);
  expect((await read('nobody')).status).toBe(401);
});
