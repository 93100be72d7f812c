/**
 * `npm run test:media`: records participants behind impaired networks and judges the files. Takes less than twenty
 * minutes.
 *
 *   npm run test:media -- clean loss-5        only these cases; their rows of the reference page are written anew
 *   npm run test:media -- --keep=DIR clean    leaves the recording and what was done in DIR
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CASES, type Case } from './cases.ts';
import { Stage } from './perform.ts';
import { missesOf, type Result, renderPage, renderTable } from './report.ts';
import { verify } from './verify.ts';

const ROOT = join(import.meta.dirname, '../..');
const PAGE = join(ROOT, 'docs/reference/fidelity.md');

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
  }
} finally {
  await stage.close();
}
console.log(`\n${renderTable(results)}`);
const date = new Date().toISOString().slice(0, 10);
writeFileSync(PAGE, renderPage(CASES, results, { date, before: readFileSync(PAGE, 'utf8') }));
process.exit(results.every((result) => missesOf(result).length === 0) ? 0 : 1);
