/** The text of a clock in the picture: a moment in a time zone, in a format that the caller chose. Pure. */

/** The parts of a format; text in brackets, and any other text, is shown unchanged. */
const PARTS = /\[([^\]]*)\]|YYYY|MM|DD|HH|hh|mm|ss|A/g;

/** Makes a function that tells the time in a format and a zone of the IANA database. Making one is not cheap. */
export function clockTexts(format: string, timeZone: string): (utcMs: number) => string {
  const calendar = new Intl.DateTimeFormat('en-US', {
    ...{ timeZone, hourCycle: 'h23', calendar: 'gregory', numberingSystem: 'latn' },
    ...{ year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit' },
  } as const);
  return (utcMs) => {
    const said = new Map(calendar.formatToParts(utcMs).map(({ type, value }) => [type, value]));
    const two = (value: number | string) => String(value).padStart(2, '0');
    const hour = Number(said.get('hour'));
    const values: Record<string, string> = {
      YYYY: (said.get('year') ?? '').padStart(4, '0'),
      MM: two(said.get('month') ?? ''),
      DD: two(said.get('day') ?? ''),
      HH: two(hour),
      hh: two(hour % 12 || 12),
      mm: two(said.get('minute') ?? ''),
      ss: two(said.get('second') ?? ''),
      A: hour < 12 ? 'AM' : 'PM',
    };
    return format.replace(PARTS, (part, literal?: string) => literal ?? values[part] ?? part);
  };
}

/** All characters that the texts of a format can contain. */
export function clockCharacters(format: string): string[] {
  const literal = format.replace(PARTS, (_part, inBrackets?: string) => inBrackets ?? '');
  return [...new Set(`0123456789${/A/.test(format) ? 'AMP' : ''}${literal}`)];
}
