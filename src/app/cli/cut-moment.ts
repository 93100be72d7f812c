/** The moments that `aircheck cut` is told, as the server takes them. Pure. */
import { Fault } from '../../kernel/fault.ts';

/** How much earlier than the start call a recording may begin: what the channel had of everybody by then. */
const BEFORE_MS = 60_000;
const DAY_MS = 86_400_000;

/**
 * Seconds of the recording, or a moment as ISO 8601. Throws a Fault that says what may be written.
 * @param startedMs when the recording was started, Unix milliseconds: a time of day is the first one after it
 */
export function readMoment(option: string, text: string, startedMs: number): number | string {
  const seconds = /^\d{1,7}(\.\d{1,6})?$/.exec(text);
  if (seconds) return Number(text);
  const [, h = '0', m, s] = /^\+(?:(\d{1,4}):(?=\d{1,2}:))?(\d{1,4}):([0-5]\d(?:\.\d{1,6})?)$/.exec(text) ?? [];
  if (m !== undefined && s !== undefined) return Number(h) * 3600 + Number(m) * 60 + Number(s);
  const [, hours, minutes, rest = '0'] = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d(?:\.\d{1,3})?))?$/.exec(text) ?? [];
  if (hours !== undefined && minutes !== undefined) {
    const day = new Date(startedMs);
    day.setHours(Number(hours), Number(minutes), 0, 0);
    const ms = day.getTime() + Math.round(Number(rest) * 1000);
    return new Date(ms < startedMs - BEFORE_MS ? ms + DAY_MS : ms).toISOString();
  }
  const isMoment =
    /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text) && !Number.isNaN(Date.parse(text));
  if (isMoment) return new Date(Date.parse(text)).toISOString();
  throw new Fault(
    'cut-refused',
    `${option} ${text}: it is a time of day (14:02), seconds of the recording (842.5), minutes and seconds of it (+14:02), or a moment with its time zone (2026-05-04T14:02:00Z)`,
    { blame: 'caller' },
  );
}
