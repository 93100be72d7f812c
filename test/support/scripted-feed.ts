/**
 * A channel made of a script: participants with made media, encoded and packetized ahead of time, served over a real feed
 * socket in step with a held clock. For pipeline tests that need no network and no real time.
 */
import { createServer, type Server, type Socket } from 'node:net';
import { encodeFeedEvent, encodeFeedFrame, type FeedEvent, FeedReader } from '../../src/contract/line/feed.ts';
import type { TrackFormat } from '../../src/media/track.ts';
import { Packetizer } from '../../src/stages/rtp/packetize/packetizer.ts';
import { AudioEncoder, VideoEncoder } from './media/encode.ts';
import { MadePicture, madeSound, SOUND_RATE } from './media/made-media.ts';
import type { Participant } from './media/participants.ts';

/** Seconds since 1900 at the Unix epoch (RFC 3550 §4). */
const NTP_EPOCH_US = 2_208_988_800_000_000;

export type ScriptedUser = {
  uid: string;
  participant: Participant;
  codec?: 'h264' | 'vp8';
  /** When the user is in the channel, seconds from the recording's zero; negative is before it. */
  fromS: number;
  toS: number;
  /** Stretches in which nothing of the user's arrives: what was sent is lost. */
  stalls?: { fromS: number; toS: number }[];
  /** How late packets arrive, milliseconds, per kind. Default 20 each. */
  delayMs?: { audio: number; video: number };
  video?: boolean;
  /** From key frame to key frame; 1 s by default. */
  gopS?: number;
};

type Line = { atUs: number; bytes: Buffer };

