import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { AudioEncoder, type Encoded, VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture, madeSound } from '../../../test/support/media/made-media.ts';
import { RED } from '../../../test/support/media/participants.ts';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import type { MixPlan, Subscription } from '../../contract/line/plan.ts';
import type { Picture } from '../../media/frame.ts';
import type { MediaKind, TrackFormat } from '../../media/track.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { parseCompound } from '../../stages/rtp/rtcp.ts';
import type { StreamChange } from '../tracks/stream-state.ts';
import { Participants } from './participants.ts';

const FPS = 25;
const MS = 1000;
const SECOND = 1_000_000;
/** Any moment of the host's clock: recording times must not depend on it. */
const ZERO = 77 * SECOND;
const STEP_US = 20 * MS;
const SOUND_AHEAD_US = 120 * MS;
const ALL: Subscription = { kind: 'all' };
const NONE: Subscription = { kind: 'none' };
const EXCEPT_B: Subscription = { kind: 'except', uids: ['b'] };

const PLAN: MixPlan = {
  mode: 'mix',
  sid: 'a'.repeat(32),
  baseName: 'a',
  video: {
    width: 160,
    height: 90,
    fps: FPS,
    bitrateKbps: 100,
    layout: { kind: 'bestFit' },
    backgroundColor: '#000000',
  },
  audio: { channels: 1, bitrateKbps: 48 },
  subscribe: { audio: ALL, video: ALL },
  files: { hls: true, mp4: false },
  maxIdleMs: 1000,
  mp4Limit: { durationMs: 1000, bytes: 1_000_000 },
};

