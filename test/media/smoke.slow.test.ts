/**
 * The fidelity harness as a whole, on one short recording: what it takes minutes for, `npm run test:media`, must be
 * runnable.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Stage } from './perform.ts';
import { lossPlan, medleyPlan } from './plan-parts.ts';
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

test('10 s of clocks that are off, another picture size, DTX and a start over have their marks, in step, without a click', async () => {
  const { course, mp4 } = await stage.perform(medleyPlan(10));
  const { flashes, beeps, measured, wrongAtS, clicksAtS, damaged } = verify(mp4, course);
  // The second participant's are open for a second or two around its start over.
  expect(flashes.required).toBeGreaterThanOrEqual(14);
  expect(flashes.there).toBe(flashes.required);
  expect(beeps.there).toBe(beeps.required);
  expect(Math.max(...measured.offsetsMs.map(Math.abs))).toBeLessThanOrEqual(80);
  expect({ wrongAtS, clicksAtS, damaged }).toEqual({ wrongAtS: [], clicksAtS: [], damaged: 0 });
});
