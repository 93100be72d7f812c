import { expect, test } from 'vitest';
import { Fault } from '../../kernel/fault.ts';
import type { TrackFormat } from '../../media/track.ts';
import { decodeFeedEvent, encodeFeedEvent, FEED_HEADER_BYTES, type FeedEvent } from './feed.ts';

const read = (event: FeedEvent) => decodeFeedEvent(encodeFeedEvent(event, 0).subarray(FEED_HEADER_BYTES));
const started = (format: object): FeedEvent => ({
  type: 'trackStarted',
  track: { track: 1, uid: '7', format: format as TrackFormat },
});
const sound = { kind: 'audio', payloadType: 0, fmtp: '' };
const picture = { kind: 'video', payloadType: 96, clockRate: 90000, fmtp: 'x=1' };

test.each([
  { ...sound, codec: 'opus', clockRate: 48000, channels: 2 },
  { ...sound, codec: 'pcmu', clockRate: 8000, channels: 1 },
  { ...sound, codec: 'pcma', clockRate: 8000, channels: 1 },
  { ...picture, codec: 'h264' },
  { ...picture, codec: 'vp8', colorExtension: 8 },
  { ...picture, codec: 'vp9' },
  { ...picture, codec: 'av1' },
])('a track of $codec is told as it is', (format) => {
  expect(read(started(format))).toEqual(started(format));
});

test.each([
  ['Opus at 8 kHz', { ...sound, codec: 'opus', clockRate: 8000, channels: 1 }],
  ['PCMU at 48 kHz', { ...sound, codec: 'pcmu', clockRate: 48000, channels: 1 }],
  ['PCMA in stereo', { ...sound, codec: 'pcma', clockRate: 8000, channels: 2 }],
  ['a picture in PCMU', { ...picture, codec: 'pcmu' }],
  ['a codec of others', { ...picture, codec: 'h265' }],
])('%s is no track', (_, format) => {
  expect(() => read(started(format))).toThrow(Fault);
});
