/**
 * WhipStage: rooms and a WHIP endpoint over fake peers and a held clock, publishers with what they send, and what a
 * recorder reads of its feed.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelLog, DEFAULT_LIMITS, type PublisherLimits, Rooms } from '../../src/channel/room/rooms.ts';
import { WhipEndpoint } from '../../src/channel/whip/endpoint.ts';
import type { PeerHost } from '../../src/channel/whip/peer.ts';
import { decodeFeedEvent, encodeFeedEvent, FeedReader } from '../../src/contract/line/feed.ts';
import { Fault } from '../../src/kernel/fault.ts';
import { FakePeer } from './fake-peer.ts';
import { ManualClock } from './manual-clock.ts';
import { capturedOffer } from './offers/read-offer.ts';
import { encodeSenderReport } from './rtcp.ts';

/** Where all publish, unless a test says otherwise. */
export const ROOM = { appid: 'a'.repeat(32), cname: 'room' };
/** Who records ROOM. */
export const RECORDER = { ...ROOM, uid: '99', sid: 'f'.repeat(32) };
export const silent: ChannelLog = { debug() {}, info() {}, warn() {}, child: () => silent };

class WhipStage {
  readonly clock = new ManualClock();
  /** Where the rooms put the sockets of feeds. */
  readonly folder = mkdtempSync(join(tmpdir(), 'feeds-'));
  readonly peers: FakePeer[] = [];
  readonly rooms: Rooms;
  readonly whip: WhipEndpoint;

  constructor(limits: Partial<PublisherLimits> = {}) {
    const { clock, folder, peers } = this;
    clock.advance(5000);
    const host: PeerHost = {
      async open(options) {
        const peer = new FakePeer(options);
        peers.push(peer);
        return peer;
      },
      close() {},
    };
    this.rooms = new Rooms({ clock, log: silent, feedDir: folder, limits: { ...DEFAULT_LIMITS, ...limits } });
    this.whip = new WhipEndpoint({ clock, log: silent, rooms: this.rooms, host: '127.0.0.1', port: 1, peers: host });
  }

  /** Someone publishes into ROOM by a captured offer, and is in the room unless he is not to `connect`. */
  async publish(
    uid: string,
    { connect = true, offer = 'chromium' }: { connect?: boolean; offer?: Parameters<typeof capturedOffer>[0] } = {},
  ) {
    const published = await this.whip.publish({ ...ROOM, uid, offer: capturedOffer(offer) });
    const peer = this.peers.at(-1)!;
    if (connect) peer.options.onState('connected');
    return { ...published, peer };
  }

  close(): void {
    this.whip.close();
    this.rooms.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The stage of the test that runs, and what is on it. */
export let stage: WhipStage;
export let clock: ManualClock;
export let peers: FakePeer[];
export let rooms: Rooms;
export let whip: WhipEndpoint;

/** Before each test, and again for one that needs other limits; ended with `closeStage`. */
export function openStage(limits: Partial<PublisherLimits> = {}): void {
  stage = new WhipStage(limits);
  ({ clock, peers, rooms, whip } = stage);
}

export function closeStage(): void {
  stage.close();
}

/** A sender report that names the source and says nothing else of use. */
export const report = (ssrc: number) =>
  encodeSenderReport({ ssrc, ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 });

/**
 * A recorder, connected to the feed's socket at `path`, which reads everything. `lines` is what it read, in words, as
 * `userJoined UID`, `trackStarted UID TRACK KIND` and `rtp TRACK #SEQUENCE @MILLISECONDS`.
 * @param generation of its run; 0 says none
 */
export async function connectRecorder(path: string, generation = 1) {
  const reader = new FeedReader();
  const lines: string[] = [];
  let wake = () => {};
  let ended = false;
  let closed = false;
  const socket: Socket = createConnection(path);
  if (generation > 0) socket.write(encodeFeedEvent({ type: 'hello', generation }, 0));
  socket.on('data', (chunk: Buffer) => {
    for (const frame of reader.push(chunk)) {
      if (frame.kind === 'event') {
        const event = decodeFeedEvent(frame.body);
        if (event.type === 'trackStarted')
          lines.push(`trackStarted ${event.track.uid} ${event.track.track} ${event.track.format.kind}`);
        else if (event.type === 'userJoined' || event.type === 'userLeft') lines.push(`${event.type} ${event.uid}`);
        else if (event.type === 'trackEnded') lines.push(`trackEnded ${event.track}`);
        // A sign of life comes whenever some time has passed, and tells nothing of the channel.
        else if (event.type !== 'alive') lines.push(event.type);
      } else if (frame.kind === 'rtp')
        lines.push(`rtp ${frame.track} #${frame.body.readUInt16BE(2)} @${frame.arrivalUs / 1000}`);
      else lines.push(`rtcp ${frame.track} @${frame.arrivalUs / 1000}`);
    }
    wake();
  });
  socket.on('end', () => {
    ended = true;
    wake();
  });
  socket.on('error', () => {});
  const until = async (done: () => boolean) => {
    while (!done()) await new Promise<void>((resolve) => (wake = resolve));
  };
  socket.on('close', () => {
    closed = true;
    wake();
  });
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject));
  return {
    lines,
    socket,
    untilLine: (line: string) => until(() => lines.includes(line)),
    untilEnd: () => until(() => ended),
    untilClosed: () => until(() => closed),
  };
}

/** `done`, or the code of the Fault that an attempt rejects with. */
export const codeOf = (attempt: Promise<unknown>) =>
  attempt.then(
    () => 'done',
    (error: unknown) => (error instanceof Fault ? error.code : Promise.reject(error)),
  );
