/**
 * `npm run test:media`: records participants behind impaired networks and judges the files. Takes less than twenty
 * minutes.
 *
 *   npm run test:media -- clean loss-5        only these cases; their rows of the reference page are written anew
 *   npm run test:media -- --keep=DIR clean    leaves the recording and what was done in DIR
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES, type Case } from './cases.ts';
import { Stage } from './perform.ts';
import { missesOf, type Result, renderPage, renderTable } from './report.ts';
import { verify } from './verify.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = join(ROOT, 'docs/reference/fidelity.md');
/** The latest result of each case, so that one can be run again without the others. */
const LATEST = join(ROOT, 'node_modules/.cache/fidelity');

const { values, positionals: names } = parseArgs({ options: { keep: { type: 'string' } }, allowPositionals: true });
const unknown = names.filter((name) => !(name in CASES));
if (unknown.length > 0) {
  console.error(`there is no case ${unknown.join(', ')}; there are ${Object.keys(CASES).join(', ')}`);
  process.exit(2);
}

async function run(stage: Stage, name: string): Promise<Result> {
  const of = CASES[name] as Case;
  try {
    const { course, mp4, network } = await stage.perform(of.plan);
    if (values.keep !== undefined) {
      mkdirSync(values.keep, { recursive: true });
      copyFileSync(mp4, join(values.keep, `${name}.mp4`));
      writeFileSync(join(values.keep, `${name}.json`), JSON.stringify(course, null, 2));
    }
    return { name, of, network, verdict: verify(mp4, course) };
  } catch (error) {
    return { name, of, error: error instanceof Error ? error.message : String(error) };
  }
}

function latest(name: string): Result | undefined {
  const path = join(LATEST, `${name}.json`);
  if (!existsSync(path)) return undefined;
  return { ...JSON.parse(readFileSync(path, 'utf8')), of: CASES[name] as Case };
}

mkdirSync(LATEST, { recursive: true });
const results: Result[] = [];
const stage = await Stage.open();
try {
  for (const name of names.length > 0 ? names : Object.keys(CASES)) {
    console.error(`${name}: ${(CASES[name] as Case).meaning} …`);
    const result = await run(stage, name);
    results.push(result);
    console.error(
      missesOf(result)
        .map((miss) => `  MISS ${miss}`)
        .join('\n') || '  met',
    );
    writeFileSync(join(LATEST, `${name}.json`), JSON.stringify(result));
  }
} finally {
  await stage.close();
}
console.log(`\n${renderTable(results)}`);
const all = Object.keys(CASES).map(latest);
if (all.every((result) => result !== undefined)) writeFileSync(PAGE, renderPage(all));
else console.error('the page is not written: some cases were never run here');
process.exit(results.every((result) => missesOf(result).length === 0) ? 0 : 1);
