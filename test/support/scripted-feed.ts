/**
 * A channel made of a script: participants with made media, encoded and packetized when their time comes, served over a
 * real feed socket in step with a held clock. For pipeline tests that need no network and no real time.
 */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import {
  decodeFeedEvent,
  decodeRecorderEvent,
  encodeFeedEvent,
  encodeFeedFrame,
  FEED_ALIVE_MS,
  type FeedEvent,
  type FeedFrame,
  FeedReader,
} from '../../src/contract/line/feed.ts';
import type { MediaKind, TrackFormat, VideoCodec, VideoColor } from '../../src/media/track.ts';
import { startsKeyFrame } from '../../src/stages/rtp/key-frame.ts';
import { parsePacket } from '../../src/stages/rtp/parse-packet.ts';
import { AudioEncoder, VideoEncoder } from './media/encode.ts';
import { G711Encoder } from './media/g711.ts';
import { MadePicture, madeSound, SOUND_RATE } from './media/made-media.ts';
import type { Participant, Yuv } from './media/participants.ts';
import { splitAnnexB } from './packetize/h264.ts';
import { Packetizer } from './packetize/packetizer.ts';

/** Seconds since 1900 at the Unix epoch (RFC 3550 §4). */
const NTP_EPOCH_US = 2_208_988_800_000_000;

export type ScriptedUser = {
  uid: string;
  participant: Participant;
  codec?: VideoCodec;
  /** When the user is in the channel, seconds from the recording's zero; negative is before it. */
  fromS: number;
  toS: number;
  /** Stretches in which nothing of the user's arrives: what was sent is lost. */
  stalls?: { fromS: number; toS: number }[];
  /**
   * Stretches whose packets arrive no earlier than `untilS`: a queue, or what was lost and is sent again. Or the
   * channel's server has no turn, and says nothing at all.
   */
  lates?: { fromS: number; toS: number; untilS: number; channelStandsStill?: true }[];
  /** Stretches in which the sender sends nothing, or nothing of a kind. */
  mutes?: { fromS: number; toS: number; kind?: MediaKind }[];
  /** How much faster than true time the sender counts, parts per million. */
  skewPpm?: number;
  /** How late packets arrive, milliseconds, per kind. Default 20 each. */
  delayMs?: { audio: number; video: number };
  video?: boolean;
  /** When the camera is switched off: its track ends, and the user stays. */
  videoToS?: number;
  audio?: boolean;
  /** The picture's size from a moment on; 320×180 before. A change comes with a key frame. */
  sizes?: { fromS: number; width: number; height: number }[];
  /** From key frame to key frame; 1 s by default. */
  gopS?: number;
  /** Sends a key frame when asked for one, as browsers do. By default requests are only noted. */
  answersKeyFrameRequests?: boolean;
  /** Stretches in which the sender itself spoils the video it sends: its packets are whole, its frames are not. */
  spoils?: { fromS: number; toS: number }[];
  /** When pictures are sent, content seconds, instead of 30 times a second: slides, or a screen that stands still. */
  picturesAtS?: number[];
  /** H.264 with pictures that refer to later ones, sent in order of decoding. */
  bFrames?: boolean;
  /** Sets the marker of every packet of video, or of none, instead of at the end of each picture. */
  markers?: 'all' | 'none';
  /** Sends parameter sets with the first key frame only (H.264). */
  setsOnce?: boolean;
  /** What is muted is not captured: timestamps go on afterwards without a gap, and only sender reports tell of it. */
  mutesStall?: boolean;
  /** One packet of sound that is stamped so many seconds ahead of its time. */
  stray?: { atS: number; byS: number };
  /**
   * Stretches in which each packet of Opus is one byte, a frame of nothing, as senders with DTX send when a pause
   * begins.
   */
  tinyPackets?: { fromS: number; toS: number }[];
  /** How loud the sound is on the left and on the right, of its usual level. No SDP says that it is stereo. */
  levels?: [left: number, right: number];
  /** As of MadePicture. */
  quarters?: readonly Yuv[];
  /** As of VideoEncoding. */
  color?: VideoColor;
  sampleAspect?: readonly [number, number];
  /** Bytes of the video orientation header extension, and from when on they are sent. */
  orientations?: { fromS: number; bits: number }[];
  /** PCMU at 8 kHz, as of telephones, instead of Opus. */
  telephone?: boolean;
  /** What becomes of datagrams that are sent together, RTP of one frame or a sender report, at a content time. */
  alter?: (datagrams: Buffer[], kind: MediaKind, what: 'rtp' | 'rtcp', contentS: number) => Buffer[];
};

