/**
 * `npm run test:chaos`: kills and stops recorders, servers, databases and machines, and judges what was recorded
 * meanwhile. Takes less than 45 minutes.
 *
 *   npm run test:chaos -- kill server-hang     only these scenarios
 *   npm run test:chaos -- --keep=DIR kill      leaves the recordings, and what was done meanwhile, in DIR
 */
import { inspect, parseArgs } from 'node:util';
import { keepIn, latenessOf, missesOf, type Scenario, summaryOf } from './play.ts';
import { SCENARIOS } from './scenarios.ts';

const { values, positionals: names } = parseArgs({ options: { keep: { type: 'string' } }, allowPositionals: true });
if (values.keep !== undefined) keepIn(values.keep);
const unknown = names.filter((name) => !(name in SCENARIOS));
if (unknown.length > 0) {
  console.error(`there is no scenario ${unknown.join(', ')}; there are ${Object.keys(SCENARIOS).join(', ')}`);
  process.exit(2);
}

/** Plays a scenario and says what came of it. Returns whether all was well. */
async function run(name: string, { meaning, run: perform }: Scenario): Promise<boolean> {
  console.log(`${name}: ${meaning} …`);
  const began = performance.now();
  try {
    const report = await perform();
    const misses = [...missesOf(report), ...latenessOf(report)];
    console.log(`  ${summaryOf(report)}; took ${((performance.now() - began) / 1000).toFixed(0)} s`);
    console.log(misses.map((miss) => `  MISS ${miss}`).join('\n') || '  met');
    return misses.length === 0;
  } catch (error) {
    console.log(`  FAILED ${inspect(error)}`);
    return false;
  }
}

const failed: string[] = [];
for (const name of names.length > 0 ? names : Object.keys(SCENARIOS))
  if (!(await run(name, SCENARIOS[name] as Scenario))) failed.push(name);
console.log(failed.length === 0 ? 'all met' : `not met: ${failed.join(', ')}`);
process.exit(failed.length === 0 ? 0 : 1);
