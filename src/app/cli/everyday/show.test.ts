/** `aircheck show` as it is typed, of what a server answers. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { TypedCommands } from '../../../../test/support/typed-command.ts';

const SID = 'c'.repeat(32);
const REFUSED = 'the store refuses files: there is no such bucket';
const REPORT = {
  ...{ sid: SID, cname: 'room', uid: '1', mode: 'mix', healthy: false, startedMs: Date.UTC(2026, 5, 1, 12) },
  ...{ files: [], warnings: [], events: 3, retention: null, quality: null },
};

let commands: TypedCommands;
beforeEach(async () => {
  commands = await TypedCommands.open({});
});
afterEach(() => commands.close());

test.each([
  ['has ended', { phase: 'ended', endedMs: Date.UTC(2026, 5, 1, 13), ending: REFUSED }, `ended    2026-06-01 13:00:00`],
  [
    'waits for its store',
    { phase: 'uploading', endedMs: null, ending: REFUSED },
    `ending   ${REFUSED}; not all is stored yet`,
  ],
])('why it ended is told of a recording that %s', async (_what, state, words) => {
  vi.spyOn(globalThis, 'fetch').mockResolvedValue(new Response(JSON.stringify({ ...REPORT, ...state })));
  const printed = await commands.type('show', SID);
  expect(printed).toContain(words);
  expect(printed).toContain(REFUSED);
});
