import { describe, expect, test } from 'vitest';
import type { Track } from '../../media/track.ts';
import { QualityCollector } from '../report/quality-collector.ts';
import { ChannelTracks } from './channel-tracks.ts';
import { ReceivedTrack } from './received-track.ts';

const track = (number: number, uid: string): Track => ({
  ...{ track: number, uid },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
});

function makeTracks(report?: QualityCollector) {
  return new ChannelTracks({
    report,
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

describe('the report of a recording whose subscription changes', () => {
  const ALL = { audio: { kind: 'all' }, video: { kind: 'all' } } as const;
  const NONE = { audio: { kind: 'none' }, video: { kind: 'all' } } as const;
  const S = 1_000_000;

  /** What is told of the tracks in the end. */
  function told(happen: (tracks: ReturnType<typeof makeTracks>) => void) {
    const report = new QualityCollector({ sid: 'x', mode: 'individual', zeroUtcMs: 0 });
    const tracks = makeTracks(report);
    tracks.onEvent({ type: 'hello', version: 1, monoUs: 1, utcMs: 0 }, 1);
    tracks.onEvent({ type: 'userJoined', uid: '1' }, S);
    tracks.onEvent({ type: 'trackStarted', track: track(1, '1') }, S);
    happen(tracks);
    tracks.close();
    const { participants } = report.report({ atUs: 60 * S, lagUs: 0, machine: undefined }, 'stopped');
    return participants[0]?.tracks.map(({ startedMs, endedMs, endedBy }) => ({ startedMs, endedMs, endedBy }));
  }

  test('has the end of a track that ended shortly before it was wanted again', () => {
    const ends = told((tracks) => {
      tracks.changeSubscription(5 * S, NONE, 5 * S);
      tracks.onEvent({ type: 'trackEnded', track: 1 }, 5.5 * S);
      tracks.changeSubscription(6 * S, ALL, 6 * S);
      tracks.forget(9 * S, () => false);
    });
    expect(ends).toEqual([{ startedMs: 1000, endedMs: 5000, endedBy: 'unsubscribed' }]);
  });

  test('has the end of a track that ended before it was unwanted, as a recorder that is late learns afterwards', () => {
    const ends = told((tracks) => {
      tracks.changeSubscription(8 * S, NONE, 4 * S);
      tracks.onEvent({ type: 'userLeft', uid: '1' }, 5 * S);
    });
    expect(ends).toEqual([{ startedMs: 1000, endedMs: 5000, endedBy: 'left' }]);
  });

  test('goes on with a track that is wanted again while it lives', () => {
    const ends = told((tracks) => {
      tracks.changeSubscription(5 * S, NONE, 5 * S);
      tracks.changeSubscription(6 * S, ALL, 6 * S);
      tracks.onEvent({ type: 'trackEnded', track: 1 }, 8 * S);
    });
    expect(ends).toEqual([{ startedMs: 1000, endedMs: 8000, endedBy: 'ended' }]);
  });

  test('has no track that was over before it was wanted, as a recorder that is late learns afterwards', () => {
    const ends = told((tracks) => {
      tracks.changeSubscription(2 * S, NONE, 2 * S);
      tracks.onEvent({ type: 'trackStarted', track: track(2, '1') }, 3 * S);
      tracks.changeSubscription(8 * S, ALL, 4 * S);
      tracks.onEvent({ type: 'trackEnded', track: 2 }, 5 * S);
      tracks.onEvent({ type: 'trackEnded', track: 1 }, 9 * S);
    });
    expect(ends).toEqual([{ startedMs: 1000, endedMs: 9000, endedBy: 'ended' }]);
  });
});
