/**
 * `npm run bench`: the figures that the project promises, measured on this machine, in one table. Takes about a quarter
 * of an hour.
 *
 *   npm run bench -- start-latency ramp-up reception stop av-offset cpu memory individual many-recordings snapshots
 *                    api pages remix cut stores takeover crowd cost-model fork-stall at-rest starts-against
 *                    cpu-against individual-against individual-cpu-against encoder rungs seventeen meeting
 *                    route in-real-time layout-change long-end live cold-start install-size lease-renewals
 *                    forwarded-query recording-list simulation thumbnails   only these
 *   npm run bench -- memory-over-time                 this takes half an hour, and is not among all
 *   npm run bench -- fleet-size                       nor is this: fleets that grow until one is too large
 *   npm run bench -- at-rest --json FILE              writes its figures to a file
 *   npm run bench -- at-rest --compare FILE           says what is worse by more than a tenth, and exits 1 then
 */
import { parseArgs } from 'node:util';
import { messageOf } from '../src/kernel/fault.ts';
import { measureApi } from './api.ts';
import { measureAtRest } from './at-rest.ts';
import { measureColdStart } from './cold-start.ts';
import { measureCpu, measureMemory, measureSeventeen } from './cost.ts';
import { measureCostModel } from './cost-model.ts';
import { measureCrowd } from './crowd.ts';
import { measureCut } from './cut.ts';
import { describeCommit } from './earlier.ts';
import { measureEncoder } from './encoder.ts';
import { measureForwardedQuery, measureLeaseRenewals } from './fleet.ts';
import { measureForkStall } from './fork-stall.ts';
import { measureInRealTime } from './in-real-time.ts';
import { measureIndividual, measureIndividualAgainst, measureIndividualCpuAgainst } from './individual.ts';
import { measureInstallSize } from './install-size.ts';
import { measureLayoutChange } from './layout-change.ts';
import { measureLive } from './live.ts';
import { measureLongEnd } from './long-end.ts';
import { measureManyRecordings } from './many-recordings.ts';
import { atMost, type Figure, passes, renderTable } from './measure.ts';
import { measureMeeting } from './meeting.ts';
import { measureMemoryOverTime } from './memory-over-time.ts';
import { measurePages } from './pages.ts';
import { describeMachine } from './proc.ts';
import { measureRampUp } from './ramp-up.ts';
import { measureReception } from './reception/reception.ts';
import { measureAvOffset, measureStop } from './recording.ts';
import { measureRecordingList } from './recording-list.ts';
import { measureRemix } from './remix.ts';
import { checkWritable, inBoth, type Results, readResults, worseThan, writeResults } from './results.ts';
import { measureRoute } from './route.ts';
import { measureRungs } from './rungs.ts';
import { measureFleetSize } from './simulation/fleet-size.ts';
import { measureSimulation } from './simulation/simulation.ts';
import { measureSnapshots } from './snapshots.ts';
import { measureStartLatency } from './start-latency.ts';
import { measureStores } from './stores/stores.ts';
import { measureCpuAgainst, measureStartsAgainst, measureTakeover } from './takeover.ts';
import { measureThumbnails } from './thumbnails.ts';

