/**
 * Who is in a mix and which files it reads.
 */
import { describe, expect, test } from 'vitest';
import type { Manifest, ManifestSlice } from '../../contract/line/manifest.ts';
import { castOf, mixedSlices, slicesFrom } from './cast.ts';

const S = 1_000_000;
function slice(uid: string, trackType: ManifestSlice['trackType'], fromS: number, toS: number): ManifestSlice {
  const place = { startUs: fromS * S, durationUs: (toS - fromS) * S };
  return {
    name: `${uid}-${trackType}-${fromS}.ts`,
    uid,
    trackType,
    ...place,
    bytes: 1,
    playlist: 'p',
    index: 0,
    shapes: [],
  };
}
function manifest(slices: ManifestSlice[], users: [uid: string, ...stays: [fromS: number, toS: number][]][]): Manifest {
  return {
    ...{
      version: 1,
      sid: '0'.repeat(32),
      cname: 'c',
      zeroUtcMs: 0,
      endUs: 100 * S,
      holds: [],
      slices,
      mp4s: [],
      snapshots: [],
    },
    users: users.map(([uid, ...stays]) => ({
      uid,
      stays: stays.map(([fromS, toS]) => ({ joinedUs: fromS * S, leftUs: toS * S })),
    })),
  };
}
const ALL = { audio: true, video: true, missing: new Set<string>() };

test('slices of both kinds together, and fragments, repeat what is listed alone and are not read', () => {
  const fragment = { ...slice('1', 'video', 0, 15), name: 'x.m4s' };
  const read = [slice('1', 'video', 0, 15), slice('1', 'audio', 0, 15)];
  const all = manifest([...read, slice('1', 'audio_and_video', 0, 15), fragment], [['1', [0, 20]]]);
  expect(mixedSlices(all, ALL)).toEqual(read);
  expect(mixedSlices(all, { audio: false, video: true })).toEqual([read[0]]);
  expect(mixedSlices(all, { ...ALL, uids: ['2'] })).toEqual([]);
});

test('stays stand in order of joining, each with its own pictures', () => {
  const slices = [slice('1', 'video', 1, 10), slice('2', 'video', 5, 40), slice('1', 'video', 20, 40)];
  const { stays } = castOf(
    manifest(slices, [
      ['1', [0, 10], [20, 40]],
      ['2', [5, 40]],
    ]),
    ALL,
  );
  expect(stays.map((stay) => [stay.uid, stay.joinedUs / S, stay.slices.map(({ name }) => name)])).toEqual([
    ['1', 0, ['1-video-1.ts']],
    ['2', 5, ['2-video-5.ts']],
    ['1', 20, ['1-video-20.ts']],
  ]);
});

test('a slice that reaches from one stay into the next belongs to both, and the second shows what came after the first', () => {
  const { stays } = castOf(manifest([slice('1', 'video', 0, 30)], [['1', [0, 10], [12, 30]]]), ALL);
  expect(stays.map((stay) => [stay.sinceUs / S, stay.slices.length])).toEqual([
    [Number.NEGATIVE_INFINITY, 1],
    [10, 1],
  ]);
});

test('stays that overlap are one', () => {
  const { stays } = castOf(manifest([slice('1', 'audio', 0, 30)], [['1', [0, 10], [9, 30], [30, 31]]]), ALL);
  expect(stays.map(({ joinedUs, leftUs }) => [joinedUs / S, leftUs / S])).toEqual([[0, 31]]);
});

test('a user the manifest knows by files only is there while they last', () => {
  const { stays } = castOf(manifest([slice('5', 'audio', 3, 9), slice('5', 'video', 4, 12)], []), ALL);
  expect(stays.map(({ uid, joinedUs, leftUs }) => [uid, joinedUs / S, leftUs / S])).toEqual([['5', 3, 12]]);
});

test('how a picture stands holds on into slices that do not say it', () => {
  const turned = { ...slice('1', 'video', 0, 15), shapes: [{ atUs: 4 * S, width: 2, height: 2, rotate: 90 as const }] };
  const { stays } = castOf(manifest([turned, slice('1', 'video', 15, 30)], [['1', [0, 30]]]), ALL);
  expect(stays[0]?.slices.map(({ rotate }) => rotate)).toEqual([0, 90]);
});

describe('the span', () => {
  const users: Parameters<typeof manifest>[1] = [
    ['1', [0, 50]],
    ['2', [5, 60]],
  ];
  const slices = [slice('2', 'audio', 6, 60), slice('1', 'audio', 2, 50)];

  test('is from the first sound or picture to when the last user left', () => {
    expect(castOf(manifest(slices, users), ALL).span).toEqual({ startUs: 2 * S, endUs: 60 * S });
    expect(castOf(manifest(slices, users), { ...ALL, uids: ['1'] }).span).toEqual({ startUs: 2 * S, endUs: 50 * S });
  });

  test('does not begin with a file that is not there, and is none without any', () => {
    const missing = new Set(['1-audio-2.ts']);
    expect(castOf(manifest(slices, users), { ...ALL, missing }).span?.startUs).toBe(6 * S);
    expect(castOf(manifest(slices, users), { ...ALL, missing, uids: ['1'] }).span).toBeUndefined();
    expect(castOf(manifest([], users), ALL).span).toBeUndefined();
  });
});

test('a part begins with the slice of the last key frame before it', () => {
  const { stays } = castOf(
    manifest(
      [
        slice('1', 'video', 0, 15),
        slice('1', 'video', 15, 345),
        slice('1', 'video', 345, 360),
        slice('1', 'video', 360, 400),
      ],
      [['1', [0, 400]]],
    ),
    ALL,
  );
  const from = (s: number) => slicesFrom(stays[0]?.slices ?? [], s * S).map(({ startUs }) => startUs / S);
  expect(from(0)).toEqual([0, 15, 345, 360]);
  expect(from(20)).toEqual([15, 345, 360]);
  // What follows a slice ended by force may begin without a key frame.
  expect(from(350)).toEqual([15, 345, 360]);
  expect(from(399)).toEqual([360]);
});
