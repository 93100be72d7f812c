/**
 * What is said of results: every goal that is missed is named, and nothing else.
 */
import { describe, expect, test } from 'vitest';
import { CASES, type Case, type Goals } from './cases.ts';
import { lossPlan } from './plan-parts.ts';
import { missesOf, type Result, renderPage, renderTable } from './report.ts';
import type { Verdict } from './verify.ts';

const tally = (there: number, required = 40) => ({
  required,
  there,
  forbidden: 0,
  missing: there < required ? [3.6] : [],
});
const VERDICT: Verdict = {
  roles: [],
  measured: { offsetsMs: [10, 12, 14], audioIntervalsMs: [0], videoIntervalsMs: [0], stableS: 0.5 },
  score: 100,
  flashes: tally(40),
  beeps: tally(40),
  frozenS: 0.4,
  wrongAtS: [],
  driftMs: -3,
  uprightShare: 0.9,
  clicksAtS: [4.25],
  apartMs: 0,
  damaged: 0,
};
const result = (goals: Goals, changes: Partial<Verdict> = {}): Result => ({
  name: 'made-up',
  of: { meaning: 'something happens', plan: lossPlan(0), goals },
  network: { taken: 2000, lost: 100, duplicated: 0 },
  verdict: { ...VERDICT, ...changes },
});

describe('misses', () => {
  test('there are none when all goals are met', () => {
    expect(missesOf(result({ score: 98, medianMs: 20, there: 1, frozenS: 1 }))).toEqual([]);
  });

  test.each([
    [{ score: 98 }, { score: 97.9 }, /the score is 97\.9, not 98/],
    [{ medianMs: 10 }, {}, /the median offset is 12\.0 ms, not 10 ms/],
    [{ medianMs: 10 }, { measured: { ...VERDICT.measured, offsetsMs: [] } }, /median offset is NaN/],
    [{ there: 0.98 }, { beeps: tally(39) }, /beeps: 39 of 40 \(97\.5 %\) there, not 98 %, missing at 3\.6 s/],
    [{ there: 0.98 }, { flashes: tally(0, 0) }, /flashes: 0 of 0/],
    [{ frozenS: 0.3 }, {}, /stood still for 0\.40 s, not 0\.3 s/],
    [{}, { beeps: { ...tally(40), forbidden: 2 } }, /beeps: 2 where there must be none/],
    [{}, { wrongAtS: [1, 2, 3] }, /3 frames show a wrong picture, at 1\.0 s, 2\.0 s/],
    [{ driftMs: 2 }, {}, /drifts by -3\.0 ms, not 2 ms/],
    [{ clicks: 0 }, {}, /1 clicks, at 4\.3 s/],
    [{ upright: 0.95 }, {}, /90 % of frames stand upright, not 95 %/],
    [{}, { damaged: 1 }, /1 packets of the file do not decode/],
  ] as [Goals, Partial<Verdict>, RegExp][])('%o of %o is one', (goals, changes, words) => {
    const misses = missesOf(result(goals, changes));
    expect(misses).toHaveLength(1);
    expect(misses[0]).toMatch(words);
  });

  test('a case that came to nothing says why', () => {
    const { verdict: _, ...failed } = result({});
    expect(missesOf({ ...failed, error: 'no connection within 10 s' })).toEqual(['no connection within 10 s']);
  });
});

describe('the report', () => {
  test('the table has a row per case and names what was missed', () => {
    const { verdict: _, ...failed } = result({});
    const lines = renderTable([result({}), { ...failed, name: 'broken', error: 'it broke' }]).split('\n');
    expect(lines[1]).toMatch(/^made-up +100 of 2000 +40 of 40 \(100 %\) .* met$/);
    expect(lines[2]).toMatch(/^broken .* missed$/);
    expect(lines.at(-1)).toBe('MISS broken: it broke');
  });

  test('the page has every case with its goals, every figure, and the rubric', () => {
    const results = Object.entries(CASES).map(([name, of]) => ({ ...result(of.goals), name, of }));
    const page = renderPage(CASES, results, { date: '2026-02-03', before: '' });
    for (const [name, { meaning }] of Object.entries(CASES)) {
      expect(page).toContain(`| \`${name}\` | ${meaning} |`);
      expect(page).toContain(`| ${name} | 100 of 2000 | 40 of 40 (100 %) |`);
    }
    expect(page).toContain('| Median offset |');
    expect(page.match(/\| 2026-02-03 \|$/gm)).toHaveLength(Object.keys(CASES).length);
  });

  test('a run of one case leaves what the page says of others, and puts its own in place of what was said of it', () => {
    const cases = Object.fromEntries(['one', 'two', 'new'].map((name) => [name, { ...result({ clicks: 0 }).of }]));
    const of = (name: string, changes: Partial<Verdict> = {}) => ({ ...result({ clicks: 0 }, changes), name });
    const first = renderPage(cases, [of('one'), of('two')], { date: '2026-02-03', before: '' });
    expect(first).toMatch(/^\| new \| –.*\| – \|$/m);
    expect(first).toContain('- `one`: 1 clicks, at 4.3 s.\n- `two`: 1 clicks, at 4.3 s.\n');
    const second = renderPage(cases, [of('two', { clicksAtS: [] })], { date: '2026-02-04', before: first });
    const row = (page: string, name: string) => page.split('\n').filter((line) => line.startsWith(`| ${name} |`));
    expect(row(second, 'one')).toEqual(row(first, 'one'));
    expect(row(second, 'two')).toEqual([expect.stringMatching(/\| met \| 2026-02-04 \|$/)]);
    expect(second.match(/^- `.*$/gm)).toEqual(['- `one`: 1 clicks, at 4.3 s.']);
    const third = renderPage({ two: cases['two'] as Case }, [], { date: '2026-02-05', before: second });
    expect(row(third, 'one')).toEqual([]);
    expect(row(third, 'two')).toEqual(row(second, 'two'));
  });
});
