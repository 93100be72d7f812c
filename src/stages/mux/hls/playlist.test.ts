import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Segment } from '../../../media/segment.ts';
import { renderPlaylist } from './playlist.ts';

const T = Date.UTC(2019, 8, 20, 12, 51, 42, 485);
const slice = (index: number, durationUs: number, more: Partial<Segment> = {}): Segment => ({
  type: 'slice',
  name: `x_${index}.ts`,
  playlist: 'x.m3u8',
  index,
  startUtcMs: T,
  durationUs,
  bytes: 1,
  discontinuity: false,
  starts: [],
  rotations: [],
  ...more,
});

describe('renderPlaylist', () => {
  test('writes what the contract shows', () => {
    const first = slice(0, 6_332_000, {
      discontinuity: true,
      rotations: [{ width: 640, height: 480, rotate: 0, utcMs: T }],
      starts: [
        { kind: 'audio', startUtcMs: T },
        { kind: 'video', startUtcMs: T },
      ],
    });
    expect(renderPlaylist([first, slice(1, 17_000_001)], { extinfComma: false })).toBe(`#EXTM3U
#EXT-X-VERSION:3
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-ALLOW-CACHE:YES
#EXT-X-TARGETDURATION:18
#EXT-X-DISCONTINUITY
#EXT-X-AGORA-ROTATE:WIDTH=640,HEIGHT=480,ROTATE=0,TIME=20190920125142485
#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE=AUDIO,TIME=20190920125142485
#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE=VIDEO,TIME=20190920125142485
#EXTINF:6.332000
x_0.ts
#EXTINF:17.000001
x_1.ts
#EXT-X-ENDLIST
`);
  });

  test('adds the comma of RFC 8216 when asked', () => {
    expect(renderPlaylist([slice(0, 15_000_000)], { extinfComma: true })).toContain('\n#EXTINF:15.000000,\nx_0.ts\n');
  });

  test('is whole without slices, and takes a month of them', () => {
    expect(renderPlaylist([], { extinfComma: false })).toMatch(/TARGETDURATION:1\n#EXT-X-ENDLIST\n$/);
    const month = Array.from({ length: 172_800 }, (_, i) => slice(i, 15_000_000));
    expect(renderPlaylist(month, { extinfComma: false }).match(/#EXTINF/g)).toHaveLength(172_800);
  });

  test('keeps durations to the microsecond and none above the target', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 400_000_000 }), { minLength: 1 }), (durations) => {
        const text = renderPlaylist(
          durations.map((us, i) => slice(i, us)),
          { extinfComma: false },
        );
        const target = Number(/TARGETDURATION:(\d+)/.exec(text)?.[1]);
        // The vendor's converter insists on the decimal point.
        const found = [...text.matchAll(/#EXTINF:(\d+\.\d{6})\n/g)].map((m) => Math.round(Number(m[1]) * 1e6));
        expect(found).toEqual(durations);
        expect(Math.max(...found)).toBeLessThanOrEqual(target * 1e6);
      }),
    );
  });
});
