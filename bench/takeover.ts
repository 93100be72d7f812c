/**
 * What a recorder's death costs, and what being ready for it does: how soon a recording is live again, how soon one
 * begins with a warm recorder and with a cold one, and the CPU of a recording, the last two against an earlier commit
 * in the same run.
 */
import { randomKills } from '../test/chaos/scenarios.ts';
import { median } from '../test/support/judge/offsets.ts';
import { compareWithCommit, FOUR } from './cost.ts';
import { withCheckout } from './earlier.ts';
import type { House } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { makeStarts, type Starts } from './start-latency.ts';

/** Kills per mode. */
const KILLS = 6;
const COST_TAKES = 3;
/** The first frame lies anywhere within the time that pictures are apart, 33 ms: a few starts say nothing. */
const STARTS = 16;
/** The last commit in which a recording and the process that makes it were one. */
const BEFORE = process.env['BENCH_BEFORE'] ?? 'e46b441';

/** From a recorder's death until pictures and sound from after it lie on the disk. */
export async function measureTakeover(): Promise<Figure[]> {
  const { takes } = await randomKills(KILLS, 2);
  const lives = takes.flatMap(({ liveAfterMs }) => liveAfterMs);
  if (lives.length === 0) throw new Error('no recording was live again');
  const missing = takes.reduce((sum, { flashes, beeps }) => sum + flashes.missing + beeps.missing, 0);
  const detail = lives.map((ms) => ms.toFixed(0)).join(', ');
  return [
    atMost('recorder killed → live again, median', median(lives), 3000, 'ms', detail),
    atMost('recorder killed → live again, worst', Math.max(...lives), 5000, 'ms', `${lives.length} kills`),
    atMost('marks missing in recordings whose recorder was killed', missing, 0, '', `${takes.length} recordings`),
  ];
}

/**
 * Start call → first frame, with a warm recorder and with a cold one, against the commit before, whose median was
 * 15 ms. Each start is compared with the one that was made at the same moment of a second: where in the time between
 * two pictures a call comes counts for more than all else.
 */
export function measureStartsAgainst(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const old = await makeStarts({ checkout: before }, STARTS);
    const warm = await makeStarts({}, STARTS);
    const cold = await makeStarts({ env: { AIRCHECK_WARM_RECORDERS: '0' } }, STARTS);
    const later = (now: Starts) => median(now.latenciesMs.map((ms, n) => ms - old.latenciesMs[n]!));
    const list = ({ latenciesMs }: Starts) => latenciesMs.map((ms) => ms.toFixed(0)).join(', ');
    return [
      atMost('start → first frame, warm recorder', median(warm.latenciesMs), 15, 'ms', list(warm)),
      atMost(`… later than with ${BEFORE}`, later(warm), 1, 'ms', `before: ${list(old)}`),
      atMost(`start → first frame, cold, later than with ${BEFORE}`, later(cold), 0.2 * 15, 'ms', list(cold)),
    ];
  });
}

/** CPU of a recording, the server's share included, against the commit before. */
export async function measureCpuAgainst(): Promise<Figure[]> {
  const publish = (house: House) => house.publish(['cost'], FOUR.users, FOUR.media);
  const { ratio, detail } = await compareWithCommit(BEFORE, COST_TAKES, FOUR, publish);
  return [atMost(`CPU of a recording against ${BEFORE}`, ratio, 1, '×', detail)];
}