const VIDEO: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' };
const AUDIO: TrackFormat = { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' };

/** Eight seconds, with a key frame at each full one. */
let pictures: Encoded[];
/** The same, of another size. */
let screens: Encoded[];
let sounds: Encoded[];
beforeAll(() => {
  const encode = (width: number, height: number) => {
    const video = new VideoEncoder({ codec: 'vp8', width, height, fps: FPS, bitrateKbps: 200, gopFrames: FPS });
    const picture = new MadePicture(RED, { width, height });
    const encoded = Array.from({ length: 8 * FPS }, (_, n) => {
      picture.draw(n * 40 * MS);
      return video.encode(picture.i420, n);
    });
    video.close();
    return encoded.flat();
  };
  pictures = encode(160, 90);
  screens = encode(320, 180);
  const audio = new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
  sounds = Array.from({ length: 8 * 50 }, (_, n) => audio.encode(madeSound(RED, n * 960, 960), n * 960)).flat();
  audio.close();
});

type Sender = {
  uid: string;
  track: number;
  kind: MediaKind;
  packetizer: Packetizer;
  sent: number;
  lateUs: number;
  isScreen?: boolean;
};

/** A channel of users who send the same media, and a recording of it that is made a second behind. */
class Room {
  readonly changes: StreamChange[] = [];
  readonly degraded: string[] = [];
  /** Key frame requests: when, of which track and SSRC. */
  readonly asked: { atMs: number; track: number; ssrc: number }[] = [];
  /** For each step, who was shown, and who of them with a picture. */
  readonly shown: { atMs: number; uids: string[]; withPicture: string[]; widths: number[] }[] = [];
  readonly heard: { uid: string; atMs: number }[] = [];
  readonly participants: Participants;
  readonly #senders: Sender[] = [];
  #nowUs = 0;

  constructor(subscribe: MixPlan['subscribe']) {
    const plan: MixPlan = { ...PLAN, subscribe };
    this.participants = new Participants({
      plan,
      zeroUs: ZERO,
      sendRtcp: (track, datagram) => {
        for (const feedback of parseCompound(datagram))
          if (feedback.type === 'pictureLossIndication')
            this.asked.push({ atMs: this.#nowUs / MS, track, ssrc: feedback.mediaSsrc });
      },
      onStreamChange: (change) => this.changes.push(change),
      onDegraded: (what) => this.degraded.push(what),
    });
  }

  /** @param videoLateMs how much longer pictures travel than sound */
  join(uid: string, first: number, videoLateMs = 0): void {
    this.participants.onEvent({ type: 'userJoined', uid }, ZERO + this.#nowUs);
    for (const format of [VIDEO, AUDIO]) {
      const track = first + this.#senders.filter((s) => s.uid === uid).length;
      this.#senders.push({
        uid,
        track,
        kind: format.kind,
        packetizer: new Packetizer({ format, ssrc: 1000 + track }),
        sent: 0,
        lateUs: format.kind === 'video' ? videoLateMs * MS : 0,
      });
      this.participants.onEvent({ type: 'trackStarted', track: { track, uid, format } }, ZERO + this.#nowUs);
    }
  }

  /** A user who is there sends a screen as well, from its next key frame on. */
  share(uid: string, track: number): void {
    const sent = Math.ceil(this.#nowUs / SECOND) * FPS;
    const packetizer = new Packetizer({ format: VIDEO, ssrc: 1000 + track });
    this.#senders.push({ uid, track, kind: 'video', packetizer, sent, lateUs: 0, isScreen: true });
    this.participants.onEvent({ type: 'trackStarted', track: { track, uid, format: VIDEO } }, ZERO + this.#nowUs);
  }

  end(track: number): void {
    this.#senders.splice(
      this.#senders.findIndex((sender) => sender.track === track),
      1,
    );
    this.participants.onEvent({ type: 'trackEnded', track }, ZERO + this.#nowUs);
  }

  subscribe(subscribe: MixPlan['subscribe'], atMs = this.#nowUs / MS): void {
    this.participants.changeSubscription(atMs * MS, subscribe, ZERO + this.#nowUs);
  }

  /** Everyone's streams say how they lie on their sender's clock. */
  report(): void {
    for (const { track, kind, packetizer } of this.#senders) {
      const ticks = Math.round((this.#nowUs * (kind === 'video' ? 90000 : 48000)) / SECOND);
      const report = packetizer.senderReport(3_000_000_000 * SECOND + this.#nowUs, ticks);
      this.participants.onRtcp(track, report, ZERO + this.#nowUs);
    }
  }

  /** Everyone sends, and the recording is made, until `untilMs`. */
  run(untilMs: number): void {
    for (; this.#nowUs < untilMs * MS; this.#nowUs += STEP_US) {
      const nowUs = ZERO + this.#nowUs;
      for (const sender of this.#senders) this.#send(sender, nowUs);
      this.participants.poll(nowUs);
      const atUs = this.#nowUs - SECOND;
      if (atUs >= 0) this.#record(atUs);
    }
  }

  #send(sender: Sender, nowUs: number): void {
    const seen = sender.isScreen ? screens : pictures;
    const [units, rate, unitUs] = sender.kind === 'video' ? [seen, 90000, 40 * MS] : [sounds, 48000, 20 * MS];
    for (; sender.sent < units.length && sender.sent * unitUs + sender.lateUs <= this.#nowUs; sender.sent++) {
      const unit = units[sender.sent] as Encoded;
      for (const datagram of sender.packetizer.packetize(unit.data, (sender.sent * unitUs * rate) / SECOND))
        this.participants.onRtp(sender.track, datagram, nowUs);
    }
  }

  #record(atUs: number): void {
    const { uids, pictures: seen } = this.participants.picturesAt(atUs, atUs, (uids) => new Set(uids));
    const withPicture = [...seen].flatMap(([uid, picture]: [string, Picture | undefined]) => (picture ? [uid] : []));
    const widths = [...seen.values()].flatMap((picture) => picture?.width ?? []);
    this.shown.push({ atMs: atUs / MS, uids, withPicture, widths });
    this.participants.soundUntil(atUs + SOUND_AHEAD_US, (uid, start) => {
      this.heard.push({ uid, atMs: start / 48 });
      return 0;
    });
    this.participants.forget(atUs);
  }

  /** Stretches of steps in which the user has a place (or a picture): first and last step, milliseconds. */
  spans(uid: string, by: 'uids' | 'withPicture' = 'uids'): [number, number][] {
    return spansOf(
      this.shown.filter((step) => step[by].includes(uid)).map((step) => step.atMs),
      STEP_US / MS,
    );
  }

  sounds(uid: string): [number, number][] {
    return spansOf(
      this.heard.filter((sound) => sound.uid === uid).map((sound) => Math.round(sound.atMs)),
      21,
    );
  }
}

function spansOf(times: number[], stepMs: number): [number, number][] {
  const spans: [number, number][] = [];
  for (const at of times) {
    const last = spans.at(-1);
    if (last && at - last[1] <= stepMs) last[1] = at;
    else spans.push([at, at]);
  }
  return spans;
}

let room: Room;
afterEach(() => {
  room.participants.close();
  expect(liveFrames()).toBe(0);
});

describe('a change of the subscription', () => {
  test('takes picture, place and sound from whom it leaves out, at its moment and not when it is told', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.join('a', 1);
    room.join('b', 3);
    room.run(3000);
    room.subscribe({ audio: EXCEPT_B, video: EXCEPT_B });
    room.run(6000);
    expect(room.spans('a')).toEqual([[0, 4980]]);
    expect(room.spans('b', 'withPicture')).toEqual([[0, 2980]]);
    expect(room.spans('b')).toEqual([[0, 2980]]);
    // Whole blocks of 20 ms, set back by the encoder's lookahead of 6.5 ms: the last one begins before the change.
    expect(room.sounds('b')).toEqual([[0, 2994]]);
    expect(room.sounds('a')[0]?.[1]).toBeGreaterThan(4900);
  });

  test('moves each kind for itself', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.join('b', 1);
    room.run(2000);
    room.subscribe({ audio: ALL, video: NONE });
    room.run(5000);
    expect(room.spans('b')).toEqual([[0, 1980]]);
    expect(room.sounds('b')[0]?.[1]).toBeGreaterThan(3900);
    expect(room.changes.slice(2)).toEqual([{ uid: 'b', kind: 'video', receiving: false }]);
  });

  test('tells a stream that is left out as ended, and begun when it is taken in again', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.join('b', 1);
    room.run(1000);
    // A picture is known to be whole a moment later.
    expect(room.changes).toEqual([
      { uid: 'b', kind: 'audio', receiving: true },
      { uid: 'b', kind: 'video', receiving: true },
    ]);
    room.subscribe({ audio: NONE, video: NONE });
    expect(room.changes.slice(2)).toEqual([
      { uid: 'b', kind: 'video', receiving: false },
      { uid: 'b', kind: 'audio', receiving: false },
    ]);
    room.run(3500);
    expect(room.changes).toHaveLength(4);
    room.subscribe({ audio: ALL, video: ALL });
    expect(room.changes).toHaveLength(4);
    // The picture with its key frame, at four seconds.
    room.run(4100);
    expect(room.changes.slice(4)).toEqual([
      { uid: 'b', kind: 'audio', receiving: true },
      { uid: 'b', kind: 'video', receiving: true },
    ]);
  });

  test('asks at once for a key frame of whom it takes in, and gives the place with the first picture', () => {
    room = new Room({ audio: EXCEPT_B, video: EXCEPT_B });
    room.join('a', 1);
    room.join('b', 3);
    room.run(3300);
    const before = room.asked.length;
    room.subscribe({ audio: ALL, video: ALL });
    expect(room.asked.slice(before)).toEqual([{ atMs: 3300, track: 3, ssrc: 1003 }]);
    room.run(7000);
    // This sender is deaf: the next key frame is the one at the full second.
    expect(room.spans('b')).toEqual([[4000, 5980]]);
    expect(room.spans('b', 'withPicture')).toEqual([[4000, 5980]]);
    expect(room.sounds('b')[0]?.[0]).toBe(3300);
    expect(room.spans('a')).toEqual([[0, 5980]]);
  });

  test('takes a user in with sound and picture in step, by a report from when nobody wanted them', () => {
    room = new Room({ audio: NONE, video: NONE });
    room.join('b', 1, 300);
    room.run(2000);
    room.report();
    room.run(3320);
    room.subscribe({ audio: ALL, video: ALL });
    room.run(7000);
    // The key frame of second 4 comes at 4.3 s, when the sound of second 4 has long been there.
    expect(room.spans('b', 'withPicture')).toEqual([[4000, 5980]]);
    expect(room.sounds('b')[0]?.[0]).toBe(3320);
  });

  test('gives whom it takes in a place after two seconds when no picture comes', () => {
    room = new Room({ audio: ALL, video: NONE });
    room.join('b', 1);
    room.run(1000);
    room.participants.onEvent({ type: 'userJoined', uid: 'c' }, ZERO + SECOND);
    const track = { track: 9, uid: 'c', format: VIDEO };
    room.participants.onEvent({ type: 'trackStarted', track }, ZERO + SECOND);
    room.run(3000);
    room.subscribe({ audio: ALL, video: ALL });
    room.run(7000);
    expect(room.spans('c')).toEqual([[5000, 5980]]);
    expect(room.spans('c', 'withPicture')).toEqual([]);
  });

  test('leaves those it does not touch alone, also who waits for a first picture', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.participants.onEvent({ type: 'userJoined', uid: 'c' }, ZERO);
    room.participants.onEvent({ type: 'trackStarted', track: { track: 9, uid: 'c', format: VIDEO } }, ZERO);
    room.run(3500);
    room.subscribe({ audio: ALL, video: EXCEPT_B });
    room.run(6000);
    expect(room.spans('c')).toEqual([[2000, 4980]]);
    expect(room.asked).toEqual([]);
  });

  test('takes back in who was out for less than the delay without a new key frame, and without the time between', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.join('b', 1);
    room.run(3400);
    room.subscribe({ audio: NONE, video: NONE });
    room.run(3700);
    room.subscribe({ audio: ALL, video: ALL });
    room.run(6000);
    expect(room.asked).toEqual([]);
    const expected = [
      [0, 3380],
      [3700, 4980],
    ];
    expect(room.spans('b', 'withPicture')).toEqual(expected);
    expect(room.sounds('b')).toEqual([
      [0, 3394],
      [3714, expect.any(Number)],
    ]);
  });

  test('frees the line of whom it leaves out, and does not even read the packets then', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.join('b', 1);
    room.run(2500);
    expect(liveFrames()).toBeGreaterThan(0);
    room.subscribe({ audio: NONE, video: NONE });
    room.run(2600);
    const garbage = Buffer.alloc(20);
    room.participants.onRtp(1, garbage, ZERO + 2600 * MS);
    expect(room.degraded).toHaveLength(1);
    room.run(3600);
    expect(liveFrames()).toBe(0);
    room.participants.onRtp(1, garbage, ZERO + 3600 * MS);
    room.participants.onRtp(1, Buffer.alloc(3), ZERO + 3600 * MS);
    expect(room.degraded).toHaveLength(1);
  });

  test('known before the feed has come to its time is used for what comes before it, too', () => {
    room = new Room({ audio: ALL, video: ALL });
    room.subscribe({ audio: NONE, video: EXCEPT_B }, 1500);
    room.join('a', 1);
    room.join('b', 3);
    room.run(4000);
    expect(room.spans('b', 'withPicture')).toEqual([[0, 1480]]);
    expect(room.sounds('a')).toEqual([[0, 1494]]);
    expect(room.spans('a', 'withPicture')).toEqual([[0, 2980]]);
    expect(room.changes).toEqual([{ uid: 'a', kind: 'video', receiving: true }]);
  });

  test('counts the first media only of those it wants', () => {
    room = new Room({ audio: NONE, video: NONE });
    room.join('b', 1);
    room.run(500);
    expect(room.participants.firstMediaUs()).toBeUndefined();
    room.subscribe({ audio: ALL, video: NONE }, 600);
    room.run(900);
    expect(room.participants.firstMediaUs()).toBe(600 * MS);
    room.subscribe({ audio: NONE, video: NONE }, 600);
    expect(room.participants.firstMediaUs()).toBeUndefined();
  });
});

test('padding and parts of pictures are not told as a stream that arrives', () => {
  const changes: StreamChange[] = [];
  const participants = new Participants({
    plan: { ...PLAN, subscribe: { audio: ALL, video: ALL } },
    zeroUs: ZERO,
    sendRtcp: () => {},
    onStreamChange: (change) => changes.push(change),
    onDegraded: () => {},
  });
  participants.onEvent({ type: 'userJoined', uid: 'p' }, ZERO);
  participants.onEvent({ type: 'trackStarted', track: { track: 1, uid: 'p', format: VIDEO } }, ZERO);
  const packetizer = new Packetizer({ format: VIDEO, ssrc: 1, maxPayloadBytes: 50 });
  const send = (n: number, datagrams: Buffer[]) => {
    const atUs = ZERO + n * 40 * MS;
    for (const datagram of datagrams) participants.onRtp(1, datagram, atUs);
    participants.poll(atUs + 30 * MS);
  };
  const frame = (n: number) => packetizer.packetize(pictures[n]!.data, n * 3600);
  for (let n = 0; n < 50; n++) send(n, frame(n));
  expect(changes).toEqual([{ uid: 'p', kind: 'video', receiving: true }]);
  // Two seconds of nothing but padding, and then of the beginnings of pictures.
  for (let n = 50; n < 100; n++) send(n, frame(n).slice(0, 1).map(padded));
  for (let n = 100; n < 150; n++) send(n, frame(n).slice(0, 1));
  expect(changes.slice(1)).toEqual([{ uid: 'p', kind: 'video', receiving: false }]);
  for (let n = 150; n < 200; n++) send(n, frame(n));
  expect(changes.slice(2)).toEqual([{ uid: 'p', kind: 'video', receiving: true }]);
  participants.close();
});

/** The same packet with nothing in it but padding (RFC 3550 §5.1). */
function padded(datagram: Buffer): Buffer {
  const empty = Buffer.concat([datagram.subarray(0, 12), Buffer.of(0, 0, 0, 4)]);
  empty[0]! |= 0x20;
  return empty;
}

test('of a camera and a screen the newer is shown while it is there, and then the other again', () => {
  room = new Room({ audio: ALL, video: ALL });
  room.join('a', 1);
  room.run(2000);
  room.share('a', 7);
  room.run(4000);
  room.end(7);
  room.run(6500);
  const spansOfWidth = (width: number) =>
    spansOf(
      room.shown.filter(({ widths }) => widths.includes(width)).map(({ atMs }) => atMs),
      STEP_US / MS,
    );
  expect(spansOfWidth(320)).toEqual([[2000, 3980]]);
  expect(spansOfWidth(160)).toEqual([
    [0, 1980],
    [4000, 5480],
  ]);
});
