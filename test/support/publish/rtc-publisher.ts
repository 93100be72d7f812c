/**
 * Publisher B: made media sent by a node-datachannel client with packets, sender reports and retransmission of our own
 * making. It answers a PLI with a key frame and a NACK with the packet, and can misbehave on purpose.
 */
import nodeDataChannel from 'node-datachannel';
import type { AudioCodec, TrackFormat } from '../../../src/media/track.ts';
import { SOUND_RATE } from '../media/made-media.ts';
import { DeviceClock } from './device-clock.ts';
import { LiveSource, LoopSource, type MediaSource } from './media-source.ts';
import { ORIENTATION_ID, OutgoingTrack, randomSsrc } from './outgoing-track.ts';
import { startPace, wallUs } from './pace.ts';
import type { PublisherCommand, RtcPublishOptions } from './publisher.ts';
import type { Scene } from './scene.ts';

type PeerConnection = InstanceType<typeof nodeDataChannel.PeerConnection>;

const AUDIO: Record<AudioCodec, TrackFormat> = {
  opus: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
  pcmu: { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' },
  pcma: { kind: 'audio', codec: 'pcma', payloadType: 8, clockRate: 8000, channels: 1, fmtp: '' },
};
const VIDEO_TYPE = 96;
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
  /** When each was muted last. */
  #mutedUs = { audio: 0, video: 0 };
  #wantsKeyFrame = true;
  #reportedUs = 0;
  #scene: Scene;
  readonly #clocks: { camera: DeviceClock; microphone: DeviceClock; wall: DeviceClock };
  readonly #failed: (error: unknown) => void;

  /** Makes all ready. @param failed told once when sending fails */
  constructor(options: RtcPublishOptions, failed: (error: unknown) => void) {
    this.#options = options;
    this.#failed = failed;
    this.#scene = { width: options.width, height: options.height };
    const zeroUs = wallUs();
    const { camera = 0, microphone = 0, wall = 0 } = options.skewPpm ?? {};
    this.#clocks = {
      camera: new DeviceClock(camera, zeroUs),
      microphone: new DeviceClock(microphone, zeroUs),
      wall: new DeviceClock(wall, zeroUs),
    };
    this.#source = options.loop ? new LoopSource(options) : new LiveSource(options, this.#clocks.microphone);
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
      audio.addOpusCodec(
        sound.payloadType,
        `minptime=10;useinbandfec=1${options.mono ? '' : ';stereo=1;sprop-stereo=1'}`,
      );
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
      resends: !options.neverResendsSound,
    });
  }

  /** Connects and begins to send. Rejects with an Error when the server refuses or no connection comes about. */
  async join(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      this.vanish();
      throw error;
    }
    this.#send();
  }

  obey(command: PublisherCommand): void {
    switch (command.does) {
      case 'pause':
        this.#paused = true;
        return;
      case 'resume':
        this.#paused = false;
        break;
      case 'mute':
        this.#muted[command.kind] = true;
        this.#mutedUs[command.kind] = wallUs();
        return;
      case 'unmute':
        this.#muted[command.kind] = false;
        if (this.#options.mutesStall) this.#forget(command.kind, wallUs() - this.#mutedUs[command.kind]);
        break;
      case 'show':
        this.#source.show(command.scene);
        this.#scene = command.scene;
        break;
      case 'restart':
        this.#video.restart();
        this.#audio.restart();
        break;
      case 'vanish':
        this.vanish();
        return;
      case 'join':
      case 'stop':
        throw new Error(`${command.does} takes its time`);
    }
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

  #forget(kind: 'audio' | 'video', us: number): void {
    if (kind === 'audio') this.#audio.forget(Math.round((us * this.#audioRate) / 1e6));
    else this.#video.forget(Math.round((us * 90000) / 1e6));
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
    const offer = withOrientation(this.#pc.localDescription()?.sdp ?? '');
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

  #send(): void {
    const { fps, reportsAfterS = 0, videoLateMs = 0 } = this.#options;
    const { camera, microphone } = this.#clocks;
    const guard = (send: () => void, kind?: 'audio' | 'video') => {
      try {
        if (!this.#paused && !(kind && this.#muted[kind])) send();
      } catch (error) {
        this.#pace?.stop();
        this.#failed(error);
      }
    };
    const reportsFromUs = reportsAfterS === 'never' ? Number.POSITIVE_INFINITY : wallUs() + reportsAfterS * 1e6;
    this.#pace = startPace({
      fps,
      blockSamples: this.#source.blockSamples,
      camera,
      microphone,
      onFrame: (n) =>
        guard(() => {
          const { everyNth = 1, turn } = this.#scene;
          // The first picture of a scene comes at once.
          if (n % everyNth !== 0 && !this.#wantsKeyFrame) return;
          const keyFrame = this.#wantsKeyFrame;
          this.#wantsKeyFrame = false;
          const data = this.#source.frame(n, camera.wallUs((n * 1e6) / fps), keyFrame);
          const send = () => {
            for (const unit of data) this.#video.send(unit, Math.round((n * 90000) / fps), turn);
          };
          if (videoLateMs > 0) setTimeout(() => guard(send, 'video'), videoLateMs);
          else send();
        }, 'video'),
      onSound: (startSample) =>
        guard(() => {
          for (const { data, pts } of this.#source.sound(startSample))
            this.#audio.send(data, Math.round((pts * this.#audioRate) / SOUND_RATE));
        }, 'audio'),
      onTick: (nowUs) =>
        guard(() => {
          if (nowUs < reportsFromUs || nowUs - this.#reportedUs < REPORT_EVERY_US) return;
          this.#reportedUs = nowUs;
          this.#report(nowUs);
        }),
    });
  }

  /** Each track's own clock against the one that the sender tells the time by. */
  #report(nowUs: number): void {
    const { camera, microphone, wall } = this.#clocks;
    const told = Math.round(wall.deviceUs(nowUs));
    if (!this.#muted.video) this.#video.report(told, Math.round((camera.deviceUs(nowUs) * 90000) / 1e6));
    if (!this.#muted.audio) this.#audio.report(told, Math.round((microphone.deviceUs(nowUs) * this.#audioRate) / 1e6));
  }
}

/** Offers to say how pictures are turned. */
function withOrientation(offer: string): string {
  return offer.replace(/^a=mid:0\r?\n/m, (line) => `${line}a=extmap:${ORIENTATION_ID} urn:3gpp:video-orientation\r\n`);
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
