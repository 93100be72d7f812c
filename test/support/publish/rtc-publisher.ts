/**
 * Publisher B: made media sent by a node-datachannel client with packets, sender reports and retransmission of our own
 * making. It answers a PLI with a key frame and a NACK with the packet, and can misbehave on purpose.
 */
import nodeDataChannel from 'node-datachannel';
import { RID } from '../../../src/channel/whip/extensions.ts';
import type { AudioCodec, TrackFormat } from '../../../src/media/track.ts';
import { SOUND_RATE } from '../media/made-media.ts';
import { DeviceClock } from './device-clock.ts';
import { LiveSource, LoopSource, type MediaSource } from './media-source.ts';
import { ORIENTATION_ID, OutgoingTrack, RID_ID, randomSsrc } from './outgoing-track.ts';
import { startPace, wallUs } from './pace.ts';
import { sentTo, withoutCandidates } from './proxied-sdp.ts';
import type { ClockStep, PublisherCommand, RtcPublishOptions } from './publisher.ts';
import type { Scene } from './scene.ts';

type PeerConnection = InstanceType<typeof nodeDataChannel.PeerConnection>;

const AUDIO: Record<AudioCodec, TrackFormat> = {
  opus: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
  pcmu: { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' },
  pcma: { kind: 'audio', codec: 'pcma', payloadType: 8, clockRate: 8000, channels: 1, fmtp: '' },
};
const VIDEO_TYPE = 96;
const REPORT_EVERY_US = 1_000_000;
/** Names of a simulcast's layers, the larger first, as they are offered. */
const RIDS = ['h', 'l'] as const;

/** One picture that is sent, of a size of its own. */
type Layer = { source: MediaSource; track: OutgoingTrack; wantsKeyFrame: boolean };
/** Sends unless this kind is muted, and tells of what goes wrong. */
type Guard = (send: () => void, kind?: 'audio' | 'video') => void;

/** The server has answered, and does not take the publisher. */
export class Refusal extends Error {}

export class RtcPublisher {
  #pc: PeerConnection;
  #options: RtcPublishOptions;
  #session = '';
  /** Addresses of the other nodes, where its server is one of a fleet. */
  #nodes: string[] = [];
  /** When the server was heard last. */
  #heardUs = 0;
  /** Where sound comes from, and the picture of the first layer. */
  #source: MediaSource;
  /** One, or those of a simulcast, the largest first. */
  #layers: Layer[];
  #isUpperPadded = false;
  #audio: OutgoingTrack;
  /** Ticks per second of the sound's timestamps. */
  #audioRate: number;
  #pace: { stop(): void } | undefined;
  #paused = false;
  #muted = { audio: false, video: false };
  /** When each was muted last. */
  #mutedUs = { audio: 0, video: 0 };
  #reportedUs = 0;
  /** How far the clock that sender reports tell the time by was put forward. */
  #wallStepUs = 0;
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
    const audioSsrc = randomSsrc();
    const rids = options.simulcast ? RIDS : [undefined];
    const videoSsrcs = rids.map(randomSsrc);
    const video = new nodeDataChannel.Video('0', 'SendOnly');
    addVideoCodec(video, options.codec);
    for (const ssrc of videoSsrcs) video.addSSRC(ssrc, options.participant.name, 'made', 'video');
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
    const pictures = this.#pc.addTrack(video);
    this.#layers = rids.map((rid, n) => {
      const track = new OutgoingTrack(
        pictures,
        { kind: 'video', codec: options.codec, payloadType: VIDEO_TYPE, clockRate: 90000, fmtp: '' },
        {
          ssrc: videoSsrcs[n] as number,
          offset: offset?.video ?? randomSsrc(),
          lossRate: loss,
          onKeyFrameWanted: () => {
            layer.wantsKeyFrame = true;
          },
          ...(rid !== undefined && { rid }),
        },
      );
      const source = n === 0 ? this.#source : new LiveSource(halved(options), this.#clocks.microphone);
      const layer: Layer = { source, track, wantsKeyFrame: true };
      return layer;
    });
    pictures.onMessage((message) => {
      this.#heardUs = wallUs();
      for (const { track } of this.#layers) track.onFeedback(message);
    });
    const sounds = this.#pc.addTrack(audio);
    sounds.onMessage((message) => {
      this.#heardUs = wallUs();
      this.#audio.onFeedback(message);
    });
    this.#audio = new OutgoingTrack(sounds, sound, {
      ssrc: audioSsrc,
      offset: offset?.audio ?? randomSsrc(),
      lossRate: loss,
      resends: !options.neverResendsSound,
    });
  }

  /** How long nothing has come from the server; 0 before anything has. */
  get silentMs(): number {
    return this.#heardUs === 0 ? 0 : (wallUs() - this.#heardUs) / 1000;
  }
  /** The id of its session, as it tells the next server whom that replaces; '' before there is one. */
  get sessionId(): string {
    return (this.#session.split('/').at(-1) ?? '').split('.')[0] ?? '';
  }
  /** Where its session is. */
  get origin(): string {
    return new URL(this.#session || this.#options.url).origin;
  }
  get nodes(): readonly string[] {
    return this.#nodes;
  }

  /**
   * Connects and begins to send. Rejects with an Error when the server refuses or no connection comes about.
   * @param answerMs how long the server may take to answer @param connectMs and how long the connection may take then
   */
  async join(answerMs = 10_000, connectMs = 10_000): Promise<void> {
    try {
      await this.#connect(answerMs, connectMs);
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
        this.#show(command.scene);
        break;
      case 'restart':
        for (const { track } of this.#layers) track.restart();
        this.#audio.restart();
        break;
      case 'stepClock':
        this.#stepClock(command);
        return;
      case 'padUpperLayer':
      case 'fillUpperLayer':
        if (this.#layers.length === 1) throw new Error(`${command.does} is for a simulcast`);
        this.#isUpperPadded = command.does === 'padUpperLayer';
        break;
      case 'vanish':
        this.vanish();
        return;
      case 'join':
      case 'stop':
        throw new Error(`${command.does} takes its time`);
    }
    for (const layer of this.#layers) layer.wantsKeyFrame = true;
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
    for (const { source } of this.#layers) source.close();
    this.#pc.close();
  }

  #forget(kind: 'audio' | 'video', us: number): void {
    if (kind === 'audio') this.#audio.forget(Math.round((us * this.#audioRate) / 1e6));
    else for (const { track } of this.#layers) track.forget(Math.round((us * 90000) / 1e6));
  }

  /** A clock that is put forward leaves time out, as one that stands still forgets it. */
  #stepClock({ clock, byS }: ClockStep): void {
    if (clock === 'wall') this.#wallStepUs += byS * 1e6;
    else this.#forget(clock === 'camera' ? 'video' : 'audio', -byS * 1e6);
  }

  #show(scene: Scene): void {
    this.#layers.forEach(({ source }, n) => {
      source.show(n === 0 ? scene : halved(scene));
    });
    this.#scene = scene;
  }

  #authorization(): Record<string, string> {
    return this.#options.token ? { authorization: `Bearer ${this.#options.token}` } : {};
  }

  async #connect(answerMs: number, connectMs: number): Promise<void> {
    const gathered = new Promise<void>((resolve) => {
      this.#pc.onGatheringStateChange((state) => {
        if (state === 'complete') resolve();
      });
    });
    this.#pc.setLocalDescription('offer');
    await gathered;
    const connected = new Promise<void>((resolve, reject) => {
      const limitMs = answerMs + connectMs;
      const timer = setTimeout(() => reject(new Error(`no connection within ${limitMs} ms`)), limitMs);
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
    const oriented = withOrientation(this.#pc.localDescription()?.sdp ?? '');
    const offer = this.#options.simulcast ? withLayers(oriented) : oriented;
    const answer = await fetch(this.#options.url, {
      method: 'POST',
      headers: { 'content-type': 'application/sdp', ...this.#authorization() },
      body: via ? withoutCandidates(offer) : offer,
      signal: AbortSignal.timeout(answerMs),
    });
    const text = await answer.text();
    if (answer.status !== 201) throw new Refusal(`the server answers ${answer.status}: ${text}`);
    this.#session = new URL(answer.headers.get('location') ?? '', answer.url).href;
    this.#nodes = (answer.headers.get('aircheck-nodes') ?? '').split(' ').filter(Boolean);
    this.#pc.setRemoteDescription(via ? sentTo(via, text) : text, 'answer');
    await connected;
  }

  #send(): void {
    const { fps, reportsAfterS = 0 } = this.#options;
    const { camera, microphone } = this.#clocks;
    const guard: Guard = (send, kind) => {
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
          // The first picture of a scene comes at once.
          const isDue = n % (this.#scene.everyNth ?? 1) === 0 || this.#layers.some((layer) => layer.wantsKeyFrame);
          if (!isDue) return;
          this.#layers.forEach((layer, place) => {
            if (place === 0 && this.#isUpperPadded) layer.track.pad();
            else this.#sendPicture(layer, n, guard);
          });
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

  #sendPicture(layer: Layer, n: number, guard: Guard): void {
    const { fps, videoLateMs = 0 } = this.#options;
    const { turn } = this.#scene;
    const keyFrame = layer.wantsKeyFrame;
    layer.wantsKeyFrame = false;
    const units = layer.source.frame(n, this.#clocks.camera.wallUs((n * 1e6) / fps), keyFrame);
    const send = () => {
      for (const unit of units) layer.track.send(unit.data, Math.round((unit.n * 90000) / fps), turn);
    };
    if (videoLateMs > 0) setTimeout(() => guard(send, 'video'), videoLateMs);
    else send();
  }

  /** Each track's own clock against the one that the sender tells the time by. */
  #report(nowUs: number): void {
    const { camera, microphone, wall } = this.#clocks;
    const told = Math.round(wall.deviceUs(nowUs) + this.#wallStepUs);
    if (!this.#muted.video)
      for (const { track } of this.#layers) track.report(told, Math.round((camera.deviceUs(nowUs) * 90000) / 1e6));
    if (!this.#muted.audio) this.#audio.report(told, Math.round((microphone.deviceUs(nowUs) * this.#audioRate) / 1e6));
  }
}

/** Offers to say how pictures are turned. */
function withOrientation(offer: string): string {
  return offer.replace(/^a=mid:0\r?\n/m, (line) => `${line}a=extmap:${ORIENTATION_ID} urn:3gpp:video-orientation\r\n`);
}

/** Offers two layers of the picture, told apart by rid (RFC 8853). */
function withLayers(offer: string): string {
  const lines = [
    `a=extmap:${RID_ID} ${RID}`,
    ...RIDS.map((rid) => `a=rid:${rid} send`),
    `a=simulcast:send ${RIDS.join(';')}`,
  ];
  return offer.replace(/^a=mid:0\r?\n/m, (line) => line + lines.map((each) => `${each}\r\n`).join(''));
}

/** The same picture at half its width and height; a quarter of the bits, where it says how many. */
function halved<T extends { width: number; height: number; bitrateKbps?: number }>(picture: T): T {
  const { width, height, bitrateKbps } = picture;
  const bits = bitrateKbps === undefined ? {} : { bitrateKbps: bitrateKbps / 4 };
  return { ...picture, width: width / 2, height: height / 2, ...bits };
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
