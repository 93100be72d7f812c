/**
 * Measure: one figure of the bench with its goal, and how it is told.
 */
export type Figure = {
  /** What was measured, in words. */
  what: string;
  goal: string;
  figure: string;
  pass: boolean;
  /** Single values behind the figure. */
  detail: string;
};

/** A goal "at most": the figure passes up to and including `limit`. */
export function atMost(what: string, value: number, limit: number, unit: string, detail: string): Figure {
  const digits = limit < 10 ? 2 : 0;
  return {
    what,
    goal: `≤ ${limit} ${unit}`.trim(),
    figure: `${value.toFixed(digits)} ${unit}`.trim(),
    pass: value <= limit,
    detail,
  };
}

/** A goal "at least": the figure passes down to and including `limit`. */
export function atLeast(what: string, value: number, limit: number, unit: string, detail: string): Figure {
  return {
    what,
    goal: `≥ ${limit} ${unit}`.trim(),
    figure: `${value.toFixed(2)} ${unit}`.trim(),
    pass: value >= limit,
    detail,
  };
}

/** The figures as one table for a terminal. */
export function renderTable(figures: readonly Figure[]): string {
  const rows = [
    ['', 'what', 'goal', 'figure', 'single values'],
    ...figures.map((f) => [f.pass ? 'pass' : 'MISS', f.what, f.goal, f.figure, f.detail]),
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
