/**
 * Measure: one figure of the bench with its goal, and how it is told.
 */
export type Figure = {
  /** What was measured, in words. */
  what: string;
  /** Not finite when it could not be measured, or was never reached. */
  value: number;
  unit: string;
  /** Limits of what passes; one that is exactly met passes, and what has none is told alone. */
  goal: Goal;
  /** Single values behind the figure. */
  detail: string;
};
type Goal = { atLeast?: number; atMost?: number };

/** A goal "at most": the figure passes up to and including `limit`. */
export function atMost(what: string, value: number, limit: number, unit: string, detail: string): Figure {
  return { what, value, unit, goal: { atMost: limit }, detail };
}

/** A goal "at least": the figure passes down to and including `limit`. */
export function atLeast(what: string, value: number, limit: number, unit: string, detail: string): Figure {
  return { what, value, unit, goal: { atLeast: limit }, detail };
}

export function passes({ value, goal: { atLeast, atMost } }: Figure): boolean {
  return Number.isFinite(value) && value >= (atLeast ?? value) && value <= (atMost ?? value);
}

/** Of values in any order the one that this share of all is at most, by nearest rank; NaN when there are none. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = Float64Array.from(values).sort();
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

/** The figures as one table for a terminal. */
export function renderTable(figures: readonly Figure[]): string {
  const rows = [
    ['', 'what', 'goal', 'figure', 'single values'],
    ...figures.map((f) => [passes(f) ? 'pass' : 'MISS', f.what, goalText(f), valueText(f), f.detail]),
  ];
  const widths = [0, 1, 2, 3].map((c) => Math.max(...rows.map((row) => (row[c] ?? '').length)));
  return rows
    .map((row) =>
      row
        .map((cell, c) => (c < 4 ? cell.padEnd(widths[c] as number) : cell))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function goalText({ goal: { atLeast, atMost }, unit }: Figure): string {
  if (atLeast === undefined && atMost === undefined) return '';
  const range =
    atMost === undefined ? `≥ ${atLeast}` : atLeast === undefined ? `≤ ${atMost}` : `${atLeast} to ${atMost}`;
  return `${range} ${unit}`.trim();
}

/** As many digits as say something beside the goal. */
export function valueText({ value, unit, goal: { atLeast, atMost } }: Figure): string {
  if (!Number.isFinite(value)) return 'not measured';
  const limit = Math.abs(atMost ?? atLeast ?? 0);
  return `${value.toFixed(limit < 10 ? 2 : limit < 100 ? 1 : 0)} ${unit}`.trim();
}
