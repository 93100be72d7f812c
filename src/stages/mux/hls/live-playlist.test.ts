/** Playlists of recordings that go on, by the rules of RFC 8216bis. */
import { describe, expect, test } from 'vitest';
import {
  FIRST_SEGMENT,
  type LivePlaylistOptions,
  type LiveSegment,
  renderLivePlaylist,
  renderLiveRenditions,
} from './live-playlist.ts';

const T = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const PART = { durationUs: 600_000, isIndependent: false };
const KEY = { ...PART, isIndependent: true };
const slice = (n: number, more: Partial<LiveSegment> = {}): LiveSegment => ({
  ...{ startUtcMs: T + n * 15_000, durationUs: 15_000_000, discontinuity: false, parts: [] },
  ...more,
});
const render = (segments: LiveSegment[], more: Partial<LivePlaylistOptions> = {}) =>
  renderLivePlaylist({
    ...{ segments, isEnded: false, partTargetUs: 600_000, targetS: 18 },
    segmentUri: (n) => `${n - FIRST_SEGMENT}.ts`,
    partUri: (n, part) => `${n - FIRST_SEGMENT}.${part}.ts`,
    ...more,
  });
const HEAD = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:18
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.80000,HOLD-BACK=54,CAN-SKIP-UNTIL=108
#EXT-X-PART-INF:PART-TARGET=0.60000
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-PLAYLIST-TYPE:EVENT
`;

describe('the playlist', () => {
  test('lists slices from the first on, the parts of the newest, and the part that comes next', () => {
    const open = slice(1, { durationUs: undefined, parts: [KEY, PART] });
    expect(render([slice(0), open])).toBe(`${HEAD}#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:15.00000,
0.ts
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:20.678Z
#EXT-X-PART:DURATION=0.60000,URI="1.0.ts",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.60000,URI="1.1.ts"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1.2.ts"
`);
  });

  test('announces the first part of the next slice while none is being written', () => {
    expect(render([slice(0, { parts: [KEY] })])).toBe(`${HEAD}#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXT-X-PART:DURATION=0.60000,URI="0.0.ts",INDEPENDENT=YES
#EXTINF:15.00000,
0.ts
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="1.0.ts"
`);
  });

  test('ends where the recording has ended, with whole slices alone', () => {
    const text = render([slice(0), slice(1, { parts: [KEY], discontinuity: true })], { isEnded: true });
    expect(text).toBe(`${HEAD}#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z
#EXTINF:15.00000,
0.ts
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:20.678Z
#EXTINF:15.00000,
1.ts
#EXT-X-ENDLIST
`);
  });

  test('lists parts of what ended a little while ago alone', () => {
    const before = Array.from({ length: 10 }, (_, n) => slice(n, { durationUs: 3_000_000, parts: [KEY] }));
    const text = render([...before, slice(10, { durationUs: undefined, parts: [KEY, PART] })]);
    // 18 s are 1.2 s of the newest and six before it.
    expect(text.match(/URI="\d+\.0\.ts"/g)).toEqual([4, 5, 6, 7, 8, 9, 10].map((n) => `URI="${n}.0.ts"`));
  });

  test('tells the time where a slice begins', () => {
    const text = render([slice(0), slice(1, { startUtcMs: undefined }), slice(2)]);
    expect(text.match(/^#EXT-X-PROGRAM-DATE-TIME.*|^\d\.ts/gm)).toEqual([
      '#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.678Z',
      ...['0.ts', '1.ts', '#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:35.678Z', '2.ts'],
    ]);
  });
});

describe('a player that has an earlier version', () => {
  const slices = Array.from({ length: 20 }, (_, n) => slice(n));
  const open = slice(20, { durationUs: undefined, parts: [KEY] });

  test('gets what is newer than was announced, and how many slices were left out', () => {
    const text = render([...slices, open], { skips: true });
    const left = Number(/#EXT-X-SKIP:SKIPPED-SEGMENTS=(\d+)/.exec(text)?.[1]);
    // 108 s are seven slices and a little of an eighth.
    expect(left).toBe(20 - 8);
    expect(text.match(/^\d+\.ts$/gm)?.[0]).toBe(`${left}.ts`);
    expect(text).not.toMatch(/^0\.ts$/m);
  });

  test('gets all of it where little has gone by, and when it has ended', () => {
    expect(render([...slices.slice(0, 7), open], { skips: true })).not.toContain('SKIP:');
    expect(render(slices, { skips: true, isEnded: true })).not.toContain('SKIP:');
  });
});

describe('of a user who is recorded alone, the playlist of both', () => {
  const [video, audio] = [
    { kind: 'video' as const, uri: 'v' },
    { kind: 'audio' as const, uri: 'a' },
  ];
  test('names the picture, and the sound beside it', () => {
    expect(renderLiveRenditions([video, audio], 1000)).toBe(`#EXTM3U
#EXT-X-VERSION:9
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="sound",NAME="sound",DEFAULT=YES,AUTOSELECT=YES,URI="a"
#EXT-X-STREAM-INF:BANDWIDTH=1000,AUDIO="sound"
v
`);
  });
  test('names what there is', () => {
    expect(renderLiveRenditions([audio], 1000)).toBe(
      '#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-STREAM-INF:BANDWIDTH=1000\na\n',
    );
  });
});
