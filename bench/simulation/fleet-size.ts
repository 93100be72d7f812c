/**
 * How large a fleet one Postgres on this machine bears, beside the nodes that are simulated on it: fleets of growing
 * size, each on a database of its own, in which a node with a hundred recordings dies each second. The largest is told
 * of which claims come in time while all others renew.
 *
 *   npm run bench -- fleet-size --nodes 200,300,400      these sizes alone
 */
import { atLeast, atMost, type Figure, quantile, renderTable } from '../measure.ts';
import { atRest, deaths, inScene, loadText, sizesAsked, timesOf } from './scene.ts';

const SIZES = [100, 200, 300, 400, 600, 800, 1000];
/** One node with so many dies each second. */
const TASKS_EACH = 100;
const SECONDS = 10;
const CLAIM_P99_MS = 50;
/** Of the issue that asked for fleets: 300 renewals a second. */
const GOAL_NODES = 300;

export async function measureFleetSize(): Promise<Figure[]> {
  const sizes = sizesAsked() ?? SIZES;
  const figures: Figure[] = [];
  let largest = Number.NaN;
  for (const size of sizes) {
    const of = await figuresOf(size);
    figures.push(...of);
    console.error(renderTable(of));
    // A larger one would be slower still.
    if (!isBorne(of)) break;
    largest = size;
  }
  const rule = `claims of ${TASKS_EACH} tasks a second within ${CLAIM_P99_MS} ms (p99), no renewal late; of ${sizes.join(', ')}`;
  return [atLeast('nodes that one Postgres bears beside them', largest, GOAL_NODES, 'nodes', rule), ...figures];
}

async function figuresOf(nodes: number): Promise<Figure[]> {
  return await inScene({ nodes, tasksEach: TASKS_EACH, seconds: SECONDS }, async (scene) => {
    const [renewing, , all] = await atRest(scene);
    const died = await deaths(scene);
    const perS = (times: readonly number[]) => timesOf(times, times.length / SECONDS);
    const p99 = (times: readonly number[]) => quantile(times, 0.99);
    const late = all.late + died.late + died.astray;
    const slowestS = `slowest owner after ${quantile(died.waitsS, 1).toFixed(1)} s`;
    return [
      atMost(`${nodes} nodes: claim, p99`, p99(died.claims), CLAIM_P99_MS, 'ms', `${perS(died.claims)}; ${slowestS}`),
      atMost(`${nodes} nodes: renewal, p99`, p99(all.renewals), 100, 'ms', perS(all.renewals)),
      atMost(`${nodes} nodes: sweep for tasks, p99`, p99(all.sweeps), 100, 'ms', perS(all.sweeps)),
      atMost(
        `${nodes} nodes: renewals late, tasks astray`,
        late,
        0,
        '',
        `late at rest ${all.late} of ${all.renewals.length}, as nodes die ${died.late}; astray ${died.astray} of ${died.tasks}`,
      ),
      atMost(
        `${nodes} nodes: CPU of Postgres`,
        all.load.postgres,
        1,
        'cores',
        `${loadText(all.load)}; renewals alone ${renewing.load.postgres.toFixed(2)}; as nodes die ${loadText(died.load)}`,
      ),
    ];
  });
}

function isBorne(figures: readonly Figure[]): boolean {
  const [claim, , , late] = figures;
  return claim !== undefined && claim.value <= CLAIM_P99_MS && late?.value === 0;
}
