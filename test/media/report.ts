/**
 * Report: what was measured against its goals, as a table for a terminal and as the reference page.
 */

import type { WayCounters } from '../support/impair/impairment.ts';
import { median } from '../support/judge/offsets.ts';
import type { Case } from './cases.ts';
import { percentile, RUBRIC } from './score.ts';
import type { Tally, Verdict } from './verify.ts';

/** A case with what it came to, or why it came to nothing. */
export type Result = { name: string; of: Case; verdict?: Verdict; network?: WayCounters; error?: string };

/** Goals that were missed, in words; none when all is well. */
export function missesOf({ of: { goals }, verdict, error }: Result): string[] {
  if (!verdict) return [error ?? 'nothing was measured'];
  const misses: string[] = [];
  if (goals.score !== undefined && !(verdict.score >= goals.score))
    misses.push(`the score is ${verdict.score.toFixed(1)}, not ${goals.score}`);
  const medianMs = Math.abs(median(verdict.measured.offsetsMs));
  if (goals.medianMs !== undefined && !(medianMs <= goals.medianMs))
    misses.push(`the median offset is ${medianMs.toFixed(1)} ms, not ${goals.medianMs} ms`);
  if (goals.there !== undefined)
    for (const [what, tally] of marksOf(verdict))
      if (!(shareOf(tally) >= goals.there))
        misses.push(`${what}: ${share(tally)} there, not ${percent(goals.there)}, missing at ${times(tally.missing)}`);
  if (goals.frozenS !== undefined && !(verdict.frozenS <= goals.frozenS))
    misses.push(`the picture stood still for ${verdict.frozenS.toFixed(2)} s, not ${goals.frozenS} s`);
  for (const [what, { forbidden }] of marksOf(verdict))
    if (forbidden > 0) misses.push(`${what}: ${forbidden} where there must be none`);
  const { wrongAtS, clicksAtS } = verdict;
  if (wrongAtS.length > 0)
    misses.push(`${wrongAtS.length} frames show a wrong picture, at ${times(wrongAtS.slice(0, 10))}`);
  if (goals.driftMs !== undefined && !(Math.abs(verdict.driftMs) <= goals.driftMs))
    misses.push(`it drifts by ${verdict.driftMs.toFixed(1)} ms, not ${goals.driftMs} ms`);
  if (goals.clicks !== undefined && clicksAtS.length > goals.clicks)
    misses.push(`${clicksAtS.length} clicks, at ${times(clicksAtS.slice(0, 10))}`);
  if (goals.upright !== undefined && !(verdict.uprightShare >= goals.upright))
    misses.push(`${percent(verdict.uprightShare)} of frames stand upright, not ${percent(goals.upright)}`);
  if (verdict.damaged > 0) misses.push(`${verdict.damaged} packets of the file do not decode`);
  return misses;
}

const COLUMNS = [
  'case',
  'packets lost',
  'flashes there',
  'beeps there',
  'score',
  'median',
  'worst',
  'spread',
  'stable after',
  'longest frozen',
  'wrong frames',
  'drift',
  'clicks',
  'goals',
] as const;

function rowOf(result: Result): string[] {
  const { name, verdict, network } = result;
  const goals = missesOf(result).length === 0 ? 'met' : 'missed';
  if (!verdict) return [name, ...COLUMNS.slice(2).map(() => '–'), goals];
  const { offsetsMs, stableS } = verdict.measured;
  const worst = offsetsMs.reduce((most, ms) => (Math.abs(ms) > Math.abs(most) ? ms : most), 0);
  return [
    name,
    network ? `${network.lost} of ${network.taken}` : '–',
    share(verdict.flashes),
    share(verdict.beeps),
    verdict.score.toFixed(1),
    milliseconds(median(offsetsMs)),
    milliseconds(worst),
    milliseconds(percentile(offsetsMs, 0.95) - percentile(offsetsMs, 0.05)),
    Number.isFinite(stableS) ? `${stableS.toFixed(1)} s` : 'never',
    `${verdict.frozenS.toFixed(2)} s`,
    String(verdict.wrongAtS.length),
    milliseconds(verdict.driftMs),
    String(verdict.clicksAtS.length),
    goals,
  ];
}

/** For a terminal, with what was missed below. */
export function renderTable(results: readonly Result[]): string {
  const rows = [[...COLUMNS], ...results.map(rowOf)];
  const widths = COLUMNS.map((_, c) => Math.max(...rows.map((row) => (row[c] ?? '').length)));
  const lines = rows.map((row) =>
    row
      .map((cell, c) => cell.padEnd(widths[c] as number))
      .join('  ')
      .trimEnd(),
  );
  const misses = results.flatMap((result) => missesOf(result).map((miss) => `MISS ${result.name}: ${miss}`));
  return [...lines, ...(misses.length > 0 ? ['', ...misses] : [])].join('\n');
}

const PAGE_COLUMNS = [...COLUMNS, 'measured'];

/**
 * The page docs/reference/fidelity.md.
 * @param cases all there are, in the order of the page
 * @param results of those that ran on `date`, which is `yyyy-mm-dd`
 * @param before the page as it stood: what it says of the other cases is kept
 */
