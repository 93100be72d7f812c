/** Who is recorded, told by the tracks that a recording receives, of a channel with more users than it may record. */
import { describe, expect, test } from 'vitest';
import type { ChannelState } from '../../contract/line/channel-state.ts';
import type { Subscription } from '../../contract/line/plan.ts';
import type { Track } from '../../media/track.ts';
import { ChannelTracks } from '../tracks/channel-tracks.ts';
import { ReceivedTrack } from '../tracks/received-track.ts';
import { Places } from './places.ts';

const FEED_US = 1;
const S = 1_000_000;

/** A channel whose recording may have one user. A track's number says whose it is: 10 and 11 are user 1's. */
class Channel {
  readonly asked: number[] = [];
  /** What lines were told of their senders' clocks. */
  readonly reports: number[] = [];
  readonly tracks: ChannelTracks<ReturnType<Channel['line']>>;
  nowUs = S;

  constructor(state?: ChannelState) {
    const places = new Places(1, () => {});
    this.tracks = new ChannelTracks({
      subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
      records: { audio: true, video: true },
      zeroUs: 0,
      admits: (track) => places.admits(track, this.tracks.entries()),
      createLine: (options) => this.line(new ReceivedTrack(options)),
      sendRtcp: (track) => void this.asked.push(track),
      onStreamChange: () => {},
      onDegraded: () => {},
      ...(state && { state }),
    });
    this.tracks.onEvent({ type: 'hello', version: 1, monoUs: FEED_US, utcMs: 0 }, FEED_US);
  }

  line(received: ReceivedTrack) {
    return {
      onRtp: (packet: Parameters<ReceivedTrack['onRtp']>[0]) => void received.onRtp(packet),
      onSenderReport: () => void this.reports.push(received.track.track),
      poll: (nowUs: number) => received.take(nowUs).keyFrameWanted,
      flush: () => void received.flush(),
      takeDropped: () => 0,
      save: () => ({ reception: received.save() }),
      close: () => {},
    };
  }

  join(uid: string): void {
    this.tracks.onEvent({ type: 'userJoined', uid }, this.nowUs);
  }

  leave(uid: string): void {
    this.tracks.onEvent({ type: 'userLeft', uid }, this.nowUs);
  }

  start(number: number): void {
    const uid = String(Math.floor(number / 10));
    const format = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' } as const;
    const track: Track = { track: number, uid, format };
    this.tracks.onEvent({ type: 'trackStarted', track }, this.nowUs);
  }

  end(track: number): void {
    this.tracks.onEvent({ type: 'trackEnded', track }, this.nowUs);
  }

  subscribe(video: Subscription): void {
    this.tracks.changeSubscription(this.nowUs, { audio: { kind: 'all' }, video }, this.nowUs);
  }

  /** Time passes, and what is over for two seconds is forgotten. */
  advance(us: number): void {
    this.nowUs += us;
    this.tracks.forget(this.nowUs - 2 * S, () => false);
    this.tracks.poll(this.nowUs);
  }

  /** A packet of video, and the sender's report. */
  send(track: number): void {
    const packet = Buffer.alloc(20);
    packet[0] = 0x80;
    packet[1] = 96;
    packet.writeUInt32BE(track, 8);
    this.tracks.onRtp(track, packet, this.nowUs);
    const report = Buffer.alloc(28);
    report[0] = 0x80;
    report[1] = 200;
    report.writeUInt16BE(6, 2);
    report.writeUInt32BE(track, 4);
    this.tracks.onRtcp(track, report, this.nowUs);
  }

  /** The tracks that are recorded now. */
  get recorded(): number[] {
    const isNow = ({ endedUs, unwantedUs }: { endedUs: number; unwantedUs: number }) =>
      Math.min(endedUs, unwantedUs) === Number.POSITIVE_INFINITY;
    return [...this.tracks.entries()].filter(isNow).map(({ track }) => track.track);
  }
}

describe('of more users than a recording may have', () => {
  test('one who publishes anew keeps the place', () => {
    const channel = new Channel();
    for (const uid of ['1', '2']) channel.join(uid);
    for (const track of [10, 20]) channel.start(track);
    expect(channel.recorded).toEqual([10]);
    channel.advance(5 * S);
    // Another session takes the place of the first: its tracks end and others begin, and the user stays.
    channel.end(10);
    channel.start(11);
    expect(channel.recorded).toEqual([11]);
  });

  test.each([
    ['leaves', (channel: Channel) => channel.leave('1')],
    [
      'leaves when the tracks have ended',
      (channel: Channel) => {
        channel.end(10);
        channel.leave('1');
      },
    ],
    [
      'stays and sends nothing more',
      (channel: Channel) => {
        channel.end(10);
        channel.advance(2.5 * S);
      },
    ],
    ['is not wanted any more', (channel: Channel) => channel.subscribe({ kind: 'except', uids: ['1'] })],
  ])('the next has the place when one %s: from a key frame on, placed by the sender’s clock', (_, give) => {
    const channel = new Channel();
    for (const uid of ['1', '2']) channel.join(uid);
    for (const track of [10, 20]) channel.start(track);
    channel.send(20);
    channel.advance(5 * S);
    expect(channel.recorded).toEqual([10]);
    channel.asked.length = 0;
    give(channel);
    expect(channel.recorded).toEqual([20]);
    expect(channel.reports).toEqual([20]);
    expect(channel.asked).toContain(20);
  });

  test('one who left and comes back right away has no place beside the one who has it now', () => {
    const channel = new Channel();
    for (const uid of ['1', '2']) channel.join(uid);
    for (const track of [10, 20]) channel.start(track);
    channel.leave('1');
    channel.join('1');
    channel.start(11);
    expect(channel.recorded).toEqual([20]);
  });

  test('one who is wanted again at once has no place beside the one who has it now', () => {
    const channel = new Channel();
    for (const uid of ['1', '2']) channel.join(uid);
    for (const track of [10, 20]) channel.start(track);
    channel.subscribe({ kind: 'except', uids: ['1'] });
    channel.advance(S);
    channel.subscribe({ kind: 'all' });
    expect(channel.recorded).toEqual([20]);
    channel.advance(5 * S);
    channel.leave('2');
    expect(channel.recorded).toEqual([10]);
  });

  test('a run that goes on records those whom the run before it recorded', () => {
    const channel = new Channel();
    for (const uid of ['1', '2']) channel.join(uid);
    for (const track of [10, 20]) channel.start(track);
    channel.subscribe({ kind: 'except', uids: ['1'] });
    channel.advance(5 * S);
    channel.subscribe({ kind: 'all' });
    channel.advance(5 * S);
    expect(channel.recorded).toEqual([20]);
    // Its channel tells it first who is there.
    const next = new Channel(channel.tracks.save(channel.nowUs, undefined));
    for (const uid of ['1', '2']) next.join(uid);
    for (const track of [10, 20]) next.start(track);
    expect(next.recorded).toEqual([20]);
    next.nowUs = channel.nowUs + S;
    next.join('3');
    next.start(30);
    expect(next.recorded).toEqual([20]);
    next.leave('2');
    expect(next.recorded).toEqual([10]);
  });
});
