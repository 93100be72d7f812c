/** Lengths, sizes and moments as the commands for every day write them. Pure. */

/** Hours, minutes and seconds: 00:02:05. */
export function clockOf(ms: number): string {
  const whole = Math.max(0, Math.floor(ms / 1000));
  const two = (n: number) => String(n).padStart(2, '0');
  return `${two(Math.floor(whole / 3600))}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** As clockOf, with tenths of a second, and a sign before zero. */
export function placeOf(ms: number): string {
  const tenths = Math.round(ms / 100);
  return `${tenths < 0 ? '-' : ''}${clockOf(Math.abs(tenths) * 100)}.${Math.abs(tenths) % 10}`;
}

export function sizeOf(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  for (; value >= 999.95 && unit < units.length - 1; unit++) value /= 1000;
  return `${value.toFixed(1)} ${units[unit]}`;
}

export function counted(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}

/** A moment in UTC, to the second. */
export function momentOf(unixMs: number): string {
  return `${new Date(unixMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Text of others, safe for a terminal: no control characters, and at most so many characters. */
export function shown(text: string, most = 200): string {
  const plain = text.replace(/[\p{Cc}\p{Cf}]/gu, '·');
  return plain.length <= most ? plain : `${plain.slice(0, most - 1)}…`;
}

/** Rows under titles, in columns as wide as they must be. */
export function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
