/** `aircheck cut` as it is typed, against the server's own routes. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { start } from '../../../test/support/rest-api.ts';
import { TypedCommands } from '../../../test/support/typed-command.ts';
import { problem } from '../../contract/problems.ts';
import type { CutReply } from '../../contract/rest/cut.ts';

const MP4 = Buffer.from('an MP4, as far as the command knows');
const CUT: CutReply = {
  ...{ cutId: 'c'.repeat(32), sid: '', state: 'done', progress: 1, from: 4, to: 9, startUtcMs: 1 },
  ...{ bytes: MP4.length, file: '/path', error: null, expiresMs: 1 },
};
let dir: string;
let commands: TypedCommands;
let asked: unknown[];
let refusal: Error | undefined;
let sid: string;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-cut-'));
  writeFileSync(join(dir, 'made'), MP4);
  asked = [];
  refusal = undefined;
  commands = await TypedCommands.open({
    cuts: {
      async begin(_appid, _sid, request) {
        asked.push(request);
        if (refusal) throw refusal;
        return CUT;
      },
      of: () => CUT,
      file: () => ({ path: join(dir, 'made'), bytes: MP4.length, name: 'x.mp4' }),
      remove: async (_appid, _sid, cutId) => void asked.push(['removed', cutId]),
    },
  });
  ({ sid } = await start());
});
afterEach(async () => {
  await commands.close();
  rmSync(dir, { recursive: true });
});
const cut = (...words: string[]) => commands.type('cut', sid, '--from', '4', '--to', '+0:09', '--quiet', ...words);

test('the MP4 comes here from a server that is named, and the server need not keep it', async () => {
  const output = join(dir, 'part.mp4');
  expect(await cut('-o', output, '--uid', '7')).toBe(`${output}\n`);
  expect(readFileSync(output).equals(MP4)).toBe(true);
  expect(asked).toEqual([{ from: 4, to: 9, uid: '7' }, ['removed', CUT.cutId]]);
});

test('as JSON, with where the MP4 is', async () => {
  const output = join(dir, 'part.mp4');
  expect(JSON.parse(await cut('-o', output, '--json'))).toEqual({ ...CUT, file: output });
});

test('what the server refuses is said with what to do next, and nothing is left', async () => {
  refusal = problem('cut-impossible', 'the keys of its store are forgotten');
  await expect(cut('-o', join(dir, 'part.mp4'))).rejects.toThrow('the keys of its store are forgotten');
  sid = 'f'.repeat(32);
  await expect(cut('-o', join(dir, 'part.mp4'))).rejects.toThrow('`aircheck recordings` lists those that there are');
  expect(readdirSync(dir)).toEqual(['made']);
});

test('what exists is not replaced unasked', async () => {
  const output = join(dir, 'part.mp4');
  writeFileSync(output, 'mine');
  await expect(cut('-o', output)).rejects.toThrow('exists already; --force replaces it');
  expect([readFileSync(output, 'utf8'), asked]).toEqual(['mine', []]);
  await cut('-o', output, '--force');
  expect(existsSync(output) && readFileSync(output).equals(MP4)).toBe(true);
});
