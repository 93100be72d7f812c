import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type MetricsSource, metricsRoute, openMetricsPort } from './metrics.ts';
import { buildHttp } from './server.ts';

const OTHER = '2'.repeat(32);
const log = pino({ level: 'silent' });
const source: MetricsSource = {
  ofServer: async () => 'all 1\n',
  ofApps: async (apps) => `of ${apps.join()}\n`,
};
const app = buildHttp({ log });

beforeAll(async () => {
  metricsRoute(app, {
    customers: [
      { id: 'all', secret: 's', apps: undefined },
      { id: 'some', secret: 's', apps: [OTHER] },
      { id: 'none', secret: 's', apps: [] },
    ],
    source,
  });
  await app.ready();
});
afterAll(() => app.close());

async function read(customer?: string) {
  const authorization = `Basic ${Buffer.from(`${customer}:s`).toString('base64')}`;
  const { statusCode, headers, body } = await app.inject({
    url: '/metrics',
    headers: customer ? { authorization } : {},
  });
  return { status: statusCode, type: headers['content-type'], body };
}

test('who may use all apps sees the whole server, in the text format that Prometheus reads', async () => {
  const type = 'text/plain; version=0.0.4; charset=utf-8';
  expect(await read('all')).toEqual({ status: 200, type, body: 'all 1\n' });
});

test('a customer sees its own apps alone, even when it has none', async () => {
  expect((await read('some')).body).toBe(`of ${OTHER}\n`);
  expect((await read('none')).body).toBe('of \n');
});

test('a stranger sees nothing', async () => {
  expect((await read()).status).toBe(401);
  expect((await read('nobody')).status).toBe(401);
});

test('a port of its own asks for no credentials, and has nothing else', async () => {
  const port = await openMetricsPort(source, { host: '127.0.0.1', port: 0, log });
  try {
    const { port: number } = port.server.address() as { port: number };
    const answer = await fetch(`http://127.0.0.1:${number}/metrics`);
    expect([answer.status, await answer.text()]).toEqual([200, 'all 1\n']);
    expect((await fetch(`http://127.0.0.1:${number}/healthz`)).status).toBe(404);
    // Whoever takes the port twice is told which settings to change.
    const again = openMetricsPort(source, { host: '127.0.0.1', port: number, log });
    await expect(again).rejects.toThrow(/AIRCHECK_METRICS_HOST and AIRCHECK_METRICS_PORT/);
  } finally {
    await port.close();
  }
});
