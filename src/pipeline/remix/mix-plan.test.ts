/** Which part of a recording a mix makes, who is in it, and which slices it reads. */
import { expect, test } from 'vitest';
import { type KeptMixRequest, parseMix } from '../../contract/rest/mix.ts';
import type { Segment } from '../../media/segment.ts';
import { mixManifest, planMix } from './mix-plan.ts';

const ZERO = 1_795_000_000_000;

function slice(uid: string, trackType: 'audio' | 'video', fromS: number, toS: number): Segment {
  return {
    ...{ type: 'slice', name: `${uid}-${trackType}-${fromS}.ts`, playlist: `${uid}-${trackType}.m3u8`, index: 0 },
    ...{ startUtcMs: ZERO + fromS * 1000, durationUs: (toS - fromS) * 1e6, bytes: 1000 },
    ...{ discontinuity: false, starts: [], rotations: [], owner: { uid, trackType } },
  };
}

const stay = (uid: string, fromS: number, toS: number) => ({ uid, joinedUs: fromS * 1e6, leftUs: toS * 1e6 });
/** User 1 throughout, user 2 from 20 s to 40 s, user 3 in nothing. 30 s to 32 s were on hold. */
const manifest = mixManifest({
  ...{ sid: '0'.repeat(32), cname: 'room', zeroUtcMs: ZERO },
  attended: {
    stays: [stay('1', 0, 60), stay('2', 20, 40), stay('3', 0, 60)],
    holds: [{ fromUs: 30e6, untilUs: 32e6 }],
  },
  files: [
    ...[0, 15, 30, 45].flatMap((s) => [slice('1', 'video', s, s + 15), slice('1', 'audio', s, s + 15)]),
    ...[slice('2', 'video', 20, 35), slice('2', 'video', 35, 40), slice('2', 'audio', 20, 35)],
  ],
});

const plan = (body: Partial<KeptMixRequest>) => planMix(manifest, parseMix(body));
const names = (body: Partial<KeptMixRequest>) =>
  plan(body)
    .slices.map(({ name }) => name)
    .sort();

test('left to itself it is all of it, of everybody', () => {
  expect(plan({})).toMatchObject({ fromUs: 0, toUs: 60e6, fromS: 0, toS: 58, users: ['1', '3', '2'] });
  expect(plan({}).slices).toHaveLength(11);
});

test('seconds are those of the recording as it plays, without its holds', () => {
  expect(plan({ from: 10, to: 29 })).toMatchObject({ fromUs: 10e6, toUs: 29e6, fromS: 10, toS: 29 });
  expect(plan({ from: 31, to: 33 })).toMatchObject({ fromUs: 33e6, toUs: 35e6, fromS: 31, toS: 33 });
  const moment = (s: number) => new Date(ZERO + s * 1000).toISOString();
  expect(plan({ from: moment(33), to: moment(35) })).toMatchObject({ fromUs: 33e6, toUs: 35e6, fromS: 31, toS: 33 });
  // Whoever reads a length off a player rounds it.
  expect(plan({ from: 50, to: 58.9 })).toMatchObject({ toUs: 60e6, toS: 58 });
});

test('only slices are read that the stretch needs: from the key frame before it on', () => {
  expect(names({ from: 47, to: 50 })).toEqual(['1-audio-45.ts', '1-video-45.ts']);
  expect(names({ from: 16, to: 18.5 })).toEqual([
    ...['1-audio-15.ts', '1-video-15.ts'],
    // Read ahead for the sound of whoever is about to come.
    '2-audio-20.ts',
  ]);
  expect(names({ from: 21, to: 22, users: ['2'] })).toEqual(['2-audio-20.ts', '2-video-20.ts']);
  expect(names({ from: 21, to: 22, streamTypes: 0 })).toEqual(['1-audio-15.ts', '2-audio-20.ts']);
  expect(names({ from: 32, to: 34, users: ['2'], streamTypes: 1 })).toEqual(['2-video-20.ts', '2-video-35.ts']);
});

test.each<[string, Partial<KeptMixRequest>, RegExp]>([
  ['a stretch after the end', { from: 61, to: 70 }, /there is 0 s to 58 s, and 61 s to 70 s was asked for/],
  ['one that goes on after it', { from: 50, to: 70 }, /there is 0 s to 58 s/],
  ['an end before the beginning', { from: 20, to: 10 }, /20 s to 10 s was asked for/],
  [
    'a stretch within a hold',
    { from: new Date(ZERO + 30_500).toISOString(), to: new Date(ZERO + 31_500).toISOString() },
    /was asked for/,
  ],
  ['somebody who was not there', { users: ['1', '9'] }, /no user 9; it has 1, 2, 3/],
  ['somebody on a side who was not there', { stereo: { left: ['8'], right: ['#allstream#'] } }, /no user 8/],
  ['users who sent nothing', { users: ['3'] }, /nothing to mix/],
  ['users who sent nothing then', { users: ['2'], from: 1, to: 5 }, /sent anything in that stretch/],
])('%s is refused in words', (_, body, words) => {
  expect(() => plan(body)).toThrow(words);
});
