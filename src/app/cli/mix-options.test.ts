/**
 * What the words of `aircheck mix` come to, and how wrong ones are refused.
 */
import { describe, expect, test } from 'vitest';
import { mediaOf, parseMix } from '../../contract/rest/mix.ts';
import { type MixWords, readCall, readRequest } from './mix-options.ts';

/** As commander has them when nothing is said. */
const PLAIN: MixWords = {
  ...{ size: '1280x720', fps: '30', audioProfile: '1', video: true, audio: true },
  ...{ mp4MaxDuration: '7200', mp4MaxBytes: '2000000000' },
};
const read = (words: Partial<MixWords>) => readRequest({ ...PLAIN, ...words });
const REGION = { x_axis: 0, y_axis: 0, width: 0.5, height: 1 };

test('nothing said is a floating mix of everybody, whole', () => {
  expect(read({})).toEqual({
    video: {
      ...{ width: 1280, height: 720, fps: 30, bitrateKbps: 2765, backgroundColor: '#000000' },
      layout: { kind: 'floating' },
    },
    audio: { channels: 1, bitrateKbps: 128 },
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    ...{ stereo: undefined, uids: undefined, fromUs: undefined, toUs: undefined, ignored: [] },
  });
});

test.each<[Partial<MixWords>, object]>([
  [{ layout: 'best-fit' }, { kind: 'bestFit' }],
  [
    { layout: 'vertical', maxResolutionUid: '7' },
    { kind: 'vertical', maxResolutionUid: '7' },
  ],
  [
    { layoutConfig: JSON.stringify([{ ...REGION, uid: '3', alpha: 0.5, render_mode: 1 }]) },
    { kind: 'custom', regions: [{ uid: '3', x: 0, y: 0, width: 0.5, height: 1, alpha: 0.5, render: 'fit' }] },
  ],
  [{ layout: 'custom', layoutConfig: JSON.stringify({ layoutConfig: [REGION] }) }, { kind: 'custom' }],
  [{ layoutConfig: JSON.stringify({ mixedVideoLayout: 1 }) }, { kind: 'bestFit' }],
])('%j places users so', (words, layout) => {
  expect(read(words).video?.layout).toMatchObject(layout);
});

test('members that have no effect are told of', () => {
  const layoutConfig = JSON.stringify({ mixedVideoLayout: 1, backgroundImage: 'https://example.com/a.png' });
  expect(read({ layoutConfig }).ignored).toEqual(['backgroundImage']);
});

test('a part, users, kinds and bit rates', () => {
  expect(read({ from: '1.5', to: '90', users: '2, 1,2' })).toMatchObject({
    ...{ fromUs: 1_500_000, toUs: 90_000_000, uids: ['2', '1'] },
  });
  expect(read({ video: false, audioProfile: '2' })).toMatchObject({
    ...{ video: undefined, audio: { channels: 2, bitrateKbps: 192 } },
  });
  expect(read({ size: '64x36', fps: '1' }).video?.bitrateKbps).toBe(100);
  expect(read({ size: '1920x1080', fps: '60' }).video?.bitrateKbps).toBe(6500);
  expect(read({ bitrate: '900' }).video?.bitrateKbps).toBe(900);
});

test('sides are stereo whatever the profile, each with the bits of its one channel', () => {
  expect(read({ left: '1,2', right: '3', audioProfile: '0' })).toMatchObject({
    audio: { channels: 2, bitrateKbps: 96 },
    stereo: { left: ['1', '2'], right: ['3'], others: 'both' },
  });
  expect(read({ left: '1', right: 'others' })).toMatchObject({
    audio: { channels: 2, bitrateKbps: 192 },
    stereo: { left: ['1'], right: [], others: 'right' },
  });
});

