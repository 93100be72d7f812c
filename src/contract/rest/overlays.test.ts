import { describe, expect, test } from 'vitest';
import { withOverlays } from '../line/overlays.ts';
import { toOverlaysChange } from './overlays.ts';
import { parseStart } from './start.ts';
import { toMixPlan } from './to-plan.ts';
import { parseUpdate } from './update.ts';

const NAMES = { cname: 'room', uid: '1' };
const STORAGE = { vendor: 1, region: 0, bucket: 'b', accessKey: 'a', secretKey: 's' };
const OPTIONS = { sid: 'a'.repeat(32), baseName: 'a_room', mp4Limit: { durationMs: 7_200_000, bytes: 2e9 } };

const start = (aircheck: unknown, recordingConfig: object = {}) => {
  const body = { ...NAMES, clientRequest: { recordingConfig, storageConfig: STORAGE, aircheck } };
  const request = parseStart('mix', body);
  if (request.mode !== 'mix') throw new Error('not a mix');
  return toMixPlan(request, OPTIONS).plan.video?.overlays;
};
const update = (aircheck: unknown) => {
  const { clientRequest } = parseUpdate('mix', { ...NAMES, clientRequest: { aircheck } });
  return clientRequest.mode === 'mix' ? toOverlaysChange(clientRequest.aircheck) : undefined;
};
const refusal = (aircheck: unknown) => {
  try {
    start(aircheck);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
};

describe('overlays of start', () => {
  test('are none when nothing is said of them', () => {
    expect(start(undefined)).toBeUndefined();
    expect(start({ onhold: false })).toBeUndefined();
    expect(start({ hideUsersWithoutVideo: false })).toEqual({});
    expect(start({ clock: {} }, { streamTypes: 0 })).toBeUndefined();
  });

  test('have defaults', () => {
    expect(
      start({ nameLabels: { names: { 7: 'Ada' } }, watermark: { text: 'x' }, clock: {}, activeSpeaker: {} }),
    ).toEqual({
      nameLabels: { names: { 7: 'Ada' }, corner: 'top-left' },
      watermark: { shown: { kind: 'text', text: 'x' }, place: 'bottom-right', size: 0.1, opacity: 1 },
      clock: { timeZone: 'UTC', format: 'YYYY-MM-DD HH:mm:ss', corner: 'top-right' },
      speaker: { border: '#32D583' },
    });
    expect(start({ activeSpeaker: { highlight: false, layout: 'alone' }, hideUsersWithoutVideo: true })).toEqual({
      ...{ speaker: { layout: 'alone' }, hidesWithoutVideo: true },
    });
  });

  test.each<[string, unknown, RegExp]>([
    ['a name of nobody', { nameLabels: { names: { me: 'Ada' } } }, /names must be by uid/],
    ['an empty name', { nameLabels: { names: { 1: '' } } }, /must not be empty/],
    ['a blank name', { nameLabels: { names: { 1: ' ' } } }, /must not be blank/],
    ['a name of two lines', { nameLabels: { names: { 1: 'a\nb' } } }, /one line/],
    ['a long name', { nameLabels: { names: { 1: 'a'.repeat(65) } } }, /at most 64/],
    [
      'too many names',
      { nameLabels: { names: Object.fromEntries([...Array(201).keys()].map((n) => [n + 1, 'a'])) } },
      /200/,
    ],
    ['no corner', { nameLabels: { names: {}, position: 'top' } }, /"top-left"/],
    ['neither image nor text', { watermark: {} }, /watermark needs exactly one of image and text/],
    [
      'both of them',
      { watermark: { image: 'https://x/a.png', text: 'x' } },
      /watermark needs exactly one of image and text/,
    ],
    ['an image of a file', { watermark: { image: 'file:///etc/passwd' } }, /http/],
    ['no size', { watermark: { text: 'x', size: 0 } }, /from 0.02 to 1/],
    ['too opaque', { watermark: { text: 'x', opacity: 2 } }, /from 0.05 to 1/],
    ['a zone of nowhere', { clock: { timeZone: 'Mars/Olympus' } }, /IANA/],
    ['a format that has other letters', { clock: { format: 'HH Uhr ä' } }, /printable ASCII/],
    ['no colour', { activeSpeaker: { color: 'red' } }, /#RRGGBB/],
    ['no layout', { activeSpeaker: { layout: 'grid' } }, /"large"/],
  ])('refuses %s', (_what, aircheck, words) => {
    expect(refusal(aircheck)).toMatch(words);
  });
});

describe('overlays of update', () => {
  const before = start({ clock: {}, watermark: { text: 'x' }, hideUsersWithoutVideo: true });

  test('change what is said, keep the rest, and take away what is to be removed', () => {
    expect(update({ onhold: true })).toBeUndefined();
    const { clock, ...rest } = withOverlays(before, update({ clock: { format: 'HH:mm' } })!);
    expect(clock).toEqual({ timeZone: 'UTC', format: 'HH:mm', corner: 'top-right' });
    expect(rest).toEqual({ watermark: before?.watermark, hidesWithoutVideo: true });
    // Clients send null for what they do not set.
    expect(update({ clock: null })).toBeUndefined();
    expect(() => update({ remove: ['onhold'] })).toThrow('"nameLabels"');
    expect(withOverlays(before, update({ remove: ['clock'], hideUsersWithoutVideo: false })!)).toEqual({
      watermark: before?.watermark,
    });
  });
});
