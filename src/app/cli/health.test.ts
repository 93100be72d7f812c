import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, expect, test } from 'vitest';
import { healthRoute } from '../../http/health.ts';
import { buildHttp } from '../../http/server.ts';
import { health } from './health.ts';
import { makeCertificates } from './moving/certificates.ts';

let close: () => unknown = () => {};
afterEach(() => close());

/** A server that is as well as `check` says, on a port of its own. */
async function serve(check: () => Promise<{ recordings: number }>, tls?: { cert: string; key: string }) {
  const app = buildHttp({ log: pino({ level: 'silent' }), tls });
  healthRoute(app, check);
  await app.listen({ host: '127.0.0.1', port: 0 });
  close = () => app.close();
  return (app.server.address() as AddressInfo).port;
}
async function said(config: { host?: string; port: number; tlsCertFile?: string }): Promise<string> {
  const lines: string[] = [];
  await health({ host: '127.0.0.1', tlsCertFile: '', ...config }, (line) => void lines.push(line));
  return lines.join('');
}

test('a server that works is healthy, also when it listens everywhere', async () => {
  const port = await serve(async () => ({ recordings: 2 }));
  for (const host of ['127.0.0.1', '0.0.0.0'])
    expect(JSON.parse(await said({ host, port }))).toEqual({ status: 'ok', recordings: 2 });
});

test('one that says that it does not work, and one that says nothing, are not', async () => {
  const port = await serve(() => Promise.reject(new Error('the database is away')));
  await expect(said({ port })).rejects.toThrow(/answers 503: .*the database is away/);
  await close();
  close = () => {};
  await expect(said({ port })).rejects.toThrow(/does not answer: .*ECONNREFUSED/);
});

test('over TLS its certificate need not be for the address that is asked', async () => {
  const identity = await makeCertificates({ hosts: ['recorder.example.com'], nowMs: Date.now(), days: 1 });
  const port = await serve(async () => ({ recordings: 0 }), identity);
  expect(JSON.parse(await said({ port, tlsCertFile: 'cert.pem' })).status).toBe('ok');
});
