/**
 * FirstPictures: makes a stretch of a composite begin with its very first picture. What lies between that and the next
 * key frame is decoded and encoded anew, as the recorder would have encoded it, so that the stream goes on with the
 * same parameter sets. Not all players hide what an edit list says is to be hidden (ADR 0031).
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { NativePicture } from '../../stages/codec/picture-pool.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { VideoEncoder } from '../../stages/codec/video-encoder.ts';
import { parameterSetsOf } from '../../stages/mux/bitstream.ts';
import type { VideoStream } from '../../stages/mux/stream.ts';
import { KEY_INTERVAL_S } from '../mix/mix-output.ts';

export type FirstPicturesOptions = {
  /** The stream, as its key frames tell it. */
  video: Pick<VideoStream, 'width' | 'height' | 'extradata'>;
  /** How the recorder encodes. */
  coding: { fps: number; bitrateKbps: number };
  fromUs: StreamUs;
  toUs: StreamUs;
};

const THREADS = 2;
/** A key frame this close to the beginning is the beginning. */
const SAME_US = 1000;

export class FirstPictures {
  readonly #o: FirstPicturesOptions;
  readonly #encoder: VideoEncoder;
  /** From the last key frame before the stretch on; undefined once pictures are passed on as they come. */
  #held: EncodedSample[] | undefined = [];

  /** Undefined where the encoder would not go on with the stream's parameter sets, as with another version's. */
  static open(options: FirstPicturesOptions): FirstPictures | undefined {
    const { video, coding } = options;
    const encoder = new VideoEncoder({
      ...{ width: video.width, height: video.height, ...coding, threads: THREADS },
      keyIntervalFrames: coding.fps * KEY_INTERVAL_S,
    });
    if (video.extradata && parameterSetsOf(encoder.extradata).equals(parameterSetsOf(video.extradata)))
      return new FirstPictures(options, encoder);
    encoder.close();
    return undefined;
  }

  private constructor(options: FirstPicturesOptions, encoder: VideoEncoder) {
    this.#o = options;
    this.#encoder = encoder;
  }

  /** Takes the next picture in its order, and returns those that are to be written, in order. */
  async take(sample: EncodedSample): Promise<EncodedSample[]> {
    const { fromUs, toUs } = this.#o;
    if (!this.#held) return [sample];
    const { keyFrame, ptsUs } = sample;
    const begins = keyFrame && (this.#held.length === 0 ? ptsUs > fromUs : Math.abs(ptsUs - fromUs) < SAME_US);
    if (begins) {
      this.#held = undefined;
      return [sample];
    }
    if ((keyFrame && ptsUs > fromUs) || ptsUs >= toUs) {
      const anew = await this.#encode(Math.min(ptsUs, toUs));
      return ptsUs >= toUs ? anew : [...anew, sample];
    }
    if (keyFrame) this.#held = [];
    // Without its key frame it cannot be decoded.
    if (this.#held.length > 0 || keyFrame) this.#held.push(sample);
    return [];
  }

  /** No more pictures come: returns those that are still to be written. */
  finish(): Promise<EncodedSample[]> {
    return this.#encode(this.#o.toUs);
  }

  close(): void {
    this.#encoder.close();
  }

  /** What is held, from the picture that is shown where the stretch begins on, encoded anew. */
  async #encode(untilUs: StreamUs): Promise<EncodedSample[]> {
    const held = this.#held ?? [];
    this.#held = undefined;
    if (held.length === 0) return [];
    const decoder = new VideoDecoder('h264');
    const line = new EncodedLine(this.#encoder);
    let shown: NativePicture | undefined;
    try {
      for (let n = 0; n <= held.length; n++) {
        const unit = held[n];
        for (const { picture, ptsUs } of unit ? decoder.decode(unit) : decoder.flush()) {
          // The one before is shown where the stretch begins, and nothing of it was encoded yet.
          if (shown && ptsUs > this.#o.fromUs && line.isEmpty) await line.add(shown, this.#o.fromUs);
          if (ptsUs > this.#o.fromUs) await line.add(picture, ptsUs);
          shown?.free();
          shown = picture;
        }
      }
      if (shown && line.isEmpty) await line.add(shown, this.#o.fromUs);
      // Two key frames in a row might have the same number (idr_pic_id, H.264 §7.4.3).
      if (shown && line.count === 1) await line.add(shown, Math.round((this.#o.fromUs + untilUs) / 2));
      return await line.finish(untilUs);
    } finally {
      shown?.free();
      decoder.close();
    }
  }
}

/** Encodes pictures one after the other, and gives each its place. */
class EncodedLine {
  readonly #encoder: VideoEncoder;
  readonly #places: StreamUs[] = [];
  readonly #encoded: EncodedSample[] = [];

  constructor(encoder: VideoEncoder) {
    this.#encoder = encoder;
  }

  get count(): number {
    return this.#places.length;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  async add(picture: NativePicture, ptsUs: StreamUs): Promise<void> {
    this.#places.push(ptsUs);
    this.#encoded.push(...(await this.#encoder.encode(picture, this.count - 1)));
  }

  /** @param untilUs how long the last one is shown */
  async finish(untilUs: StreamUs): Promise<EncodedSample[]> {
    this.#encoded.push(...(await this.#encoder.flush()));
    return this.#encoded.map((sample, n) => {
      const ptsUs = this.#places[n] ?? untilUs;
      return { ...sample, ptsUs, dtsUs: ptsUs, durationUs: (this.#places[n + 1] ?? untilUs) - ptsUs };
    });
  }
}
