/**
 * What the manifest says of files and users, and that its schema takes it.
 */
import { expect, test } from 'vitest';
import { manifestSchema } from '../../contract/line/manifest.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { countedThrough, manifestOf } from './manifest.ts';

const ZERO = 1_795_000_000_123;
const SID = '0123456789abcdef0123456789abcdef';
const slice = {
  type: 'slice' as const,
  ...{ playlist: 'v.m3u8', index: 0, discontinuity: true, starts: [], rotations: [] },
};

const FILES: SpooledFile[] = [
  {
    ...{ ...slice, name: 'b.ts', index: 1, startUtcMs: ZERO + 17_250, durationUs: 3_000_000, bytes: 7 },
    rotations: [{ width: 640, height: 360, rotate: 90, utcMs: ZERO + 18_000 }],
    owner: { uid: '7', trackType: 'video' },
    codecs: { video: 'h264' },
  },
  {
    ...{ ...slice, name: 'a.ts', startUtcMs: ZERO + 250, durationUs: 17_000_000, bytes: 6 },
    owner: { uid: '7', trackType: 'audio' },
    codecs: { audio: 'aac' },
  },
  {
    ...{ ...slice, name: 'av.ts', startUtcMs: ZERO + 250, durationUs: 17_000_000, bytes: 60 },
    owner: { uid: '7', trackType: 'audio_and_video' },
    codecs: { audio: 'aac', video: 'h264' },
  },
  { ...slice, name: 'everybody.ts', startUtcMs: ZERO, durationUs: 1, bytes: 1 },
  {
    type: 'mp4',
    ...{ name: 'm.mp4', index: 0, startUtcMs: ZERO + 250, durationUs: 20_000_000, bytes: 9 },
    owner: { uid: '7', trackType: 'audio_and_video' },
  },
  { type: 'snapshot', name: 's.jpg', uid: '7', startUtcMs: ZERO + 5000, durationUs: 0, bytes: 3 },
  { type: 'speakers', name: 'all.mka', startUtcMs: ZERO, durationUs: 30_000_000, bytes: 8, uids: ['7', '8'] },
  { type: 'document', kind: 'report', name: 'r.json', startUtcMs: ZERO, durationUs: 0, bytes: 2 },
];

const options = {
  ...{ sid: SID, cname: 'a room', zeroUtcMs: ZERO, endUs: 30_000_000, files: FILES },
  stays: [
    { uid: '9', joinedUs: -5_000_000, leftUs: -1 },
    { uid: '7', joinedUs: -2_000_000, leftUs: 10_000_000 },
    { uid: '8', joinedUs: 4_000_000, leftUs: Number.POSITIVE_INFINITY },
    { uid: '7', joinedUs: 17_000_000, leftUs: Number.POSITIVE_INFINITY },
    { uid: '6', joinedUs: 31_000_000, leftUs: Number.POSITIVE_INFINITY },
  ],
};

test('the schema reads back what was written, to the letter', () => {
  const manifest = manifestOf(options);
  expect(manifestSchema.parse(JSON.parse(JSON.stringify(manifest)))).toEqual(manifest);
});

test('files stand on the timeline, in order; those of nobody in particular are left out', () => {
  const { slices, mp4s, speakers, snapshots } = manifestOf(options);
  expect(slices.map(({ name, startUs, trackType }) => [name, startUs, trackType])).toEqual([
    ['a.ts', 250_000, 'audio'],
    ['av.ts', 250_000, 'audio_and_video'],
    ['b.ts', 17_250_000, 'video'],
  ]);
  expect(slices[2]).toEqual({
    ...{ name: 'b.ts', uid: '7', trackType: 'video', startUs: 17_250_000, durationUs: 3_000_000, bytes: 7 },
    ...{ playlist: 'v.m3u8', index: 1, videoCodec: 'h264' },
    shapes: [{ atUs: 18_000_000, width: 640, height: 360, rotate: 90 }],
  });
  expect(mp4s).toEqual([
    { name: 'm.mp4', uid: '7', trackType: 'audio_and_video', startUs: 250_000, durationUs: 20_000_000, bytes: 9 },
  ]);
  expect(speakers).toEqual({ name: 'all.mka', startUs: 0, durationUs: 30_000_000, bytes: 8, uids: ['7', '8'] });
  expect(snapshots).toEqual([{ name: 's.jpg', uid: '7', atUs: 5_000_000, bytes: 3 }]);
});

test('users stand in order of joining with all their stays, which end with the recording at the latest', () => {
  expect(manifestOf(options).users).toEqual([
    {
      uid: '7',
      stays: [
        { joinedUs: -2_000_000, leftUs: 10_000_000 },
        { joinedUs: 17_000_000, leftUs: 30_000_000 },
      ],
    },
    { uid: '8', stays: [{ joinedUs: 4_000_000, leftUs: 30_000_000 }] },
  ]);
});

test('slices of several nodes, each of which counts from 0, are counted through by playlist', () => {
  const of = (playlist: string, index: number, atMs: number): SpooledFile => ({
    ...{ ...slice, name: `${playlist}${atMs}`, playlist, index, startUtcMs: ZERO + atMs, durationUs: 1, bytes: 1 },
  });
  const files = [of('a', 0, 30), of('b', 0, 5), of('a', 0, 10), of('a', 1, 20)];
  const counted = countedThrough(files).map((file) => file.type === 'slice' && [file.name, file.index]);
  expect(counted).toEqual([
    ['b5', 0],
    ['a10', 0],
    ['a20', 1],
    ['a30', 2],
  ]);
});