const MEASURES: Record<string, () => Promise<Figure[]>> = {
  'start-latency': measureStartLatency,
  'ramp-up': measureRampUp,
  reception: measureReception,
  stop: measureStop,
  'av-offset': measureAvOffset,
  cpu: measureCpu,
  memory: measureMemory,
  individual: measureIndividual,
  'individual-against': measureIndividualAgainst,
  'individual-cpu-against': measureIndividualCpuAgainst,
  'many-recordings': measureManyRecordings,
  snapshots: measureSnapshots,
  api: measureApi,
  pages: measurePages,
  remix: measureRemix,
  cut: measureCut,
  stores: measureStores,
  takeover: measureTakeover,
  'cost-model': measureCostModel,
  crowd: measureCrowd,
  'fork-stall': measureForkStall,
  'at-rest': measureAtRest,
  'cold-start': measureColdStart,
  'install-size': measureInstallSize,
  'starts-against': measureStartsAgainst,
  'cpu-against': measureCpuAgainst,
  encoder: measureEncoder,
  rungs: measureRungs,
  seventeen: measureSeventeen,
  meeting: measureMeeting,
  route: measureRoute,
  'in-real-time': measureInRealTime,
  'layout-change': measureLayoutChange,
  live: measureLive,
  'long-end': measureLongEnd,
  'memory-over-time': measureMemoryOverTime,
  'lease-renewals': measureLeaseRenewals,
  'forwarded-query': measureForwardedQuery,
  'recording-list': measureRecordingList,
  simulation: measureSimulation,
  'fleet-size': measureFleetSize,
  thumbnails: measureThumbnails,
};

/** The first takes half an hour, the second makes fleets until one is too large. */
const ONLY_WHEN_NAMED = ['memory-over-time', 'fleet-size'];

const { positionals: names, values: options } = parseArgs({
  allowPositionals: true,
  options: {
    help: { type: 'boolean' },
    json: { type: 'string' },
    compare: { type: 'string' },
    // Of pages and memory-over-time.
    minutes: { type: 'string' },
    // Of simulation and fleet-size.
    nodes: { type: 'string' },
  },
});
if (options.help) {
  console.log(`npm run bench -- [NAME …] [--json FILE] [--compare FILE]: measures these, or all but ${ONLY_WHEN_NAMED.join(', ')}.
  --json FILE     writes the figures to a file
  --compare FILE  says what is worse by more than a tenth than in that file, which alone decides the exit code then
  Exits with 1 when a goal is not met (or something is worse), with 2 when nothing was measured or compared.
  ${Object.keys(MEASURES).join(' ')}`);
  process.exit(0);
}
const unknown = names.filter((name) => !(name in MEASURES));
if (unknown.length > 0) {
  console.error(`there is no measurement ${unknown.join(', ')}; there are ${Object.keys(MEASURES).join(', ')}`);
  process.exit(2);
}
// Looked at before all is measured: a file that is not there should not be found out half an hour later.
let before: Results | undefined;
try {
  if (options.json !== undefined) checkWritable(options.json);
  if (options.compare !== undefined) before = readResults(options.compare);
} catch (error) {
  console.error(messageOf(error));
  process.exit(2);
}

const machine = describeMachine();
console.log(machine);
const figures: Figure[] = [];
for (const name of names.length > 0 ? names : Object.keys(MEASURES).filter((each) => !ONLY_WHEN_NAMED.includes(each))) {
  console.error(`measuring ${name} …`);
  try {
    figures.push(...(await (MEASURES[name] as () => Promise<Figure[]>)()));
  } catch (error) {
    figures.push(atMost(name, Number.NaN, 0, '', `failed: ${messageOf(error)}`));
  }
}
console.log(`\n${renderTable(figures)}`);

if (options.json !== undefined) {
  const nodes = options.nodes === undefined ? [] : ['--nodes', options.nodes];
  const command = ['npm run bench --', ...names, ...nodes].join(' ');
  const results = { command, date: new Date().toISOString(), commit: describeCommit(), machine, figures };
  writeResults(options.json, results);
}
if (before) {
  if (inBoth(before.figures, figures) === 0) {
    console.error(`\n${options.compare} has none of these figures; it was made by: ${before.command}`);
    process.exit(2);
  }
  const worse = worseThan(before.figures, figures);
  const since = `${before.commit}, ${before.date}, on ${before.machine}`;
  console.log(
    worse.length > 0
      ? `\nworse by more than a tenth than ${since}:\n  ${worse.join('\n  ')}`
      : `\nnothing is worse by more than a tenth than ${since}`,
  );
  process.exit(worse.length > 0 ? 1 : 0);
}
process.exit(figures.every(passes) ? 0 : 1);
