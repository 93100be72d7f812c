/**
 * Where a publisher's encoded media comes from: encoded as it is sent, or encoded once and repeated.
 */
import { AudioEncoder, VideoEncoder } from '../media/encode.ts';
import { G711Encoder } from '../media/g711.ts';
import { MadePicture, madeSound, SOUND_RATE } from '../media/made-media.ts';
import type { RtcPublishOptions } from './publisher.ts';

export type MediaSource = {
  /** Samples per block of sound. */
  readonly blockSamples: number;
  /** The access units of frame `n` since the Unix epoch. */
  frame(n: number, keyFrame: boolean): Buffer[];
  /**
   * The packets of the block at `startSample` since the Unix epoch, with the sample that each is stamped with. As
   * browsers do it, that is the first sample put in, so what comes out of Opus is late by its look-ahead (6.5 ms).
   */
  sound(startSample: number): { data: Buffer; pts: number }[];
  close(): void;
};

function videoEncoderOf(options: RtcPublishOptions): VideoEncoder {
  const { codec, width, height, fps, bitrateKbps, gopS = 1 } = options;
  return new VideoEncoder({ codec, width, height, fps, bitrateKbps, gopFrames: Math.round(gopS * fps) });
}
function audioEncoderOf({ audioCodec = 'opus' }: RtcPublishOptions): AudioEncoder | G711Encoder {
  if (audioCodec !== 'opus') return new G711Encoder(audioCodec);
  return new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
}

export class LiveSource implements MediaSource {
  readonly blockSamples: number;
  #options: RtcPublishOptions;
  #picture: MadePicture;
  #video: VideoEncoder;
  #audio: AudioEncoder | G711Encoder;
  #frames = 0;

  constructor(options: RtcPublishOptions) {
    this.#options = options;
    this.#picture = new MadePicture(options.participant, options);
    this.#video = videoEncoderOf(options);
    this.#audio = audioEncoderOf(options);
    this.blockSamples = this.#audio.frameSamples;
  }

  frame(n: number, keyFrame: boolean): Buffer[] {
    this.#picture.draw(Math.round((n * 1e6) / this.#options.fps));
    return this.#video.encode(this.#picture.i420, this.#frames++, keyFrame).map((e) => e.data);
  }

  sound(startSample: number): { data: Buffer; pts: number }[] {
    const mono = madeSound(this.#options.participant, startSample, this.blockSamples);
    return this.#audio.encode(mono, startSample).map(({ data }) => ({ data, pts: startSample }));
  }

  close(): void {
    this.#video.close();
    this.#audio.close();
  }
}

/** Two seconds, encoded once. Asked for a key frame it waits for the loop's next one: groups of pictures last half a second. */
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
      audio.encode(madeSound(participant, i * audio.frameSamples, audio.frameSamples), i * audio.frameSamples),
    );
    const kept = rounds.slice(perLoop);
    this.#blocks = kept.map((packets) => packets[0]?.data ?? Buffer.alloc(0));
    audio.close();
  }

  frame(n: number): Buffer[] {
    return this.#frames[n % this.#frames.length] as Buffer[];
  }

  sound(startSample: number): { data: Buffer; pts: number }[] {
    // The loop's blocks start on full 20 ms of wall time; a block asked for in between is the one that began before.
    const block = Math.floor(startSample / this.blockSamples);
    const data = this.#blocks[block % this.#blocks.length] as Buffer;
    return [{ data, pts: block * this.blockSamples }];
  }

  close(): void {}
}