test.each<[Partial<MixWords>, RegExp]>([
  [{ left: '1', audio: false }, /cannot go with --no-audio/],
  [{ left: '1,2', right: '2' }, /user 2 cannot be on both/],
  [{ left: 'others', right: 'others' }, /exclude each other/],
  [{ right: '1,none' }, /--right: "none" is not a uid/],
])('sides are refused: %j', (words, reason) => {
  expect(() => read(words)).toThrow(reason);
});

test.each<[Partial<MixWords>, RegExp]>([
  [{ video: false, audio: false }, /leave nothing to mix/],
  [{ size: '1280' }, /--size 1280: it is <width>x<height>/],
  [{ size: '1921x100' }, /at most 1920 a side/],
  [{ size: '1920x1920' }, /1920x1080 in all/],
  [{ size: '641x360' }, /must be even/],
  [{ fps: '0' }, /--fps 0: it is a whole number from 1 to 60/],
  [{ fps: '29.97' }, /--fps/],
  [{ bitrate: '6501' }, /--bitrate 6501: .* from 1 to 6500/],
  [{ audioProfile: '3' }, /--audio-profile 3/],
  [{ mp4MaxDuration: '0' }, /--mp4-max-duration 0: .* from 1 to 86400/],
  [{ mp4MaxBytes: '999999' }, /--mp4-max-bytes 999999: .* from 1000000 to/],
  [{ users: '1,,2' }, /"" is not a uid/],
  [{ users: 'bob' }, /"bob" is not a uid/],
  [{ from: '-1' }, /--from -1: it is seconds/],
  [{ from: '1e3' }, /--from/],
  [{ from: '5', to: '5' }, /--to must lie after --from/],
  [{ backgroundColor: 'red' }, /backgroundColor: must be "#RRGGBB"/],
  [{ layout: 'custom' }, /layoutConfig is required when mixedVideoLayout is 3/],
  [{ maxResolutionUid: '7' }, /--max-resolution-uid is for --layout vertical/],
  [{ layout: 'vertical', maxResolutionUid: 'x' }, /maxResolutionUid: /],
  [{ layout: 'vertical', layoutConfig: JSON.stringify([REGION]) }, /cannot go with --layout vertical/],
  [{ layoutConfig: '[{' }, /--layout-config is not JSON/],
  [{ layoutConfig: 'no/such.json' }, /there is no such file, and it is no JSON/],
  [{ layoutConfig: JSON.stringify([{ ...REGION, width: 1.5 }]) }, /layoutConfig\[0\]\.width: /],
  [{ layoutConfig: JSON.stringify(Array(18).fill(REGION)) }, /at most 17 entries/],
])('%j is refused', (words, message) => {
  expect(() => read(words)).toThrow(message);
});

describe('what a server is asked for', () => {
  const call = (words: Partial<MixWords>) => readCall({ ...PLAIN, ...words });

  test.each<Partial<MixWords>>([
    {},
    { layout: 'best-fit', size: '640x360', fps: '25', bitrate: '900', users: '7,8' },
    { layout: 'vertical', maxResolutionUid: '7', backgroundColor: '#202020' },
    { layoutConfig: JSON.stringify([{ ...REGION, uid: '3', alpha: 0.5, render_mode: 1 }]) },
    { video: false, audioProfile: '2' },
    { audio: false },
    { left: '1,2', right: 'others', audioProfile: '0' },
    { left: '1', right: '2' },
  ])('%j comes to the same as from files', (words) => {
    const { video, audio, stereo, uids } = read(words);
    const asked = parseMix(call(words));
    expect(mediaOf(asked)).toEqual({ video, audio, stereo });
    expect(asked.users).toEqual(uids);
  });

  test.each<[Partial<MixWords>, RegExp]>([
    [{ hls: true }, /--hls is for manifests/],
    [{ strict: true }, /--strict is for manifests/],
    [{ mp4MaxDuration: '60' }, /makes one MP4/],
    [{ size: '641x360' }, /both sides must be even/],
  ])('%j is refused', (words, why) => {
    expect(() => call(words)).toThrow(why);
  });
});
