/**
 * The short form of `npm run test:chaos`: the same on fewer recordings, in less than two minutes.
 */
import { expect, test } from 'vitest';
import { missesOf, type Report } from './play.ts';
import { endServer, killServer, killShared, randomKills } from './scenarios.ts';

const SEED = 1;

const held: [string, () => Promise<Report>][] = [
  ['recorders of both modes are killed at random moments', () => randomKills(2, 1, SEED)],
  ['a recorder that three recordings share is killed', () => killShared(SEED)],
  ['the server is killed and started at once', killServer],
  ['the server is ended in order', endServer],
];

test.each(held)('%s', async (_what, run) => {
  expect(missesOf(await run())).toEqual([]);
});
