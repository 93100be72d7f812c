/**
 * `npm run bench`: the figures that the project promises, measured on this machine, in one table. Takes about thirteen
 * minutes.
 *
 *   npm run bench -- start-latency ramp-up reception stop av-offset cpu memory individual many-recordings snapshots
 *                    api pages remix stores takeover crowd cost-model fork-stall at-rest starts-against
 *                    cpu-against encoder            only these
 */
import { measureApi } from './api.ts';
import { measureAtRest } from './at-rest.ts';
import { measureCpu, measureMemory } from './cost.ts';
import { measureCostModel } from './cost-model.ts';
import { measureCrowd } from './crowd.ts';
import { measureEncoder } from './encoder.ts';
import { measureForkStall } from './fork-stall.ts';
import { measureIndividual, measureManyRecordings } from './individual.ts';
import { type Figure, renderTable } from './measure.ts';
import { measurePages } from './pages.ts';
import { describeMachine } from './proc.ts';
import { measureRampUp } from './ramp-up.ts';
import { measureReception } from './reception/reception.ts';
import { measureAvOffset, measureStop } from './recording.ts';
import { measureRemix } from './remix.ts';
import { measureSnapshots } from './snapshots.ts';
import { measureStartLatency } from './start-latency.ts';
import { measureStores } from './stores/stores.ts';
import { measureCpuAgainst, measureStartsAgainst, measureTakeover } from './takeover.ts';

const MEASURES: Record<string, () => Promise<Figure[]>> = {
  'start-latency': measureStartLatency,
  'ramp-up': measureRampUp,
  reception: measureReception,
  stop: measureStop,
  'av-offset': measureAvOffset,
  cpu: measureCpu,
  memory: measureMemory,
  individual: measureIndividual,
  'many-recordings': measureManyRecordings,
  snapshots: measureSnapshots,
  api: measureApi,
  pages: measurePages,
  remix: measureRemix,
  stores: measureStores,
  takeover: measureTakeover,
  'cost-model': measureCostModel,
  crowd: measureCrowd,
  'fork-stall': measureForkStall,
  'at-rest': measureAtRest,
  'starts-against': measureStartsAgainst,
  'cpu-against': measureCpuAgainst,
  encoder: measureEncoder,
};

// Words that begin with a dash, and what follows them, are options of single measurements.
const words = process.argv.slice(2);
if (words.includes('--help')) {
  console.log(`npm run bench -- [NAME …]: measures these, or all.\n  ${Object.keys(MEASURES).join(' ')}`);
  process.exit(0);
}
const names = words.filter((word, n) => !word.startsWith('-') && !words[n - 1]?.startsWith('-'));
const unknown = names.filter((name) => !(name in MEASURES));
if (unknown.length > 0) {
  console.error(`there is no measurement ${unknown.join(', ')}; there are ${Object.keys(MEASURES).join(', ')}`);
  process.exit(2);
}

console.log(describeMachine());
const figures: Figure[] = [];
for (const name of names.length > 0 ? names : Object.keys(MEASURES)) {
  console.error(`measuring ${name} …`);
  try {
    figures.push(...(await (MEASURES[name] as () => Promise<Figure[]>)()));
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    figures.push({ what: name, goal: 'to be measured', figure: 'failed', pass: false, detail: message });
  }
}
console.log(`\n${renderTable(figures)}`);
process.exit(figures.every((f) => f.pass) ? 0 : 1);
