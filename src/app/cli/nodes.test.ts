import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { NodesReply } from '../../contract/rest/nodes.ts';
import { drain } from './drain.ts';
import { nodes, nodesTable } from './nodes.ts';

const node = (name: string, more: Partial<NodesReply['nodes'][number]> = {}): NodesReply['nodes'][number] => ({
  ...{ id: name, name, version: '0.1.0', wire: 1, nodeUrl: `http://${name}:7302`, publicUrl: `https://${name}` },
  ...{ state: 'live', capacity: { cores: 2, bytes: 4e9 }, load: { cores: 0.5, bytes: 1e9 }, recordings: 1 },
  ...{ publishers: 2, seenMsAgo: 420, ...more },
});

let server: Server;
let asked: string[];
let replies: NodesReply[];
let printed: string;

beforeEach(async () => {
  asked = [];
  printed = '';
  server = createServer(({ method, url, headers }, response) => {
    asked.push(`${method} ${url} ${Buffer.from(headers.authorization?.split(' ')[1] ?? '', 'base64')}`);
    const reply = url === '/v1/aircheck/nodes' ? (replies.length > 1 ? replies.shift() : replies[0]) : {};
    response.writeHead(200, { connection: 'close' }).end(JSON.stringify(reply));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AIRCHECK_PORT', String((server.address() as AddressInfo).port));
  vi.stubEnv('AIRCHECK_APP_ID', 'a'.repeat(32));
  vi.stubEnv('AIRCHECK_CUSTOMER_ID', 'id');
  vi.stubEnv('AIRCHECK_CUSTOMER_SECRET', 'secret');
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text;
    return true;
  });
});
afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  process.exitCode = undefined;
  await new Promise((resolve) => server.close(resolve));
});

test('the table has a line for each node, and a star at the one that answered', () => {
  const gone = node('two', { state: 'gone', publicUrl: null, seenMsAgo: 61_000 });
  expect(nodesTable({ self: 'one', nodes: [node('one'), gone] }).split('\n')).toEqual([
    '  name  state  version  recordings  publishers  cores       memory         seen        public address',
    '* one   live   0.1.0    1           2           0.5 of 2.0  1.0 of 4.0 GB  0.4 s ago   https://one',
    '  two   gone   0.1.0    1           2           0.5 of 2.0  1.0 of 4.0 GB  61.0 s ago  -',
    '',
  ]);
});

test('nodes are asked for as an operator, and one that is gone shows in the exit code', async () => {
  replies = [{ self: 'one', nodes: [node('one'), node('two', { state: 'draining' })] }];
  await nodes({ json: true });
  expect(JSON.parse(printed)).toEqual(replies[0]);
  expect([asked, process.exitCode]).toEqual([['GET /v1/aircheck/nodes id:secret'], undefined]);
  replies = [{ self: 'one', nodes: [node('one'), node('two', { state: 'gone' })] }];
  await nodes({});
  expect(process.exitCode).toBe(2);
});

test('drain waits until nothing is recorded here, whatever runs elsewhere', async () => {
  const other = node('two', { recordings: 9 });
  replies = [
    { self: 'one', nodes: [node('one', { state: 'draining' }), other] },
    { self: 'one', nodes: [node('one', { state: 'draining', recordings: 0 }), other] },
  ];
  await drain({ wait: 30 });
  expect(asked.map((each) => each.split(' ').slice(0, 2).join(' '))).toEqual([
    'POST /v1/aircheck/drain',
    'GET /v1/aircheck/nodes',
    'GET /v1/aircheck/nodes',
  ]);
  expect([printed, process.exitCode]).toEqual(['draining: no recording is left, 2 publishers are\n', undefined]);
});

test('drain says what is left', async () => {
  const one = node('one', { state: 'draining' });
  replies = [{ self: 'one', nodes: [one, node('two', { nodeUrl: 'http://10.0.0.2:7302' })] }];
  await drain({ wait: 0 });
  expect([printed, process.exitCode]).toEqual(['draining: 1 recordings are left, 2 publishers\n', 0]);
  printed = '';
  replies = [{ self: 'one', nodes: [one] }];
  await drain({ wait: 0 });
  expect(printed).toContain('2 publishers; no other node is there to take them over');
  await drain({ wait: 1 });
  expect(process.exitCode).toBe(2);
  printed = '';
  await drain({ wait: 0, json: true });
  expect(JSON.parse(printed)).toEqual({ draining: true, recordings: 1, publishers: 2, otherNodes: 0 });
  await drain({ wait: 0, undo: true });
  expect(asked.at(-1)).toMatch(/^POST \/v1\/aircheck\/undrain /);
});
