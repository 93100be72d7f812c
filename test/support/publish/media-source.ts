/**
 * Where a publisher's encoded media comes from: encoded as it is sent, or encoded once and repeated.
 */
import { AudioEncoder, VideoEncoder } from '../media/encode.ts';
import { G711Encoder } from '../media/g711.ts';
import { MadePicture, madeSound, SOUND_RATE, turnI420 } from '../media/made-media.ts';
import { BLACK } from '../media/participants.ts';
import type { DeviceClock } from './device-clock.ts';
import type { RtcPublishOptions } from './publisher.ts';
import type { Scene } from './scene.ts';

export type MediaSource = {
  /** Samples per block of sound. */
  readonly blockSamples: number;
  /**
   * What comes out of the encoder for frame `n` since the Unix epoch: access units in the order of decoding, each with
   * the frame that it shows, which is an earlier one where B-frames are sent.
   * @param contentUs the moment it shows, microseconds since the Unix epoch
   */
  frame(n: number, contentUs: number, keyFrame: boolean): { data: Buffer; n: number }[];
  /**
   * The packets of the block at `startSample` since the Unix epoch, with the sample that each is stamped with. As
   * browsers do it, that is the first sample put in, so what comes out of Opus is late by its look-ahead (6.5 ms).
   */
  sound(startSample: number): { data: Buffer; pts: number }[];
  /** From the next frame on another scene is shown. Throws an Error where there is only one. */
  show(scene: Scene): void;
  close(): void;
};

function videoEncoderOf(options: RtcPublishOptions): VideoEncoder {
  const { codec, width, height, fps, bitrateKbps, gopS = 1, bFrames = 0 } = options;
  return new VideoEncoder({ codec, width, height, fps, bitrateKbps, gopFrames: Math.round(gopS * fps), bFrames });
}
function audioEncoderOf({
  audioCodec = 'opus',
  dtx = false,
  mono = false,
}: RtcPublishOptions): AudioEncoder | G711Encoder {
  if (audioCodec !== 'opus') return new G711Encoder(audioCodec);
  return new AudioEncoder({ codec: 'opus', channels: mono ? 1 : 2, bitrateKbps: mono ? 32 : 64, dtx });
}

/** The moment that a still scene shows, past the flash of its second. */
const STILL_US = 500_000;
/** Opus of silence with DTX is so long; senders leave it out. */
const DTX_BYTES = 2;

export class LiveSource implements MediaSource {
  readonly blockSamples: number;
  #options: RtcPublishOptions;
  #microphone: DeviceClock;
  #scene: Scene;
  #picture: MadePicture;
  #black: Buffer | undefined;
  #video: VideoEncoder;
  #audio: AudioEncoder | G711Encoder;
  #frames = 0;
  /** Frames since the Unix epoch that are in the encoder, by its own count. */
  readonly #encoding = new Map<number, number>();

  constructor(options: RtcPublishOptions, microphone: DeviceClock) {
    this.#options = options;
    this.#microphone = microphone;
    this.#scene = options;
    this.#picture = new MadePicture(options.participant, options);
    this.#video = videoEncoderOf(options);
    this.#audio = audioEncoderOf(options);
    this.blockSamples = this.#audio.frameSamples;
  }

  frame(n: number, contentUs: number, keyFrame: boolean): { data: Buffer; n: number }[] {
    const { width, height, turn = 0, still = false } = this.#scene;
    if (!this.#black) this.#picture.draw(still ? STILL_US : Math.round(contentUs));
    // Sent the other way round, so that it stands upright once a receiver has turned it.
    const back = ((360 - turn) % 360) as 0 | 90 | 180 | 270;
    const i420 = turnI420(this.#black ?? this.#picture.i420, width, height, back);
    this.#encoding.set(this.#frames, n);
    return this.#video.encode(i420, this.#frames++, keyFrame).map(({ data, pts }) => {
      const shown = this.#encoding.get(pts) as number;
      this.#encoding.delete(pts);
      return { data, n: shown };
    });
  }

  sound(startSample: number): { data: Buffer; pts: number }[] {
    const { participant, level = 1, dtx = false } = this.#options;
    const start = this.#microphone.trueSample(startSample, SOUND_RATE);
    const options = { level, rate: this.#microphone.trueSeconds, quiet: dtx };
    const mono = madeSound(participant, start, this.blockSamples, options);
    const packets = this.#audio.encode(mono, startSample).map(({ data }) => ({ data, pts: startSample }));
    return dtx ? packets.filter(({ data }) => data.length > DTX_BYTES) : packets;
  }

  show(scene: Scene): void {
    const before = sentSize(this.#scene);
    const now = sentSize(scene);
    this.#scene = scene;
    this.#picture = new MadePicture(this.#options.participant, { ...this.#options, ...scene });
    this.#black = undefined;
    if (scene.black) {
      this.#black = Buffer.alloc((scene.width * scene.height * 3) / 2, BLACK.u);
      this.#black.fill(BLACK.y, 0, scene.width * scene.height);
    }
    if (before.width === now.width && before.height === now.height) return;
    this.#video.close();
    this.#video = videoEncoderOf({ ...this.#options, ...now });
    this.#frames = 0;
    this.#encoding.clear();
  }

  close(): void {
    this.#video.close();
    this.#audio.close();
  }
}

/** The size of the picture as it is encoded. */
function sentSize({ width, height, turn = 0 }: Scene): { width: number; height: number } {
  return turn === 90 || turn === 270 ? { width: height, height: width } : { width, height };
}

/**
 * Two seconds, encoded once. Asked for a key frame it waits for the loop's next one: groups of pictures last half a
 * second.
 */
export class LoopSource implements MediaSource {
  readonly blockSamples: number;
  #frames: Buffer[][];
  #blocks: Buffer[];

  constructor(options: RtcPublishOptions) {
    const { fps, participant } = options;
    const picture = new MadePicture(participant, options);
    const video = videoEncoderOf({ ...options, gopS: 0.5 });
    this.#frames = Array.from({ length: 2 * fps }, (_, n) => {
      picture.draw(Math.round((n * 1e6) / fps));
      return video.encode(picture.i420, n).map((e) => e.data);
    });
    video.close();
    const audio = audioEncoderOf(options);
    this.blockSamples = audio.frameSamples;
    const perLoop = (2 * SOUND_RATE) / audio.frameSamples;
    // The second round is kept: its first packets follow on from sound, as they will in the loop.
    const rounds = Array.from({ length: 2 * perLoop }, (_, i) =>
      audio.encode(
        madeSound(participant, i * audio.frameSamples, audio.frameSamples, { level: options.level ?? 1 }),
        i * audio.frameSamples,
      ),
    );
    const kept = rounds.slice(perLoop);
    this.#blocks = kept.map((packets) => packets[0]?.data ?? Buffer.alloc(0));
    audio.close();
  }

  frame(n: number): { data: Buffer; n: number }[] {
    return (this.#frames[n % this.#frames.length] as Buffer[]).map((data) => ({ data, n }));
  }

  sound(startSample: number): { data: Buffer; pts: number }[] {
    // The loop's blocks start on full 20 ms of wall time; a block asked for in between is the one that began before.
    const block = Math.floor(startSample / this.blockSamples);
    const data = this.#blocks[block % this.#blocks.length] as Buffer;
    return [{ data, pts: block * this.blockSamples }];
  }

  show(): void {
    throw new Error('a loop shows one scene only');
  }

  close(): void {}
}
