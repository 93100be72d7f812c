/** Connections between nodes: over TLS with certificates on both sides, and when the other side is not there. */
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeCertificates } from '../../app/cli/moving/certificates.ts';
import { buildHttp } from '../server.ts';
import { NodeLinks, type NodeTls } from './links.ts';

const GET = { method: 'GET', url: '/x', headers: {}, body: undefined };

let http: ReturnType<typeof buildHttp> | undefined;
let links: NodeLinks[];
let asked: number;
beforeEach(() => {
  links = [];
  asked = 0;
});
afterEach(async () => {
  await http?.close();
  http = undefined;
  for (const each of links) await each.close();
});

async function serve(tls?: NodeTls): Promise<{ id: string; name: string; wire: number; nodeUrl: string }> {
  const identity = tls && { cert: tls.cert, key: tls.key, clientCa: tls.ca };
  http = buildHttp({ log: pino({ level: 'silent' }), tls: identity });
  http.get('/x', async (_request, reply) => {
    asked++;
    return reply.header('x-some', 'thing').send('here');
  });
  http.get('/never', () => new Promise(() => {}));
  await http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = http.server.address() as AddressInfo;
  return { id: 'n', name: 'n', wire: 1, nodeUrl: `${tls ? 'https' : 'http'}://localhost:${port}` };
}
function link(tls?: NodeTls): NodeLinks {
  const made = new NodeLinks({ keys: ['k'.repeat(32)], databaseMs: () => Date.now(), tls });
  links.push(made);
  return made;
}
async function certificates(): Promise<NodeTls> {
  const made = await makeCertificates({ hosts: ['localhost'], nowMs: Date.now(), days: 1, ofClient: true });
  return { ca: Buffer.from(made.ca), cert: Buffer.from(made.cert), key: Buffer.from(made.key) };
}

test('an answer comes with its status, headers and body, without those of its connection', async () => {
  const answer = await link().send(await serve(), GET, 1_000);
  expect([answer.status, answer.body.toString(), answer.headers['x-some']]).toEqual([200, 'here', 'thing']);
  expect(Object.keys(answer.headers)).not.toContain('connection');
  expect(Object.keys(answer.headers)).not.toContain('content-length');
});

describe('with certificates', () => {
  test('both sides show theirs', async () => {
    const tls = await certificates();
    expect((await link(tls).send(await serve(tls), GET, 1_000)).status).toBe(200);
  });

  test('a node without one, or with one of another authority, does not get in', async () => {
    const [tls, others] = [await certificates(), await certificates()];
    const node = await serve(tls);
    await expect(link({ ...others, ca: tls.ca }).send(node, GET, 1_000)).rejects.toThrow();
    await expect(
      fetch(`${node.nodeUrl}/x`, { headers: { authorization: 'x' } }),
      'and nobody without TLS credentials',
    ).rejects.toThrow();
    expect(asked).toBe(0);
  });

  test('a node whose certificate is of another authority is told nothing', async () => {
    const [tls, others] = [await certificates(), await certificates()];
    await expect(link({ ...tls, ca: others.ca }).send(await serve(tls), GET, 1_000)).rejects.toThrow(
      /self-signed|verify/,
    );
    expect(asked).toBe(0);
  });
});

describe('a node', () => {
  test('that is not there was not reached', async () => {
    const node = await serve();
    await http!.close();
    await expect(link().send(node, GET, 1_000)).rejects.toMatchObject({ code: 'node-unreachable' });
  });

  test('that does not answer in time may have done what it was asked', async () => {
    const node = await serve();
    await expect(link().send(node, { ...GET, url: '/never' }, 100)).rejects.toMatchObject({ code: 'node-silent' });
  });
});
