import { expect, test } from 'vitest';
import { planOf } from '../../test/support/scripted-recording.ts';
import type { Pong } from '../worker/child-run.ts';
import { recorderSamples } from './recorder-samples.ts';

const pong: Pong = { type: 'pong', atMs: 0, generation: 1, n: 1, rssBytes: 100, cpuUs: 50, lagUs: 7, rung: 'halfRate' };
const plan = planOf();

test('what is not at work, or has told nothing yet, has no sample', () => {
  const recordings = ['a', 'b', 'c'].map((sid) => ({ sid, appid: 'app' }));
  const atWork = new Map([
    ['a', { plan, pong }],
    ['b', { plan, pong: undefined }],
    ['d', { plan, pong }],
  ]);
  expect(recorderSamples(recordings, atWork)).toEqual([
    { sid: 'a', appid: 'app', mode: 'mix', depth: 3, lagUs: 7, cpuUs: 50, memoryBytes: 100 },
  ]);
});

test('the programs of a web page count, and without a rung there is no depth', () => {
  const { rung: _rung, ...plain } = pong;
  const atWork = new Map([['a', { plan, pong: { ...plain, programs: { memoryBytes: 1000, cpuUs: 500 } } }]]);
  expect(recorderSamples([{ sid: 'a', appid: 'app' }], atWork)).toMatchObject([
    { depth: undefined, cpuUs: 550, memoryBytes: 1100 },
  ]);
});
