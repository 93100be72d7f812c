import { describe, expect, test } from 'vitest';
import type { Segment } from '../../../media/segment.ts';
import { renderMpd } from './mpd.ts';

const ZERO = Date.UTC(2019, 8, 20, 12, 51, 42, 485);
const BASE = 'sid_room__uid_s_1__uid_e';

function slice(kind: 'audio' | 'video', fromS: number, seconds: number, more: Partial<Segment> = {}): Segment {
  return {
    type: 'slice',
    name: `${BASE}_${kind}_${fromS}.${kind === 'video' ? 'webm' : 'm4s'}`,
    playlist: `${BASE}_${kind}.m3u8`,
    index: 0,
    startUtcMs: ZERO + fromS * 1000,
    startUs: fromS * 1e6,
    durationUs: seconds * 1e6,
    bytes: 1000,
    discontinuity: false,
    starts: [],
    rotations: [],
    codecs: kind === 'video' ? { video: 'vp8' } : { audio: 'aac' },
    headBytes: 300,
    ...more,
  };
}

const size = (width: number, fromS: number): Partial<Segment> => ({
  discontinuity: true,
  rotations: [{ width, height: 480, rotate: 90, utcMs: ZERO + fromS * 1000 }],
});

const periodsOf = (mpd: string) =>
  [...mpd.matchAll(/<Period id="\d+" duration="PT([\d.]+)S">/g)].map((m) => Number(m[1]));

describe('renderMpd', () => {
  test('names stored slices only, and has what scripts look for', () => {
    const mpd = renderMpd([
      [slice('video', 45, 15, size(640, 45)), slice('video', 60, 5.5)],
      [slice('audio', 45, 15), slice('audio', 60, 5.5)],
    ]);
    expect([...mpd.matchAll(/media="([^"]+)"/g)].map((m) => m[1])).toEqual([
      ...['_video_45.webm', '_video_60.webm', '_audio_45.m4s', '_audio_60.m4s'].map((name) => BASE + name),
    ]);
    expect(mpd).toContain('<ExtDiscontinuity time="20190920125227485"');
    expect(mpd).toContain(' width="640" height="480" rotate="90" time="20190920125227485"');
    expect(mpd).toContain(`<Initialization sourceURL="${BASE}_video_45.webm" range="0-299"/>`);
    expect(mpd).toContain('mediaPresentationDuration="PT20.500000S"');
    expect(periodsOf(mpd)).toEqual([20.5]);
  });

  test('leaves out where a kind is missing, and begins a Period at another codec or size', () => {
    const video = [
      slice('video', 48, 6, size(640, 48)),
      slice('video', 58, 5, size(640, 58)),
      slice('video', 63, 6, size(320, 63)),
      slice('video', 85, 4, size(320, 85)),
      slice('video', 89, 4, { codecs: { video: 'vp9' } }),
    ];
    const audio = [slice('audio', 45, 15), slice('audio', 60, 9), slice('audio', 85, 8.2)];
    const mpd = renderMpd([video, audio]);
    expect(periodsOf(mpd)).toEqual([6, 5, 6, 4, 4.2]);
    // The sound that goes on over an edge is named on both sides of it.
    expect(mpd.split(`media="${BASE}_audio_45.m4s"`).length - 1).toBe(2);
    expect(mpd.match(/codecs="vp0?[89][^"]*"/g)).toEqual([...Array(4).fill('codecs="vp8"'), 'codecs="vp09.00.50.08"']);
    // Once for each slice, though some are named twice.
    expect(mpd.match(/<ExtDiscontinuity/g)?.length).toBe(4);
  });

  test('takes beginnings a little apart for one, and tells of no hole there', () => {
    const mpd = renderMpd([[slice('video', 45.2, 10)], [slice('audio', 45, 10.1)]]);
    expect(periodsOf(mpd)).toEqual([10.2]);
    expect(mpd.match(/<S [^>]+>/g)).toEqual(['<S t="45000000" d="10200000"/>', '<S t="45000000" d="10200000"/>']);
  });

  test('of one kind alone, of slices whose place is not known, and of none', () => {
    expect(periodsOf(renderMpd([[slice('audio', 1, 2)], []]))).toEqual([2]);
    expect(periodsOf(renderMpd([[slice('video', 0, 0.1)]]))).toEqual([0.1]);
    for (const rows of [[], [[]], [[slice('video', 1, 2, { startUs: undefined })]]])
      expect(renderMpd(rows)).toContain('mediaPresentationDuration="PT0.000000S"');
  });
});
