/**
 * Publisher B: made media sent by a node-datachannel client with packets, sender reports and retransmission of our own
 * making. It answers a PLI with a key frame and a NACK with the packet, and can misbehave on purpose.
 */
import nodeDataChannel from 'node-datachannel';
import type { AudioCodec, TrackFormat } from '../../../src/media/track.ts';
import { Packetizer } from '../../../src/stages/rtp/packetize/packetizer.ts';
import { parseCompound } from '../../../src/stages/rtp/rtcp.ts';
import { SOUND_RATE } from '../media/made-media.ts';
import { LiveSource, LoopSource, type MediaSource } from './media-source.ts';
import { startPace, wallUs } from './pace.ts';
import type { RtcPublishOptions } from './publisher.ts';

type PeerConnection = InstanceType<typeof nodeDataChannel.PeerConnection>;
type RtcTrack = ReturnType<PeerConnection['addTrack']>;

/** From the NTP epoch (1900) to the Unix epoch (RFC 3550 §4), microseconds. */
const NTP_EPOCH_US = 2_208_988_800_000_000;
const AUDIO: Record<AudioCodec, TrackFormat> = {
  opus: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
  pcmu: { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' },
  pcma: { kind: 'audio', codec: 'pcma', payloadType: 8, clockRate: 8000, channels: 1, fmtp: '' },
};
const VIDEO_TYPE = 96;
const HISTORY = 1024;
const REPORT_EVERY_US = 1_000_000;

export class RtcPublisher {
  #pc: PeerConnection;
  #options: RtcPublishOptions;
  #session = '';
  #source: MediaSource;
  #video: OutgoingTrack;
  #audio: OutgoingTrack;
  /** Ticks per second of the sound's timestamps. */
  #audioRate: number;
  #pace: { stop(): void } | undefined;
  #paused = false;
  #muted = { audio: false, video: false };
  #wantsKeyFrame = true;
  #reportedUs = 0;

  /** Connects and begins to send. Rejects with an Error when the server refuses or no connection comes about. */
  static async start(options: RtcPublishOptions, failed: (error: unknown) => void): Promise<RtcPublisher> {
    const publisher = new RtcPublisher(options);
    try {
      await publisher.#connect();
    } catch (error) {
      publisher.vanish();
      throw error;
    }
    publisher.#send(failed);
    return publisher;
  }

  private constructor(options: RtcPublishOptions) {
    this.#options = options;
    this.#source = options.loop ? new LoopSource(options) : new LiveSource(options);
    this.#pc = new nodeDataChannel.PeerConnection(options.participant.name, {
      iceServers: [],
      disableAutoNegotiation: true,
    });
    const [videoSsrc, audioSsrc] = [randomSsrc(), randomSsrc()];
    const video = new nodeDataChannel.Video('0', 'SendOnly');
    addVideoCodec(video, options.codec);
    video.addSSRC(videoSsrc, options.participant.name, 'made', 'video');
    const audio = new nodeDataChannel.Audio('1', 'SendOnly');
    const sound = AUDIO[options.audioCodec ?? 'opus'];
    this.#audioRate = sound.clockRate;
    if (sound.codec === 'opus')
      audio.addOpusCodec(sound.payloadType, 'minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1');
    else audio.addAudioCodec(sound.payloadType, `${sound.codec.toUpperCase()}/8000`);
    audio.addSSRC(audioSsrc, options.participant.name, 'made', 'audio');
    const loss = options.lossRate ?? 0;
    const offset = options.timestampOffset;
    this.#video = new OutgoingTrack(
      this.#pc.addTrack(video),
      { kind: 'video', codec: options.codec, payloadType: VIDEO_TYPE, clockRate: 90000, fmtp: '' },
      {
        ssrc: videoSsrc,
        offset: offset?.video ?? randomSsrc(),
        lossRate: loss,
        onKeyFrameWanted: () => {
          this.#wantsKeyFrame = true;
        },
      },
    );
    this.#audio = new OutgoingTrack(this.#pc.addTrack(audio), sound, {
      ssrc: audioSsrc,
      offset: offset?.audio ?? randomSsrc(),
      lossRate: loss,
    });
  }

  /** Goes on without sending anything. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#wantsKeyFrame = true;
  }

  muteAudio(): void {
    this.#muted.audio = true;
  }

  unmuteAudio(): void {
    this.#muted.audio = false;
  }

  muteVideo(): void {
    this.#muted.video = true;
  }

  unmuteVideo(): void {
    this.#muted.video = false;
    this.#wantsKeyFrame = true;
  }

  /** Leaves with a DELETE (RFC 9725 §4.2). */
  async stop(): Promise<void> {
    this.#pace?.stop();
    if (this.#session) await fetch(this.#session, { method: 'DELETE', headers: this.#authorization() });
    this.vanish();
  }

  /** Stops sending and closes its socket without a DELETE. */
  vanish(): void {
    this.#pace?.stop();
    this.#source.close();
    this.#pc.close();
  }

  #authorization(): Record<string, string> {
    return this.#options.token ? { authorization: `Bearer ${this.#options.token}` } : {};
  }

  async #connect(): Promise<void> {
    const gathered = new Promise<void>((resolve) => {
      this.#pc.onGatheringStateChange((state) => {
        if (state === 'complete') resolve();
      });
    });
    this.#pc.setLocalDescription('offer');
    await gathered;
    const connected = new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no connection within 10 s')), 10_000);
      this.#pc.onStateChange((state) => {
        if (state === 'connected') resolve();
        else if (state === 'failed' || state === 'closed') reject(new Error(`the connection ${state}`));
        else return;
        clearTimeout(timer);
      });
    });
    // Not awaited yet: a refusal below must not leave this one unhandled.
    connected.catch(() => {});
    const { via } = this.#options;
    const offer = this.#pc.localDescription()?.sdp ?? '';
    const answer = await fetch(this.#options.url, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', ...this.#authorization() },
      body: via ? withoutCandidates(offer) : offer,
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new Error(`the server answers ${answer.status}: ${text}`);
    this.#session = new URL(answer.headers.get('location') ?? '', this.#options.url).href;
    this.#pc.setRemoteDescription(via ? sentTo(via, text) : text, 'answer');
    await connected;
  }

  #send(failed: (error: unknown) => void): void {
    const { fps } = this.#options;
    const guard = (send: () => void, kind?: 'audio' | 'video') => {
      try {
        if (!this.#paused && !(kind && this.#muted[kind])) send();
      } catch (error) {
        this.#pace?.stop();
        failed(error);
      }
    };
    this.#pace = startPace({
      fps,
      blockSamples: this.#source.blockSamples,
      onFrame: (n) =>
        guard(() => {
          const keyFrame = this.#wantsKeyFrame;
          this.#wantsKeyFrame = false;
          for (const data of this.#source.frame(n, keyFrame)) this.#video.send(data, Math.round((n * 90000) / fps));
        }, 'video'),
      onSound: (startSample) =>
        guard(() => {
          for (const { data, pts } of this.#source.sound(startSample))
            this.#audio.send(data, Math.round((pts * this.#audioRate) / SOUND_RATE));
        }, 'audio'),
      onTick: (nowUs) =>
        guard(() => {
          if (nowUs - this.#reportedUs < REPORT_EVERY_US) return;
          this.#reportedUs = nowUs;
          if (!this.#muted.video) this.#video.report(nowUs, Math.round((nowUs * 90000) / 1e6));
          if (!this.#muted.audio) this.#audio.report(nowUs, Math.round((nowUs * this.#audioRate) / 1e6));
        }),
    });
    this.#video.report(wallUs(), Math.round((wallUs() * 90000) / 1e6));
  }
}

const CANDIDATE_LINE = /^a=candidate:.*\r?\n/gm;

/** The server is left to learn from the packets where the publisher is, or it would find the way past the proxy. */
function withoutCandidates(offer: string): string {
  return offer.replace(CANDIDATE_LINE, '');
}

/** The answer with one candidate, the proxy, in place of its own. */
function sentTo(via: { address: string; port: number }, answer: string): string {
  let given = false;
  return answer.replace(CANDIDATE_LINE, (line) => {
    if (given) return '';
    given = true;
    const [foundation, component, protocol, priority] = line.split(' ');
    return `${[foundation, component, protocol, priority, via.address, via.port].join(' ')} typ host\r\n`;
  });
}

function addVideoCodec(video: InstanceType<typeof nodeDataChannel.Video>, codec: RtcPublishOptions['codec']): void {
  switch (codec) {
    case 'h264':
      video.addH264Codec(VIDEO_TYPE, 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1');
      break;
    case 'vp8':
      video.addVP8Codec(VIDEO_TYPE);
      break;
    case 'vp9':
      video.addVP9Codec(VIDEO_TYPE);
      break;
    case 'av1':
      video.addAV1Codec(VIDEO_TYPE);
  }
}

type OutgoingOptions = { ssrc: number; offset: number; lossRate: number; onKeyFrameWanted?: () => void };

/** One track: packets out, their history, and the feedback that comes back. */
class OutgoingTrack {
  #track: RtcTrack;
  #packetizer: Packetizer;
  #offset: number;
  #lossRate: number;
  #history = new Map<number, Buffer>();
  #sentAny = false;

  constructor(track: RtcTrack, format: TrackFormat, options: OutgoingOptions) {
    this.#track = track;
    this.#offset = options.offset;
    this.#lossRate = options.lossRate;
    const firstSequence = Math.floor(Math.random() * 0x8000);
    this.#packetizer = new Packetizer({ format, ssrc: options.ssrc, firstSequence, maxPayloadBytes: 1100 });
    track.onMessage((message) => {
      for (const packet of parseCompound(message)) {
        if (packet.type === 'pictureLossIndication' || packet.type === 'fullIntraRequest') options.onKeyFrameWanted?.();
        if (packet.type === 'nack') this.#resend(packet.sequences);
      }
    });
  }

  /** @param ticks media time in ticks of the track's clock */
  send(data: Buffer, ticks: number): void {
    for (const datagram of this.#packetizer.packetize(data, wrap(ticks + this.#offset))) {
      const sequence = datagram.readUInt16BE(2);
      this.#history.set(sequence, datagram);
      this.#history.delete((sequence - HISTORY) & 0xffff);
      if (Math.random() >= this.#lossRate) this.#put(datagram);
    }
    this.#sentAny = true;
  }

  /** Says that media time `ticks` is the wall time `nowUs`. */
  report(nowUs: number, ticks: number): void {
    if (this.#sentAny) this.#put(this.#packetizer.senderReport(nowUs + NTP_EPOCH_US, wrap(ticks + this.#offset)));
  }

  #resend(sequences: readonly number[]): void {
    for (const sequence of sequences) {
      const datagram = this.#history.get(sequence);
      if (datagram) this.#put(datagram);
    }
  }

  #put(datagram: Buffer): void {
    if (this.#track.isOpen()) this.#track.sendMessageBinary(datagram);
  }
}

/** The low 32 bits of a number too large for bit operators. */
function wrap(ticks: number): number {
  return ((ticks % 0x100000000) + 0x100000000) % 0x100000000;
}

function randomSsrc(): number {
  return Math.floor(Math.random() * 0xffffffff);
}