/** What is sent at a time, made then: what is asked of the sender before changes it. */
type Line = { atUs: number; make: () => Buffer };

type Script = {
  lines: Line[];
  /** A key frame is asked for of a track. */
  onKeyFrameRequest(track: number): void;
  close(): void;
};

const VIDEO = { width: 320, height: 180, fps: 30, bitrateKbps: 400 };
const ORIENTATION_ID = 13;
const video = (codec: VideoCodec, oriented: boolean): TrackFormat => ({
  kind: 'video',
  codec,
  payloadType: 96,
  clockRate: 90000,
  fmtp: '',
  orientationExtension: oriented ? ORIENTATION_ID : undefined,
});
const AUDIO: TrackFormat = { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' };
const TELEPHONE: TrackFormat = { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' };

/**
 * What one user sends and when it arrives, as feed frames. `zeroUs` is the recording's zero; content time is arrival
 * less delay.
 */
function scriptOf(user: ScriptedUser, index: number, zeroUs: number): Script {
  const lines: Line[] = [];
  const encoders: { close(): void }[] = [];
  let keyFrameAsked = false;
  const event = (atS: number, e: FeedEvent) =>
    lines.push({ atUs: zeroUs + atS * 1e6, make: () => encodeFeedEvent(e, zeroUs + atS * 1e6) });
  const [videoTrack, audioTrack] = [index * 2 + 1, index * 2 + 2];
  const delay = user.delayMs ?? { audio: 20, video: 20 };
  const within = (spans: ScriptedUser['stalls'], atS: number) => !!spans?.some((s) => atS >= s.fromS && atS < s.toS);
  const isMuted = (kind: MediaKind, atS: number) =>
    !!user.mutes?.some((m) => (m.kind ?? kind) === kind && atS >= m.fromS && atS < m.toS);
  type Sent = { kind: 'rtp' | 'rtcp'; datagrams: Buffer[] };
  const send = (track: number, contentS: number, lateMs: number, make: () => Sent[]) => {
    const atUs = Math.round(zeroUs + contentS * 1e6 + lateMs * 1000);
    const late = user.lates?.find((l) => contentS >= l.fromS && contentS < l.toS);
    const lateUs = late && Math.max(atUs, zeroUs + late.untilS * 1e6);
    let kept = Buffer.alloc(0);
    lines.push({
      atUs,
      make: () => {
        const media = track === videoTrack ? 'video' : 'audio';
        const { alter } = user;
        const sent = make().map(({ kind, datagrams }) => ({
          kind,
          datagrams: alter ? alter(datagrams, media, kind, contentS) : datagrams,
        }));
        if (within(user.stalls, contentS)) return Buffer.alloc(0);
        const frames = Buffer.concat(
          sent.flatMap(({ kind, datagrams }) => datagrams.map((d) => encodeFeedFrame(kind, track, lateUs ?? atUs, d))),
        );
        if (lateUs === undefined) return frames;
        // Encoded in its turn, and handed over in another.
        kept = frames;
        return Buffer.alloc(0);
      },
    });
    if (lateUs !== undefined) lines.push({ atUs: lateUs, make: () => kept });
  };
  // Content second 0 is the recording's zero, so marks lie on its full seconds. Made media wants whole positive times.
  const base = 1_000_000;
  /** Seconds of a kind that its timestamps know nothing of. */
  const forgottenS = (kind: MediaKind, atS: number) => {
    const mutes = user.mutesStall ? (user.mutes ?? []).filter((m) => (m.kind ?? kind) === kind && m.toS <= atS) : [];
    return mutes.reduce((sum, { fromS, toS }) => sum + toS - fromS, 0);
  };
  const speed = 1 + (user.skewPpm ?? 0) / 1e6;
  const ntpOf = (contentS: number) => NTP_EPOCH_US + (base + contentS * speed) * 1e6;

  event(user.fromS, { type: 'userJoined', uid: user.uid });
  const codec = user.codec ?? 'h264';
  if (user.video !== false) {
    const format = video(codec, user.orientations !== undefined);
    event(user.fromS, { type: 'trackStarted', track: { track: videoTrack, uid: user.uid, format } });
    const sizeAt = (atS: number) => user.sizes?.findLast((size) => size.fromS <= atS) ?? VIDEO;
    const open = ({ width, height }: { width: number; height: number }, firstFrame: number) => ({
      encoder: new VideoEncoder({
        codec,
        ...VIDEO,
        width,
        height,
        gopFrames: Math.round((user.gopS ?? 1) * VIDEO.fps),
        bFrames: user.bFrames ? 2 : 0,
        color: user.color,
        sampleAspect: user.sampleAspect,
      }),
      picture: new MadePicture(user.participant, { width, height, quarters: user.quarters }),
      size: { width, height },
      firstFrame,
    });
    let camera = open(sizeAt(user.fromS), Math.ceil(user.fromS * VIDEO.fps));
    encoders.push({ close: () => camera.encoder.close() });
    const packetizer = new Packetizer({ format, ssrc: 1000 + videoTrack, firstSequence: 65500 });
    const offset = 0xffff0000 + index * 7777;
    for (let n = Math.ceil(user.fromS * VIDEO.fps); n < (user.videoToS ?? user.toS) * VIDEO.fps; n++) {
      const contentS = n / VIDEO.fps;
      if (isMuted('video', contentS)) continue;
      if (user.picturesAtS && !user.picturesAtS.some((atS) => Math.round(atS * VIDEO.fps) === n)) continue;
      const ticksOf = (frame: number) => {
        const atS = frame / VIDEO.fps;
        return offset + Math.round((atS - forgottenS('video', atS)) * speed * 90000);
      };
      const ticks = ticksOf(n);
      send(videoTrack, contentS, delay.video, () => {
        const size = sizeAt(contentS);
        if (size.width !== camera.size.width || size.height !== camera.size.height) {
          camera.encoder.close();
          camera = open(size, n);
        }
        camera.picture.draw((base + contentS) * 1e6);
        const units = camera.encoder.encode(camera.picture.i420, n - camera.firstFrame, keyFrameAsked);
        keyFrameAsked = false;
        const bits = user.orientations?.findLast((o) => o.fromS <= contentS)?.bits;
        const sent = units.flatMap(({ data, pts }): Sent[] => {
          const shown = ticksOf(camera.firstFrame + pts);
          const whole = user.setsOnce && n > camera.firstFrame ? withoutSets(data) : data;
          const datagrams = packetizer
            .packetize(within(user.spoils, contentS) ? spoiled(whole) : whole, shown)
            .map((datagram) => withMarker(datagram, user.markers));
          if (bits !== undefined) datagrams.push(withOrientation(datagrams.pop()!, bits));
          return [{ kind: 'rtp', datagrams }];
        });
        if (n % 30 === 5) sent.push({ kind: 'rtcp', datagrams: [packetizer.senderReport(ntpOf(contentS), ticks)] });
        return sent;
      });
    }
  }
  const sound = user.telephone ? TELEPHONE : AUDIO;
  if (user.audio !== false)
    event(user.fromS, { type: 'trackStarted', track: { track: audioTrack, uid: user.uid, format: sound } });
  const encoder = user.telephone
    ? new G711Encoder('pcmu')
    : new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
  encoders.push(encoder);
  const packetizer = new Packetizer({ format: sound, ssrc: 1000 + audioTrack });
  const samples = encoder.frameSamples;
  const first = Math.ceil((user.fromS * SOUND_RATE) / samples);
  for (let n = first; user.audio !== false && n < (user.toS * SOUND_RATE) / samples; n++) {
    const contentS = (n * samples) / SOUND_RATE;
    if (isMuted('audio', contentS)) continue;
    send(audioTrack, contentS, delay.audio, () => {
      const wave = madeSound(user.participant, base * SOUND_RATE + n * samples, samples);
      // What comes out is stamped with its own time, which libopus sets back by its lookahead; RTP senders do not.
      const lostTicks = forgottenS('audio', contentS) * SOUND_RATE;
      const perTick = SOUND_RATE / sound.clockRate;
      const ticks = 123456 + Math.round((((n - first) * samples - lostTicks) * speed) / perTick);
      const strayed = user.stray && Math.floor((user.stray.atS * SOUND_RATE) / samples) === n ? user.stray.byS : 0;
      const units = encoder.encode(wave, n * samples, user.levels);
      const isTiny = within(user.tinyPackets, contentS);
      const sent = units.map(({ data }): Sent => {
        const datagrams = packetizer.packetize(isTiny ? data.subarray(0, 1) : data, ticks + strayed * sound.clockRate);
        return { kind: 'rtp', datagrams };
      });
      if (n % 50 === 3) sent.push({ kind: 'rtcp', datagrams: [packetizer.senderReport(ntpOf(contentS), ticks)] });
      return sent;
    });
  }
  if (user.videoToS !== undefined) event(user.videoToS, { type: 'trackEnded', track: videoTrack });
  event(user.toS, { type: 'userLeft', uid: user.uid });
  return {
    lines,
    onKeyFrameRequest(track) {
      keyFrameAsked ||= track === videoTrack && user.answersKeyFrameRequests === true;
    },
    close() {
      for (const each of encoders) each.close();
    },
  };
}

/** What the channel says of itself from when the recorder is there. */
function aliveLines(users: readonly ScriptedUser[], zeroUs: number, joinedUs: number): Line[] {
  const aways = users.flatMap(({ lates = [] }) => lates.filter(({ channelStandsStill }) => channelStandsStill));
  const endUs = zeroUs + (Math.max(...users.map(({ toS }) => toS)) + SAID_AFTER_S) * 1e6;
  const lines: Line[] = [];
  for (let atUs = joinedUs + FEED_ALIVE_MS * 1000; atUs < endUs; atUs += FEED_ALIVE_MS * 1000) {
    const atS = (atUs - zeroUs) / 1e6;
    if (aways.some(({ fromS, untilS }) => atS >= fromS && atS < untilS)) continue;
    lines.push({ atUs, make: () => encodeFeedEvent({ type: 'alive' }, atUs) });
  }
  return lines;
}

/** A frame with some of its middle overwritten. */
function spoiled(data: Buffer): Buffer {
  const out = Buffer.from(data);
  return out.fill(0x5a, data.length >> 1, (data.length >> 1) + 8);
}

function withMarker(packet: Buffer, markers: ScriptedUser['markers']): Buffer {
  if (markers === 'all') packet[1] = packet[1]! | 0x80;
  if (markers === 'none') packet[1] = packet[1]! & 0x7f;
  return packet;
}

/** An access unit of H.264 without its SPS and PPS. */
function withoutSets(unit: Buffer): Buffer {
  return Buffer.concat(
    splitAnnexB(unit)
      .filter((nal) => ![7, 8].includes(nal[0]! & 0x1f))
      .flatMap((nal) => [Buffer.of(0, 0, 0, 1), nal]),
  );
}

/**
 * The packet with a header extension of one byte, as a frame's last one carries it (3GPP TS 26.114 §7.4.5, RFC 8285
 * §4.2).
 */
function withOrientation(packet: Buffer, bits: number): Buffer {
  const header = Buffer.from(packet.subarray(0, 12));
  header[0] = header[0]! | 0x10;
  return Buffer.concat([header, Buffer.of(0xbe, 0xde, 0, 1, ORIENTATION_ID << 4, bits, 0, 0), packet.subarray(12)]);
}

/** A recording outlasts its users by less. */
const SAID_AFTER_S = 120;
/** What of sound is given again before the moment that is safe, as a channel does. */
const SOUND_BEFORE_US = 500_000;

type Sent = { frame: FeedFrame; bytes: Buffer; startsKeyFrame: boolean };

export class ScriptedFeed {
  readonly path: string;
  #server: Server;
  #joined: Promise<unknown>;
  #socket: Socket | undefined;
  #scripts: Script[];
  #hello: Buffer;
  #lines: Line[];
  #at = 0;
  /** All that was sent, for a recorder that comes after another. */
  #sent: Sent[] = [];
  #codecs = new Map<number, VideoCodec>();
  #safeUs = Number.NEGATIVE_INFINITY;
  #nowUs = 0;
  #runs = 0;
  /** Tracks for which a key frame was asked. */
  readonly keyFrameRequests: number[] = [];
  /** What each recorder said first. */
  readonly generations: number[] = [];

  private constructor(path: string, server: Server, scripts: Script[], lines: Line[], hello: Buffer) {
    this.path = path;
    this.#server = server;
    this.#scripts = scripts;
    this.#lines = lines;
    this.#hello = hello;
    this.#joined = once(server, 'connection');
    server.on('connection', (socket: Socket) => this.#accept(socket));
  }

  /**
   * @param joinedUs when the recorder comes; what was before is what it catches up with
   * @param openedUs when the channel opened the feed; the recording's zero when left out
   */
  static async serve(
    path: string,
    users: ScriptedUser[],
    zeroUs: number,
    joinedUs: number,
    openedUs = zeroUs,
  ): Promise<ScriptedFeed> {
    const scripts = users.map((user, i) => scriptOf(user, i, zeroUs));
    const lines = scripts.flatMap((script) => script.lines);
    lines.push({ atUs: joinedUs, make: () => encodeFeedEvent({ type: 'caughtUp' }, joinedUs) });
    lines.push(...aliveLines(users, zeroUs, joinedUs));
    lines.sort((a, b) => a.atUs - b.atUs);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const hello = encodeFeedEvent({ type: 'hello', version: 1, monoUs: openedUs, utcMs: 0 }, openedUs);
    return new ScriptedFeed(path, server, scripts, lines, hello);
  }

  /** Up to where the recorder said that what arrived is safe, monotonic microseconds. */
  get safeUs(): number {
    return this.#safeUs;
  }

  /** Sends what has happened by `nowUs`, at most `frames` of it. Resolves when the socket has taken it. */
  async playUntil(nowUs: number, frames = Number.POSITIVE_INFINITY): Promise<void> {
    await this.#joined;
    this.#nowUs = nowUs;
    const batch: Buffer[] = [];
    while (batch.length < frames && this.#at < this.#lines.length && (this.#lines[this.#at] as Line).atUs <= nowUs) {
      const bytes = (this.#lines[this.#at++] as Line).make();
      this.#keep(bytes);
      batch.push(bytes);
    }
    const socket = this.#socket;
    if (batch.length > 0 && socket?.writable)
      await new Promise<void>((resolve) => socket.write(Buffer.concat(batch), () => resolve()));
  }

  /** Cuts the recorder off, as when its process is killed. What is sent from now on is kept for the next. */
  cut(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  async close(): Promise<void> {
    await this.#joined;
    this.#socket?.destroy();
    for (const script of this.#scripts) script.close();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  #accept(socket: Socket): void {
    this.#socket = socket;
    const reader = new FeedReader();
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      for (const frame of reader.push(chunk as Buffer)) {
        if (frame.kind === 'event') {
          const event = decodeRecorderEvent(frame.body);
          if (event.type === 'hello') this.generations.push(event.generation);
          else this.#safeUs = Math.max(this.#safeUs, event.arrivalUs);
        }
        if (frame.kind !== 'rtcp') continue;
        this.keyFrameRequests.push(frame.track);
        for (const script of this.#scripts) script.onKeyFrameRequest(frame.track);
      }
    });
    socket.write(this.#hello);
    if (this.#runs++ > 0) socket.write(this.#again());
  }

  /**
   * What a later run is given: who was there when all before was safe, and everything since the last key frames before
   * that.
   */
  #again(): Buffer {
    const safeUs = this.#safeUs;
    const users = new Map<string, Sent>();
    const tracks = new Map<number, { uid: string; sent: Sent; from: number }>();
    this.#sent.forEach((sent, n) => {
      const { frame } = sent;
      if (frame.arrivalUs > safeUs) return;
      const track = tracks.get(frame.track);
      if (track && sent.startsKeyFrame) track.from = n;
      const codec = this.#codecs.get(frame.track);
      if (track && frame.kind === 'rtp' && !codec && frame.arrivalUs < safeUs - SOUND_BEFORE_US) track.from = n;
      if (frame.kind !== 'event') return;
      const event = decodeFeedEvent(frame.body);
      if (event.type === 'userJoined') users.set(event.uid, sent);
      if (event.type === 'userLeft') users.delete(event.uid);
      if (event.type === 'userLeft')
        for (const [number, { uid }] of tracks) if (uid === event.uid) tracks.delete(number);
      if (event.type === 'trackStarted')
        tracks.set(event.track.track, { uid: event.track.uid, sent, from: Number.POSITIVE_INFINITY });
      if (event.type === 'trackEnded') tracks.delete(event.track);
    });
    const isNeeded = ({ frame }: Sent, n: number) => {
      if (frame.kind === 'event') return frame.arrivalUs > safeUs;
      const track = tracks.get(frame.track);
      return frame.arrivalUs > safeUs || (track !== undefined && n >= track.from);
    };
    const there = [...users.values(), ...[...tracks.values()].map(({ sent }) => sent)];
    const caughtUp = encodeFeedEvent({ type: 'caughtUp' }, this.#nowUs);
    return Buffer.concat([...there, ...this.#sent.filter(isNeeded)].map(({ bytes }) => bytes).concat(caughtUp));
  }

  #keep(bytes: Buffer): void {
    for (const frame of new FeedReader().push(bytes)) {
      const { kind, track, arrivalUs, body } = frame;
      const event = kind === 'event' ? decodeFeedEvent(body) : undefined;
      if (event?.type === 'caughtUp' || event?.type === 'alive') continue;
      if (event?.type === 'trackStarted' && event.track.format.kind === 'video')
        this.#codecs.set(event.track.track, event.track.format.codec);
      const codec = this.#codecs.get(track);
      const startsKey = kind === 'rtp' && codec && startsKeyFrame(codec, parsePacket(body, arrivalUs).payload);
      const sent = encodeFeedFrame(kind, track, arrivalUs, body);
      this.#sent.push({ frame, bytes: sent, startsKeyFrame: startsKey === true });
    }
  }
}
