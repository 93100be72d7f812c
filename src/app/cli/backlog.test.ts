import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { backlog } from './backlog.ts';

let server: Server;
let answer: (response: ServerResponse) => void;

beforeEach(async () => {
  server = createServer((_request, response) => answer(response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  vi.stubEnv('AIRCHECK_PORT', String((server.address() as AddressInfo).port));
  vi.stubEnv('AIRCHECK_APP_ID', 'a'.repeat(32));
  vi.stubEnv('AIRCHECK_CUSTOMER_ID', 'id');
  vi.stubEnv('AIRCHECK_CUSTOMER_SECRET', 'secret');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await new Promise((resolve) => server.close(resolve));
});

const refuse = (status: number, body: object) => (response: ServerResponse) => {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
};

test.each([{}, { retry: 'f'.repeat(32) }])(
  'other credentials than the server has are told in words (%o)',
  async (words) => {
    answer = refuse(401, { message: 'Invalid authentication credentials' });
    await expect(backlog(words)).rejects.toMatchObject({
      code: 'server-refused',
      message: expect.stringMatching(/answered 401: .*Invalid authentication credentials.*data folder of the server/),
    });
  },
);

test('files that wait for a node are told apart from those that wait for their store', async () => {
  const entry = { sid: 'c'.repeat(32), where: 'spool', files: 1, bytes: 2_000_000, sinceMs: 0, attempts: 2 };
  const away = { ...entry, lastError: null, nextTryMs: null, waitsFor: 'node2' };
  answer = (response) => {
    const body = { backlog: [away, { ...entry, lastError: 'is away', nextTryMs: 1000 }] };
    response.writeHead(200, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
  };
  const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    await backlog({});
    expect(written.mock.calls.join('').split('\n')).toEqual([
      `${entry.sid}  spool  1 file, 2.0 MB, since 1970-01-01T00:00:00.000Z, 2 tries`,
      '    waits for the node node2, which was gone',
      `${entry.sid}  spool  1 file, 2.0 MB, since 1970-01-01T00:00:00.000Z, 2 tries, next try 1970-01-01T00:00:01.000Z`,
      '    is away',
      '',
    ]);
  } finally {
    written.mockRestore();
  }
});

test('what the backup store does not have is told apart from a refusal', async () => {
  answer = refuse(404, { code: 404, reason: 'no such recording' });
  await expect(backlog({ retry: 'f'.repeat(32) })).rejects.toMatchObject({ code: 'backlog-unknown' });
});

test.each(['', 'room', 'f'.repeat(31), `${'f'.repeat(32)}/..`])('%j is no sid, and nobody is asked', async (retry) => {
  answer = () => expect.unreachable();
  await expect(backlog({ retry })).rejects.toMatchObject({
    code: 'backlog-unknown',
    message: expect.stringMatching(/is not the sid of a recording: that is 32 hexadecimal/),
  });
});

test('a server that is not there is told with the reason', async () => {
  await new Promise((resolve) => server.close(resolve));
  await expect(backlog({})).rejects.toMatchObject({
    code: 'server-unreachable',
    message: expect.stringMatching(/127\.0\.0\.1:\d+ does not answer: .*ECONNREFUSED/),
  });
});
