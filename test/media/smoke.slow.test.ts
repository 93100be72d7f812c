/**
 * The fidelity harness as a whole, on one short recording: what it takes minutes for, `npm run test:media`, must be runnable.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { lossPlan } from './cases.ts';
import { Stage } from './perform.ts';
import { verify } from './verify.ts';

let stage: Stage;
beforeAll(async () => {
  stage = await Stage.open();
});
afterAll(() => stage?.close());

test('8 s over networks that lose 5 % of packets both ways have their marks, in step, and no wrong picture', async () => {
  const { course, mp4, network } = await stage.perform(lossPlan(0.05, 8));
  const { flashes, beeps, measured, wrongAtS, damaged, roles } = verify(mp4, course);
  expect(network.lost / network.taken).toBeGreaterThan(0.02);
  expect(roles.map((r) => r.name)).toEqual(['RED', 'GREEN']);
  // Two participants, seven or eight full seconds each; one mark of a kind may be lost for good.
  expect(flashes.required).toBeGreaterThanOrEqual(12);
  expect(flashes.there).toBeGreaterThanOrEqual(flashes.required - 1);
  expect(beeps.there).toBeGreaterThanOrEqual(beeps.required - 1);
  expect(Math.max(...measured.offsetsMs.map(Math.abs))).toBeLessThanOrEqual(80);
  expect({ wrongAtS, damaged }).toEqual({ wrongAtS: [], damaged: 0 });
});
