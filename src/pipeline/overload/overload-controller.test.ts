import { describe, expect, test } from 'vitest';
import { OverloadController, TRIAL_US, UP_AFTER_US } from './overload-controller.ts';

const S = 1_000_000;
const LIMITS = { lateLagUs: 1 * S, inTimeLagUs: 0.5 * S };
const LOWEST = 6;
const STEP_S = 0.05;

/** The second and the rung of each change, while the lag is what `lagS` says of each second. */
function changes(lagS: (atS: number) => number, { untilS = 60, depth = 0, lowest = LOWEST } = {}): [number, number][] {
  const controller = new OverloadController(LIMITS, lowest, depth);
  const seen: [number, number][] = [];
  for (let step = 0; step * STEP_S < untilS; step++) {
    const atS = step * STEP_S;
    if (controller.observe(lagS(atS) * S, atS * S)) seen.push([Math.round(atS), controller.depth]);
  }
  return seen;
}

test('one that goes on from what another saved waits as long before it tries again, and counts a trial that fails', () => {
  let nowS = 0;
  /** How long it took until the rung changed. */
  const untilChange = (controller: OverloadController, lagS: number) => {
    const fromS = nowS;
    while (!controller.observe(lagS * S, nowS * S)) nowS += STEP_S;
    return Math.round(nowS - fromS);
  };
  const goOn = (from: OverloadController) =>
    new OverloadController(LIMITS, LOWEST, from.depth, JSON.parse(JSON.stringify(from.save())));
  let controller = new OverloadController(LIMITS, LOWEST);
  untilChange(controller, 2);
  for (const waitS of [10, 20, 40, 80]) {
    controller = goOn(controller);
    expect(untilChange(controller, 0.1)).toBe(waitS);
    // Lost on trial: what it tried fails in the next one's hands.
    controller = goOn(controller);
    expect(untilChange(controller, 2)).toBe(2);
  }
  expect(untilChange(new OverloadController(LIMITS, LOWEST, 1), 0.1)).toBe(10);
});

type Case = [name: string, lagS: (atS: number) => number, changes: [number, number][], options?: object];

const CASES: Case[] = [
  ['no lag', () => 0, []],
  ['a lag below what counts as late, for ever', () => 0.9, []],
  ['a lag that falls, however large it is', (at) => 120 - at, []],
  ['a lag that falls slowly, but falls', (at) => 60 - at * 0.1, []],
  ['a process that got no turn for 6 s, and catches up', (at) => (at < 6 ? 0 : Math.max(0, 6 - (at - 6) * 0.5)), []],
  ['one jump of the lag that is gone at once', (at) => (at > 5 && at < 6.5 ? 3 : 0.1), []],
  [
    'a lag that stays',
    () => 2,
    [
      [2, 1],
      [4, 2],
      [6, 3],
      [8, 4],
      [10, 5],
      [12, 6],
    ],
  ],
  [
    'a lag that grows, until a rung is enough',
    (at) => (at < 4.5 ? 1 + at / 4 : 2.125 - (at - 4.5) / 2),
    [
      [2, 1],
      [4, 2],
    ],
    {
      untilS: 14,
    },
  ],
  [
    'no rung below the lowest that is allowed',
    () => 2,
    [
      [2, 1],
      [4, 2],
    ],
    { lowest: 2 },
  ],
  ['nothing where nothing is allowed', (at) => at, [], { lowest: 0 }],
  [
    'back up, a rung each 10 s, once it is in time',
    () => 0,
    [
      [10, 2],
      [20, 1],
      [30, 0],
    ],
    { depth: 3 },
  ],
  ['no step up while it is not quite in time', () => 0.7, [], { depth: 3 }],
  [
    'jumps of the lag every few seconds keep nothing down',
    (at) => (at % 4 < 0.6 ? 1.2 : 0.1),
    [
      [11, 2],
      [21, 1],
      [31, 0],
    ],
    {
      depth: 3,
    },
  ],
  ['a lag that comes and goes by the second keeps its rung', (at) => (at % 4 < 1.5 ? 0.7 : 0.1), [], { depth: 3 }],
  [
    'a run that begins late and catches up keeps its rung until it is in time',
    (at) => Math.max(0, 8 - at),
    [
      [18, 1],
      [28, 0],
    ],
    { depth: 2 },
  ],
];

