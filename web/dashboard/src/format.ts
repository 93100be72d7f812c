/** How numbers and moments are written. */
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'medium' });

export function when(ms: number | null | undefined): string {
  return ms === null || ms === undefined ? '–' : moment.format(ms);
}

/** 75 000 ms is 1:15. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  const two = (value: number) => String(value).padStart(2, '0');
  const hours = Math.floor(s / 3600);
  const minutes = Math.floor(s / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

/** 75.25 s is 1:15.25; what `secondsOf` reads. */
export function exact(s: number): string {
  const hundredths = Math.round(s * 100);
  const minutes = Math.floor(hundredths / 6000);
  const rest = (hundredths % 6000) / 100;
  const text = String(rest).split('.');
  return `${minutes}:${text[0]?.padStart(2, '0')}${text[1] === undefined ? '' : `.${text[1]}`}`;
}

/** Of `75.25`, `1:15.25` and `0:01:15.25`; undefined where it is no time. */
export function secondsOf(text: string): number | undefined {
  if (!/^\d+(:\d{1,2}){0,2}(\.\d+)?$/.test(text.trim())) return undefined;
  return text.split(':').reduce((sum, part) => sum * 60 + Number(part), 0);
}

export function seconds(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

/** 1 file, 2 files. */
export function counted(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? '' : 's'}`;
}

export function rate(kbps: number): string {
  return kbps >= 1000 ? `${(kbps / 1000).toFixed(1)} Mbit/s` : `${Math.round(kbps)} kbit/s`;
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}
