import { describe, expect, test } from 'vitest';
import { clockCharacters, clockTexts } from './clock-text.ts';

const at = (format: string, timeZone: string, utc: string) => clockTexts(format, timeZone)(Date.parse(utc));

describe('what a clock says', () => {
  test.each([
    ['YYYY-MM-DD HH:mm:ss', 'UTC', '2026-03-09T05:07:08Z', '2026-03-09 05:07:08'],
    ['DD.MM.YYYY HH:mm', 'Europe/Berlin', '2026-03-09T05:07:08Z', '09.03.2026 06:07'],
    ['HH:mm', 'Europe/Berlin', '2026-07-09T22:07:08Z', '00:07'],
    ['hh:mm:ss A', 'America/New_York', '2026-01-01T04:59:59Z', '11:59:59 PM'],
    ['hh A', 'UTC', '2026-01-01T00:00:00Z', '12 AM'],
    ['hh A', 'UTC', '2026-01-01T12:00:00Z', '12 PM'],
    ['[A hh] HH [UTC]', 'UTC', '2026-01-01T13:00:00Z', 'A hh 13 UTC'],
    ['YYYY-MM-DD HH', 'Asia/Kathmandu', '2026-12-31T18:20:00Z', '2027-01-01 00'],
    ['at [ HH', 'UTC', '2026-01-01T13:00:00Z', 'at [ 13'],
  ])('%s in %s', (format, zone, utc, text) => {
    expect(at(format, zone, utc)).toBe(text);
    const letters = new Set(clockCharacters(format));
    expect([...text].filter((letter) => !letters.has(letter))).toEqual([]);
  });

  test('goes through the hour that is there twice', () => {
    expect(at('HH:mm', 'Europe/Berlin', '2026-10-25T00:30:00Z')).toBe('02:30');
    expect(at('HH:mm', 'Europe/Berlin', '2026-10-25T01:30:00Z')).toBe('02:30');
  });
});