test.each(CASES)('%s', (_name, lagS, expected, options) => {
  expect(changes(lagS, options)).toEqual(expected);
});

test('a run that may go less far than the one before begins at its lowest rung', () => {
  expect(new OverloadController(LIMITS, 2, 5).depth).toBe(2);
});

describe('a machine that carries one rung and not the one above', () => {
  /**
   * How late a recording is whose machine carries `carried` rungs down, and the moments at which it went up to what it
   * does not carry.
   */
  function attempts(
    carried: (atS: number) => number,
    untilS: number,
  ): { upS: number[]; worstLagS: number; end: number } {
    const controller = new OverloadController(LIMITS, LOWEST);
    const upS: number[] = [];
    let lagS = 0;
    let worstLagS = 0;
    for (let step = 0; step * STEP_S < untilS; step++) {
      const atS = step * STEP_S;
      lagS = Math.max(0, lagS + STEP_S * (controller.depth < carried(atS) ? 0.3 : -0.3));
      worstLagS = Math.max(worstLagS, lagS);
      const before = controller.depth;
      if (controller.observe(lagS * S, atS * S) && controller.depth < before) upS.push(atS);
    }
    return { upS, worstLagS, end: controller.depth };
  }

  test('is asked less and less often', () => {
    const { upS, worstLagS, end } = attempts(() => 2, 1800);
    const waits = upS.slice(1).map((at, n) => Math.round(at - upS[n]!));
    expect(waits.length).toBeGreaterThan(4);
    for (const [n, wait] of waits.slice(1).entries()) expect(wait).toBeGreaterThanOrEqual(waits[n]!);
    expect(waits.at(-1)).toBeGreaterThan(300);
    // And it costs some seconds of lag each time, which are caught up with.
    expect(worstLagS).toBeLessThan(6);
    expect(end).toBeGreaterThanOrEqual(1);
  });

  test('is asked at once again after a rung has held for a minute', () => {
    const { upS } = attempts((atS) => (atS < 300 ? 2 : atS < 2000 ? 0 : 2), 2300);
    const [firstS, secondS] = upS.filter((atS) => atS > 2000);
    // The load came back at 2000 s; what failed before it is forgotten.
    expect(firstS! - 2000).toBeLessThan(60);
    expect(secondS! - firstS!).toBeLessThan(60);
  });

  test('comes back to the whole picture when the load is gone', () => {
    const { end, upS } = attempts((atS) => (atS < 30 ? 4 : 0), 120);
    expect(end).toBe(0);
    expect(upS.filter((atS) => atS > 30).length).toBeGreaterThanOrEqual(4);
  });
});

test('a rung that held for its trial was no failure', () => {
  const controller = new OverloadController(LIMITS, LOWEST, 1);
  let nowUs = 0;
  const until = (untilUs: number, lagUs: number) => {
    let changed = false;
    for (; nowUs < untilUs; nowUs += 100_000) changed = controller.observe(lagUs, nowUs) || changed;
    return changed;
  };
  until(UP_AFTER_US + S, 0);
  expect(controller.depth).toBe(0);
  until(UP_AFTER_US + TRIAL_US + 2 * S, 0);
  until(nowUs + 3 * S, 2 * S);
  expect(controller.depth).toBe(1);
  // Up again after the shortest wait.
  expect(until(nowUs + UP_AFTER_US - S, 0)).toBe(false);
  expect(until(nowUs + 2 * S, 0)).toBe(true);
});
