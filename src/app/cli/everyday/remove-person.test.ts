/** `aircheck remove-person` as it is typed, through the client package, against the server's own routes. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { TypedCommands } from '../../../../test/support/typed-command.ts';
import { problem } from '../../../contract/problems.ts';
import type { RemovalPreview, RemovalReply } from '../../../contract/rest/removal.ts';
import type { RemovalsApi } from '../../../http/removals.ts';

const SID = 'c'.repeat(32);
const FILE = { name: 'x.ts', kind: 'slice', key: '2026/x.ts', where: 'store', bytes: 3_456_789 } as const;
const PREVIEW: RemovalPreview = {
  ...{ uid: '42', place: { vendor: 1, region: 0, bucket: 'mine' }, deletedBytes: 3_456_789, needsKeys: true },
  files: [
    { ...FILE, act: 'delete' },
    { ...FILE, name: 'all.mka', act: 'rewrite' },
  ],
  kept: ['this record'],
};
const REMOVED: RemovalReply = {
  ...{ uid: '42', state: 'removed', askedMs: Date.UTC(2026, 4, 1), askedBy: 'id', doneMs: Date.UTC(2026, 4, 2) },
  ...{ place: PREVIEW.place, servers: [], error: null, nextTryMs: null, kept: PREVIEW.kept },
  files: [{ ...FILE, act: 'delete', outcome: 'deleted', atMs: 1, versions: 2, newBytes: null, details: null }],
};

let told: RemovalReply[];
let asked: unknown[];
let commands: TypedCommands;

beforeEach(async () => {
  told = [];
  asked = [];
  const removals: RemovalsApi = {
    async list(_appid, sid) {
      if (sid !== SID) throw problem('recording-unknown');
      return { removals: told };
    },
    async preview(_appid, _sid, uid) {
      asked.push(['preview', uid]);
      return PREVIEW;
    },
    async order(_appid, _sid, request, by) {
      asked.push(['order', request, by]);
      told = told.length > 0 ? told : [REMOVED];
      return told[0]!;
    },
  };
  commands = await TypedCommands.open({ removals });
});
afterEach(() => commands.close());

const type = (...words: string[]) => commands.type('remove-person', ...words);

test('without --yes it says what would go, and asks for nothing', async () => {
  const text = await type(SID, '42');
  expect(text).toMatch(/^user 42: 1 file, 3\.5 MB, would be deleted for good:\n {2}x\.ts {2}3\.5 MB\n/);
  expect(text).toContain('made anew without the user:\n  all.mka');
  expect(text).toContain('--access-key and --secret-key');
  expect(text).toMatch(/nothing is removed yet; say --yes to remove\n$/);
  expect(asked).toEqual([['preview', '42']]);
});

test('with --yes it removes, waits for the end, and tells what went', async () => {
  const text = await type(SID, '42', '--yes', '--access-key', 'A', '--secret-key', 'S');
  expect(asked).toEqual([['order', { uid: '42', keys: { accessKey: 'A', secretKey: 'S' } }, 'id']]);
  expect(text.split('\n').slice(0, 2)).toEqual([
    'user 42: removed 2026-05-02 00:00:00 UTC, asked for 2026-05-01 00:00:00 UTC by id',
    '  deleted  x.ts  3.5 MB, store, 2 versions',
  ]);
  expect(process.exitCode ?? 0).toBe(0);
});

test('what a store refuses is told with another exit code, and words of the store do nothing to a terminal', async () => {
  told = [{ ...REMOVED, state: 'refused', doneMs: null, error: 'locked \u001b[31mnow' }];
  expect(await type(SID, '42', '--yes')).toContain('failed: locked ·[31mnow');
  expect(process.exitCode).toBe(2);
});

test('who was removed is told without a uid, also as JSON', async () => {
  expect(await type(SID)).toBe('nobody was removed\n');
  told = [REMOVED];
  expect(await type(SID)).toMatch(/^user 42: removed /);
  expect(JSON.parse(await type(SID, '--json'))).toEqual({ removals: [REMOVED] });
  expect(asked).toEqual([]);
});

test('of a recording that is not there it says what helps', async () => {
  await expect(type('d'.repeat(32))).rejects.toMatchObject({
    code: 'server-refused',
    message: expect.stringMatching(/no such recording.*aircheck recordings/s),
  });
});