const VIDEO = { width: 320, height: 180, fps: 30, bitrateKbps: 400 };
const video = (codec: 'h264' | 'vp8'): TrackFormat => ({
  kind: 'video',
  codec,
  payloadType: 96,
  clockRate: 90000,
  fmtp: '',
});
const AUDIO: TrackFormat = { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' };

/** What one user sends and when it arrives, as feed frames. `zeroUs` is the recording's zero; content time is arrival less delay. */
function scriptOf(user: ScriptedUser, index: number, zeroUs: number): Line[] {
  const lines: Line[] = [];
  const event = (atS: number, e: FeedEvent) =>
    lines.push({ atUs: zeroUs + atS * 1e6, bytes: encodeFeedEvent(e, zeroUs + atS * 1e6) });
  const [videoTrack, audioTrack] = [index * 2 + 1, index * 2 + 2];
  const delay = user.delayMs ?? { audio: 20, video: 20 };
  const lost = (atS: number) => (user.stalls ?? []).some((s) => atS >= s.fromS && atS < s.toS);
  const send = (track: number, kind: 'rtp' | 'rtcp', contentS: number, lateMs: number, datagrams: Buffer[]) => {
    if (lost(contentS)) return;
    const atUs = Math.round(zeroUs + contentS * 1e6 + lateMs * 1000);
    for (const d of datagrams) lines.push({ atUs, bytes: encodeFeedFrame(kind, track, atUs, d) });
  };
  // Content second 0 is the recording's zero, so marks lie on its full seconds. Made media wants whole positive times.
  const base = 1_000_000;
  const ntpOf = (contentS: number) => NTP_EPOCH_US + (base + contentS) * 1e6;

  event(user.fromS, { type: 'userJoined', uid: user.uid });
  const codec = user.codec ?? 'h264';
  if (user.video !== false) {
    event(user.fromS, { type: 'trackStarted', track: { track: videoTrack, uid: user.uid, format: video(codec) } });
    const encoder = new VideoEncoder({ codec, ...VIDEO, gopFrames: (user.gopS ?? 1) * VIDEO.fps });
    const packetizer = new Packetizer({ format: video(codec), ssrc: 1000 + videoTrack, firstSequence: 65500 });
    const picture = new MadePicture(user.participant, VIDEO);
    const offset = 0xffff0000 + index * 7777;
    for (let n = Math.ceil(user.fromS * VIDEO.fps); n < user.toS * VIDEO.fps; n++) {
      const contentS = n / VIDEO.fps;
      picture.draw((base + contentS) * 1e6);
      for (const unit of encoder.encode(picture.i420, n - Math.ceil(user.fromS * VIDEO.fps))) {
        const ticks = offset + Math.round(contentS * 90000);
        send(videoTrack, 'rtp', contentS, delay.video, packetizer.packetize(unit.data, ticks));
        if (n % 30 === 5)
          send(videoTrack, 'rtcp', contentS, delay.video, [packetizer.senderReport(ntpOf(contentS), ticks)]);
      }
    }
    encoder.close();
  }
  event(user.fromS, { type: 'trackStarted', track: { track: audioTrack, uid: user.uid, format: AUDIO } });
  const encoder = new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
  const packetizer = new Packetizer({ format: AUDIO, ssrc: 1000 + audioTrack });
  const samples = encoder.frameSamples;
  const first = Math.ceil((user.fromS * SOUND_RATE) / samples);
  for (let n = first; n < (user.toS * SOUND_RATE) / samples; n++) {
    const contentS = (n * samples) / SOUND_RATE;
    for (const unit of encoder.encode(
      madeSound(user.participant, base * SOUND_RATE + n * samples, samples),
      n * samples,
    )) {
      // What comes out is stamped with its own time, which libopus sets back by its lookahead; RTP senders do not.
      const ticks = 123456 + (n - first) * samples;
      send(audioTrack, 'rtp', contentS, delay.audio, packetizer.packetize(unit.data, ticks));
      if (n % 50 === 3)
        send(audioTrack, 'rtcp', contentS, delay.audio, [packetizer.senderReport(ntpOf(contentS), ticks)]);
    }
  }
  encoder.close();
  event(user.toS, { type: 'userLeft', uid: user.uid });
  return lines;
}

export class ScriptedFeed {
  readonly path: string;
  #server: Server;
  #socket: Promise<Socket>;
  #lines: Line[];
  #at = 0;
  /** Tracks for which a key frame was asked. */
  readonly keyFrameRequests: number[] = [];

  private constructor(path: string, server: Server, lines: Line[]) {
    this.path = path;
    this.#server = server;
    this.#lines = lines;
    this.#socket = new Promise((resolve) => server.once('connection', resolve));
    void this.#socket.then((socket) => {
      const reader = new FeedReader();
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        for (const frame of reader.push(chunk as Buffer))
          if (frame.kind === 'rtcp') this.keyFrameRequests.push(frame.track);
      });
    });
  }

  /** @param joinedUs when the recorder comes; what was before is what it catches up with */
  static async serve(path: string, users: ScriptedUser[], zeroUs: number, joinedUs: number): Promise<ScriptedFeed> {
    const lines = users.flatMap((user, i) => scriptOf(user, i, zeroUs));
    lines.push({
      atUs: zeroUs,
      bytes: encodeFeedEvent({ type: 'hello', version: 1, monoUs: zeroUs, utcMs: 0 }, zeroUs),
    });
    lines.push({ atUs: joinedUs, bytes: encodeFeedEvent({ type: 'caughtUp' }, joinedUs) });
    lines.sort((a, b) => a.atUs - b.atUs);
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    return new ScriptedFeed(path, server, lines);
  }

  /** Sends what has happened by `nowUs`, at most `frames` of it. Resolves when the socket has taken it. */
  async playUntil(nowUs: number, frames = Number.POSITIVE_INFINITY): Promise<void> {
    const socket = await this.#socket;
    const batch: Buffer[] = [];
    while (batch.length < frames && this.#at < this.#lines.length && (this.#lines[this.#at] as Line).atUs <= nowUs) {
      batch.push((this.#lines[this.#at++] as Line).bytes);
    }
    if (batch.length > 0 && socket.writable)
      await new Promise<void>((resolve) => socket.write(Buffer.concat(batch), () => resolve()));
  }

  async close(): Promise<void> {
    (await this.#socket).destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }
}
