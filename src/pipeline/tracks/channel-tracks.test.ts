import { expect, test } from 'vitest';
import type { Track } from '../../media/track.ts';
import { ChannelTracks } from './channel-tracks.ts';
import { ReceivedTrack } from './received-track.ts';

const track = (number: number, uid: string): Track => ({
  ...{ track: number, uid },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
});

function makeTracks() {
  return new ChannelTracks({
    subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
    records: { audio: true, video: true },
    zeroUs: 0,
    createLine: (options) => {
      const received = new ReceivedTrack(options);
      return {
        onRtp: (packet) => void received.onRtp(packet),
        onSenderReport: (...report) => received.onSenderReport(...report),
        poll: (nowUs) => received.take(nowUs).keyFrameWanted,
        flush: () => void received.flush(),
        takeDropped: () => 0,
        save: () => ({ reception: received.save() }),
        close: () => {},
      };
    },
    sendRtcp: () => {},
    onStreamChange: () => {},
    onDegraded: (what) => {
      throw new Error(what);
    },
  });
}

const rtp = (sequence: number) => {
  const packet = Buffer.alloc(20);
  packet[0] = 0x80;
  packet[1] = 111;
  packet.writeUInt16BE(sequence, 2);
  packet.writeUInt32BE(sequence * 960, 4);
  packet.writeUInt32BE(77, 8);
  return packet;
};

test('of 10,000 users who passed through nothing is held', () => {
  const tracks = makeTracks();
  tracks.onEvent({ type: 'hello', version: 1, monoUs: 1, utcMs: 0 }, 1);
  tracks.onEvent({ type: 'userJoined', uid: 'host' }, 1);
  for (let n = 1; n <= 10_000; n++) {
    const atUs = n * 1_000_000;
    const uid = String(n);
    tracks.onEvent({ type: 'userJoined', uid }, atUs);
    tracks.onEvent({ type: 'trackStarted', track: track(n, uid) }, atUs);
    tracks.onRtp(n, rtp(n & 0xffff), atUs + 10_000);
    tracks.poll(atUs + 20_000);
    tracks.onEvent({ type: 'userLeft', uid }, atUs + 500_000);
    tracks.poll(atUs + 600_000);
    tracks.forget(atUs - 1_000_000, () => false);
  }
  tracks.forget(10_002_000_000, () => false);
  const state = tracks.save(10_002_000_000, undefined)!;
  expect(state.roster.stays.map(({ uid }) => uid)).toEqual(['host']);
  expect(state.clocks).toEqual([]);
  expect(state.streams).toEqual([]);
  expect(state.tracks).toEqual([]);
  expect([...tracks.entries()]).toEqual([]);
});
