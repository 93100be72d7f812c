import { describe, expect, test } from 'vitest';
import { type CutSource, type CutWish, planCut } from './cut-plan.ts';

const ZERO = Date.UTC(2026, 4, 4, 14, 0, 0);
type File = CutSource['file'];
const slice = (atS: number, lengthS: number, over: Partial<File> = {}): CutSource => {
  const name = over.name ?? `x_${atS}.ts`;
  const file = {
    name,
    startUtcMs: ZERO + atS * 1000,
    durationUs: lengthS * 1e6,
    bytes: 1,
    rotations: [],
    playlist: 'x',
  };
  return { file: { ...file, ...over }, at: { path: `/spool/${name}` } };
};
const wish = (from: number, to: number): CutWish => ({ from: { playedS: from }, to: { playedS: to } });
const together = { kind: 'together' } as const;
const ROW = [slice(0, 15), slice(15, 15), slice(30, 9.5)];
const names = (plan: ReturnType<typeof planCut>) => plan.rows.map((row) => row.map(({ file }) => file.name));

describe('a stretch of a composite', () => {
  test('takes the slices that hold it, and the one before where sound needs it', () => {
    expect(names(planCut(ROW, wish(16, 20), together))).toEqual([['x_15.ts']]);
    expect(names(planCut(ROW, wish(15, 31), together))).toEqual([['x_0.ts', 'x_15.ts', 'x_30.ts']]);
    expect(planCut(ROW, wish(16, 20), together)).toMatchObject({ fromUs: 16e6, toUs: 20e6, startUtcMs: ZERO + 16_000 });
  });

  test('by moments of UTC, whatever their time zone', () => {
    const moments = { from: { utcMs: Date.parse('2026-05-04T16:00:14+02:00') }, to: { utcMs: ZERO + 20_000 } };
    expect(planCut(ROW, moments, together)).toMatchObject({ fromUs: 14e6, toUs: 20e6 });
  });

  test('may be asked for up to a second more than there is, as players round', () => {
    expect(planCut(ROW, wish(30, 40), together).toUs).toBe(39.5e6);
  });

  test.each([
    [
      'before the end of what is recorded',
      wish(20, 20),
      'request-invalid',
      /from \(20 s\) must lie before to \(20 s\)/,
    ],
    ['the wrong way round', wish(20, 10), 'request-invalid', /must lie before/],
    [
      'that ends later',
      wish(20, 50),
      'cut-outside',
      /there is 0 s to 39\.5 s \(2026-05-04T14:00:00\.000Z to .*50 s was/,
    ],
    ['that begins later', wish(40, 41), 'cut-outside', /there is 0 s/],
    ['before its beginning', { from: { utcMs: ZERO - 1 }, to: { utcMs: ZERO + 1 } }, 'cut-outside', /there is 0 s/],
    ['of one user', { ...wish(1, 2), uid: '7' }, 'cut-impossible', /leave uid out/],
  ])('is refused: %s', (_, asked, code, words) => {
    expect(() => planCut(ROW, asked, together)).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(words) }),
    );
  });

  test('of a recording of which nothing is left is refused', () => {
    expect(() => planCut([], wish(0, 1), together)).toThrow(expect.objectContaining({ code: 'nothing-stored' }));
  });

  test('ends a slice where the next one begins, if both have the same', () => {
    const [row] = planCut([slice(0, 15), slice(12, 15)], wish(0, 27), together).rows;
    expect(row!.map(({ placeUs, untilUs }) => [placeUs, untilUs])).toEqual([
      [0, 12e6],
      [12e6, undefined],
    ]);
  });

  test('a moment of a hold is where the hold is cut out', () => {
    const held = [slice(0, 15), slice(60, 15, { heldUs: 45e6 })];
    const at = (s: number) => ({ utcMs: ZERO + s * 1000 });
    expect(planCut(held, { from: at(30), to: at(65) }, together)).toMatchObject({ fromUs: 15e6, toUs: 20e6 });
    expect(planCut(held, wish(16, 20), together).startUtcMs).toBe(ZERO + 61_000);
  });
});

describe('a stretch of a single user', () => {
  const of = (kind: 'audio' | 'video', atS: number, lengthS: number, over: Partial<File> = {}) =>
    slice(atS, lengthS, {
      ...{ name: `${kind}_${atS}.ts`, owner: { uid: '7', trackType: kind } },
      ...(kind === 'video' && { codecs: { video: 'h264' as const } }),
      ...over,
    });
  const alone = { kind: 'alone', zeroUtcMs: ZERO, holds: [] } as const;
  const asked = { ...wish(5, 25), uid: '7' };

  test('has a row of pictures and one of sound', () => {
    const all = [of('audio', 0, 30), of('video', 0, 15), of('video', 15, 15)];
    expect(names(planCut(all, asked, alone))).toEqual([['video_0.ts', 'video_15.ts'], ['audio_0.ts']]);
  });

  test('goes back over slices that were ended by force, which need not begin with a key frame', () => {
    const all = [of('video', 0, 330), of('video', 330, 330), of('video', 660, 20)];
    expect(names(planCut(all, { ...wish(670, 675), uid: '7' }, alone))).toEqual([
      ['video_0.ts', 'video_330.ts', 'video_660.ts'],
    ]);
  });

  const turned = (rotate: 0 | 90, atS: number) => [{ width: 4, height: 2, rotate, utcMs: ZERO + atS * 1000 }];
  test('that is turned, or changes its codec, within it cannot be one MP4', () => {
    const change = [of('video', 0, 15), of('video', 15, 15, { codecs: { video: 'vp9' } })];
    expect(() => planCut(change, asked, alone)).toThrow(/changes its codec/);
    const vp8 = [of('video', 0, 30, { codecs: { video: 'vp8' } })];
    expect(() => planCut(vp8, asked, alone)).toThrow(/VP8, which an MP4 cannot hold/);
    const turns = [of('video', 0, 15, { rotations: turned(0, 0) }), of('video', 15, 15, { rotations: turned(90, 15) })];
    expect(() => planCut(turns, asked, alone)).toThrow(/turned at 2026-05-04T14:00:15.000Z/);
    expect(planCut(turns, { ...wish(16, 20), uid: '7' }, alone).rotate).toBe(90);
  });
});