export function renderPage(
  cases: Record<string, Case>,
  results: readonly Result[],
  { date, before }: { date: string; before: string },
): string {
  const table = (head: readonly string[], rows: readonly string[]) => [
    lineOf(head),
    `|${head.map(() => '---|').join('')}`,
    ...rows,
  ];
  const kept = readPage(before);
  const measured = Object.keys(cases).map((name) => {
    const result = results.find((each) => each.name === name);
    if (result) {
      const misses = missesOf(result).map((miss) => `${missHead(name)}${miss}.`);
      return { row: lineOf([...rowOf(result), date]), misses };
    }
    return kept.get(name) ?? { row: lineOf([name, ...PAGE_COLUMNS.slice(1).map(() => '–')]), misses: [] };
  });
  const misses = measured.flatMap((each) => each.misses);
  return [
    '# Fidelity',
    '',
    '<!-- Generated by npm run test:media from test/media. -->',
    '',
    'What becomes of a recording when networks lose, delay and reorder packets, when clocks run fast or slow, and when people',
    'come, go and change what they send. Two participants, unless a case says otherwise, one with H.264 and one with VP8,',
    'publish over WHIP through a UDP proxy on loopback that impairs their packets; a real server records them; the MP4 is',
    'judged second by second. Each participant flashes and beeps at every full second.',
    '',
    '```sh',
    'npm run test:media                     # all cases; writes this page; exits with 1 when a goal is missed',
    'npm run test:media -- loss-5 jitter    # only these; writes their rows anew',
    'npm run test:media -- --keep=DIR mute  # leaves the recording in DIR',
    '```',
    '',
    '## Cases',
    '',
    ...table(
      ['Case', 'What happens', 'Goals'],
      Object.entries(cases).map(([name, of]) => lineOf([`\`${name}\``, of.meaning, goalsOf(of)])),
    ),
    '',
    'In every case nothing may be seen or heard where there must be nothing (someone who left or is muted), no frame may show',
    'another picture than the participant’s own (grey, green, black, smeared), and the file must decode. Within a second of a',
    'change or of a blackout a mark may be there or not.',
    '',
    '## As measured',
    '',
    ...table(
      PAGE_COLUMNS.map((column) => column[0]?.toUpperCase() + column.slice(1)),
      measured.map(({ row }) => row),
    ),
    '',
    ...(misses.length > 0 ? ['Goals that were missed:', '', ...misses, ''] : []),
    'Frozen is the longest time that a picture stood still although it was sent and got through. Drift is how much later picture',
    'or sound lies in the last fifth of the recording than in the first, of the participant with the most. A click is a place at',
    'which a wave is cut, by a tenth of a millisecond or more. Each row is the latest run of its case, on the day it names.',
    '',
    '## The score',
    '',
    'The score is 100 less what each criterion takes off: nothing up to its good bound, all of its points from its bad bound on,',
    'and in proportion in between.',
    '',
    ...table(
      ['Criterion', 'What it is', 'Good', 'Bad', 'Points'],
      RUBRIC.map((c) => lineOf([c.name, c.meaning, `${c.good} ${c.unit}`, `${c.bad} ${c.unit}`, String(c.points)])),
    ),
    '',
  ].join('\n');
}

/** What a page says of each case that was measured, by name. A page with other columns says nothing. */
function readPage(page: string): Map<string, { row: string; misses: string[] }> {
  const lines = page.split('\n');
  const head = lines.findIndex((line) => line.toLowerCase() === lineOf(PAGE_COLUMNS));
  const body = head < 0 ? [] : lines.slice(head + 2);
  const end = body.findIndex((line) => !line.startsWith('|'));
  return new Map(
    body.slice(0, end < 0 ? undefined : end).map((row) => {
      const name = row.split(' | ')[0]?.slice(2) ?? '';
      return [name, { row, misses: lines.filter((line) => line.startsWith(missHead(name))) }];
    }),
  );
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
function missHead(name: string): string {
  return `- \`${name}\`: `;
}

function goalsOf({ goals }: Case): string {
  const parts = [
    goals.score !== undefined && `score ≥ ${goals.score}`,
    goals.medianMs !== undefined && `median ≤ ${goals.medianMs} ms`,
    goals.there !== undefined && (goals.there === 1 ? 'all marks there' : `${percent(goals.there)} of marks there`),
    goals.frozenS !== undefined && `frozen ≤ ${goals.frozenS} s`,
    goals.driftMs !== undefined && `drift ≤ ${goals.driftMs} ms`,
    goals.clicks !== undefined && (goals.clicks === 0 ? 'no clicks' : `clicks ≤ ${goals.clicks}`),
    goals.upright !== undefined && `upright in ${percent(goals.upright)}`,
  ].filter((part) => part !== false);
  return parts.join(', ') || 'those of all';
}

function marksOf(verdict: Verdict): [string, Tally][] {
  return [
    ['flashes', verdict.flashes],
    ['beeps', verdict.beeps],
  ];
}
function shareOf({ there, required }: Tally): number {
  return required === 0 ? Number.NaN : there / required;
}
function share(tally: Tally): string {
  return `${tally.there} of ${tally.required} (${percent(shareOf(tally))})`;
}
function percent(value: number): string {
  return `${Number((value * 100).toFixed(1))} %`;
}
function milliseconds(ms: number): string {
  return Number.isFinite(ms) ? `${ms.toFixed(1)} ms` : '–';
}
function times(seconds: readonly number[]): string {
  return seconds.map((s) => `${s.toFixed(1)} s`).join(', ');
}
