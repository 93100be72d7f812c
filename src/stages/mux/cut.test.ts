import { describe, expect, test } from 'vitest';
import { endsFile, endsSlice } from './cut.ts';

const video = (s: number, keyFrame = false) => ({ kind: 'video' as const, keyFrame, ptsUs: s * 1e6 });
const audio = (s: number) => ({ kind: 'audio' as const, keyFrame: true, ptsUs: s * 1e6 });
const slice = { startUs: 2e6, bytes: 1000 };

describe('a slice', () => {
  test.each([
    ['a key frame after 15 s', video(17, true), slice, true, true],
    ['a key frame just before', video(16.999, true), slice, true, false],
    ['another frame after 15 s', video(18), slice, true, false],
    ['sound after 15 s beside a picture', audio(18), slice, true, false],
    ['sound after 15 s alone', audio(17), slice, false, true],
    ['sound just before 15 s alone', audio(16.99), slice, false, false],
    ['any frame after 5.5 minutes', video(332), slice, true, true],
    ['any frame before 5.5 minutes', video(331), slice, true, false],
    ['any frame after 50 MB', video(3), { startUs: 2e6, bytes: 50_000_001 }, true, true],
    ['any frame at 50 MB', video(3), { startUs: 2e6, bytes: 50_000_000 }, true, false],
  ])('and %s: ends %5$s', (_what, next, written, hasVideo, ends) => {
    expect(endsSlice(next, written, hasVideo)).toBe(ends);
  });
});

describe('an MP4', () => {
  const limit = { durationMs: 60_000, bytes: 1_000_000 };
  test.each([
    ['a key frame at the limit', video(62, true), slice, true, true],
    ['a key frame before it', video(61.9, true), slice, true, false],
    ['another frame past it', video(70), slice, true, false],
    ['sound past it beside a picture', audio(70), slice, true, false],
    ['sound past it alone', audio(62), slice, false, true],
    ['a key frame past the size', video(3, true), { startUs: 2e6, bytes: 1_000_000 }, true, true],
  ])('and %s: ends %5$s', (_what, next, written, hasVideo, ends) => {
    expect(endsFile(next, written, limit, hasVideo)).toBe(ends);
  });
});
