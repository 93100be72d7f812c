/** How many cuts are kept at once, and what is left of those that are called off. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { slice } from '../../test/support/upload-scene.ts';
import type { CutCommand } from '../contract/line/cut.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import type { PastTask } from '../session/ports.ts';
import { Cuts } from './cuts.ts';

const SID = newHexId();
const past = {
  task: { sid: SID, document: { plan: { mode: 'mix' } } },
  state: { phase: 'ended' },
  quality: undefined,
} as unknown as PastTask;

let dir: string;
let closed: number;
let cuts: Cuts;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-cuts-'));
  closed = 0;
  const path = join(dir, slice(0).name);
  writeFileSync(path, 'pictures');
  cuts = await Cuts.open({
    dir: join(dir, 'cuts'),
    owner: newHexId(),
    sources: {
      of: async () => [{ file: slice(0), at: { path } }],
      opened: async () => ({ fetch: async () => {}, close: () => void closed++ }),
    },
    find: async () => past,
    runs: {
      async run(command) {
        writeFileSync((command as CutCommand).output, 'an MP4');
        return ['bytes 6'];
      },
    },
    ...{ reserveBytes: 0, clock: new ManualClock(), log: createLog('silent') },
  });
  onTestFinished(async () => {
    await cuts.close();
    rmSync(dir, { recursive: true, force: true });
  });
});

const wish = { from: 0, to: 1 };
const begin = (appid: string) => cuts.begin(appid, SID, wish);
/** How many of so many calls at once are answered with a cut, and how the others are refused. */
async function beginMany(appid: string, count: number) {
  const outcomes = await Promise.allSettled(Array.from({ length: count }, () => begin(appid)));
  const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []));
  for (const reason of refused) expect(reason).toMatchObject({ code: 'cut-refused' });
  return { begun: count - refused.length, reasons: [...new Set(refused.map(({ message }) => message))] };
}

test('one app, however often it calls, leaves places to others', async () => {
  expect(await beginMany('one', 150)).toEqual({ begun: 100, reasons: [expect.stringMatching(/^100 cuts are kept/)] });
  expect(await beginMany('two', 100)).toEqual({ begun: 100, reasons: [] });
  expect(await beginMany('three', 1)).toEqual({ begun: 0, reasons: [expect.stringMatching(/^200 cuts, of all apps/)] });
  // What was opened for those that were refused is closed.
  expect(closed).toBe(250);
});

test('what is forgotten leaves nothing, and makes room', async () => {
  const { cutId } = await begin('one');
  expect(readdirSync(join(dir, 'cuts'))).toEqual([`${cutId}.mp4`]);
  await cuts.forget(SID);
  expect(readdirSync(join(dir, 'cuts'))).toEqual([]);
  expect(() => cuts.of('one', SID, cutId)).toThrow(expect.objectContaining({ code: 'cut-unknown' }));
});
