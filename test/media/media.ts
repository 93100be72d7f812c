/**
 * `npm run test:media`: records participants behind impaired networks and judges the files. Takes about seven minutes.
 *
 *   npm run test:media -- clean loss-5      only these cases; the reference page is left as it is
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CASES, type Case } from './cases.ts';
import { Stage } from './perform.ts';
import { missesOf, type Result, renderPage, renderTable } from './report.ts';
import { verify } from './verify.ts';

const PAGE = join(import.meta.dirname, '../../docs/reference/fidelity.md');

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0) {
  console.error(`there is no case ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`);
  process.exit(2);
}

const results: Result[] = [];
const stage = await Stage.open();
try {
  for (const name of names.length > 0 ? names : Object.keys(CASES)) {
    const of = CASES[name] as Case;
    console.error(`${name}: ${of.meaning} …`);
    try {
      const { course, mp4, network } = await stage.perform(of.plan);
      results.push({ name, of, network, verdict: verify(mp4, course) });
    } catch (error) {
      results.push({ name, of, error: error instanceof Error ? error.message : String(error) });
    }
  }
} finally {
  await stage.close();
}
console.log(`\n${renderTable(results)}`);
if (names.length === 0) writeFileSync(PAGE, renderPage(results));
process.exit(results.every((result) => missesOf(result).length === 0) ? 0 : 1);
