/** `aircheck retention` as it is typed, against the server's own routes. */
import { CommanderError } from 'commander';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { TypedCommands } from '../../../../test/support/typed-command.ts';
import { problem } from '../../../contract/problems.ts';
import type { RetentionReply } from '../../../contract/rest/retention.ts';
import type { RetentionApi } from '../../../http/retention.ts';

const SID = 'c'.repeat(32);
const KEPT: RetentionReply = {
  ...{ days: 30, rule: 'app', dueMs: Date.UTC(2026, 5, 1, 12), legalHold: null, state: 'kept' },
  ...{ deletedMs: null, files: 0, bytes: 0, error: null, nextTryMs: null, away: null, history: [] },
};
const OPERATOR = { id: 'id', isOperator: true };

let told: RetentionReply;
let asked: unknown[];
let commands: TypedCommands;

beforeEach(async () => {
  told = KEPT;
  asked = [];
  const note =
    (what: string) =>
    async (_appid: string, sid: string, ...more: unknown[]) => {
      if (sid !== SID) throw problem('recording-unknown');
      asked.push([what, ...more]);
      return told;
    };
  const retention: RetentionApi = {
    ...{ of: note('of'), set: note('set'), hold: note('hold'), release: note('release') },
    deleteNow: note('deleteNow'),
  };
  commands = await TypedCommands.open({ retention });
});
afterEach(() => commands.close());

const type = (...words: string[]) => commands.type('retention', ...words);

describe('what is asked', () => {
  test.each([
    [[], ['of']],
    [
      ['--days', '90'],
      ['set', { days: 90 }, OPERATOR],
    ],
    [
      ['--days', '0'],
      ['set', { days: 0 }, OPERATOR],
    ],
    [['--hold'], ['hold', {}, OPERATOR]],
    [
      ['--hold', 'case 2026/117'],
      ['hold', { reason: 'case 2026/117' }, OPERATOR],
    ],
    [['--release'], ['release', OPERATOR]],
    [
      ['--delete', '--yes'],
      ['deleteNow', {}, OPERATOR],
    ],
    [
      ['--delete', '--yes', '--access-key', 'A', '--secret-key', 'S'],
      ['deleteNow', { keys: { accessKey: 'A', secretKey: 'S' } }, OPERATOR],
    ],
  ])('%j', async (words, expected) => {
    expect(await type(SID, ...words)).toMatch(/^kept /);
    expect(asked).toEqual([expected]);
  });

  test.each([
    [['--delete'], 'not-confirmed', /say --yes as well/],
    [['--days', '3', '--release'], 'options-conflict', /one of --days, --hold, --release and --delete/],
    [['--hold', '--delete', '--yes'], 'options-conflict', /one of/],
  ])('nothing for %j', async (words, code, message) => {
    await expect(type(SID, ...words)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
    expect([asked, commands.printed]).toEqual([[], '']);
  });

  test.each(['-1', '1.5', 'ever', ''])('nothing for %j days', async (days) => {
    await expect(type(SID, `--days=${days}`)).rejects.toBeInstanceOf(CommanderError);
    expect(asked).toEqual([]);
  });

  test('of a recording that is not there it says what helps', async () => {
    await expect(type('d'.repeat(32))).rejects.toMatchObject({
      code: 'server-refused',
      message: expect.stringMatching(/no such recording.*aircheck recordings/s),
    });
  });
});

describe('what is told', () => {
  test('how long files are kept, and by what', async () => {
    expect(await type(SID)).toBe('kept     30 days after its end, by its app: until 2026-06-01 12:00:00 UTC\n');
    told = { ...KEPT, days: null, rule: null, dueMs: null };
    expect(await type(SID)).toBe('kept     for ever\n');
  });

  test('a legal hold, whose words do nothing to a terminal, and what the store refused', async () => {
    const sinceMs = Date.UTC(2026, 4, 2, 1, 2, 3);
    told = {
      ...KEPT,
      ...{ dueMs: null, state: 'refused', error: 'locked', nextTryMs: null },
      legalHold: { sinceMs, by: 'id', byOperator: true, reason: 'case \u001b[31m7' },
    };
    expect((await type(SID)).split('\n')).toEqual([
      'kept     30 days after its end, by its app',
      'held     since 2026-05-02 01:02:03 UTC, by operator id: case ·[31m7',
      'refused  locked',
      '',
    ]);
  });

  test('what was deleted and when, and who had asked for it', async () => {
    const deletedMs = Date.UTC(2026, 4, 3);
    told = {
      ...KEPT,
      ...{ state: 'deleted', deletedMs, files: 12, bytes: 3_456_789 },
      history: [
        { atMs: deletedMs - 1000, act: 'deleting', by: 'id', details: null },
        { atMs: deletedMs, act: 'deleted', by: null, details: '12 files' },
      ],
    };
    expect((await type(SID)).split('\n')).toEqual([
      'deleted  2026-05-03 00:00:00 UTC: 12 files, 3.5 MB',
      '  2026-05-02 23:59:59 UTC  deleting by id',
      '  2026-05-03 00:00:00 UTC  deleted: 12 files',
      '',
    ]);
  });

  test('a node that is gone with files, which is waited for, and then no more', async () => {
    const seenMs = Date.UTC(2026, 5, 2);
    const away = { server: 'node2', seenMs, untilMs: Date.UTC(2026, 5, 9), files: 3, bytes: 3_400_000 };
    told = { ...KEPT, away };
    expect((await type(SID)).split('\n')[1]).toBe(
      'away     node2 is gone since 2026-06-02 00:00:00 UTC, with 3 files, 3.4 MB: it is waited for until 2026-06-09 00:00:00 UTC',
    );
    told = { ...KEPT, state: 'left', files: 9, bytes: 9_000_000, away: { ...away, seenMs: null, untilMs: null } };
    expect((await type(SID)).split('\n').slice(1)).toEqual([
      'deleted  9 files, 9.0 MB so far',
      'away     node2 is gone, with 3 files, 3.4 MB: goes when it is back',
      '',
    ]);
  });

  test('the same as JSON', async () => {
    expect(JSON.parse(await type(SID, '--json'))).toEqual(KEPT);
  });
});
