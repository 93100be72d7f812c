/**
 * StayPictures: the pictures of one user during one stay. Samples are decoded when the picture clock reaches them, and
 * those that a key frame makes needless are not decoded. No damaged picture is shown: the last good one is held.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { Orientation, Picture } from '../../media/frame.ts';
import type { VideoCodec } from '../../media/track.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import { type CastStay, slicesFrom } from './cast.ts';
import { type ReadSlice, SampleStream, type StreamSample } from './sample-stream.ts';

/**
 * How many samples may wait in case a key frame makes them needless; when more wait they are decoded, so that the queue
 * stays small.
 */
const MAX_WAITING = 300;
/**
 * By this many samples, and this much time, after a picture went in, a decoder has handed it over (H.264 A.3.1, level
 * limits).
 */
const MAX_REORDER = 16;
const MAX_REORDER_US = US;
/** A manifest tells in whole milliseconds when a shape begins. */
const SHAPE_SLACK_US = 1000;

type Waiting = { sample: SliceSample; orientation: Orientation };

export class StayPictures {
  readonly #sinceUs: RecordingUs;
  readonly #stream: SampleStream;
  #decoder: VideoDecoder | undefined;
  #waiting: Waiting[] = [];
  /** Times of the pictures in the decoder. */
  #fed: number[] = [];
  /** Decoded and not yet due: with B-frames some come early. */
  #ahead: { picture: Picture; ptsUs: RecordingUs }[] = [];
  #latest: Picture | undefined;
  /** Nothing can be decoded before the next key frame. */
  #broken = true;
  #damaged = 0;

  /** @param fromUs where in the recording the mix begins */
  constructor(stay: CastStay, fromUs: RecordingUs, read: ReadSlice, onProblem: (what: string) => void) {
    this.#sinceUs = stay.sinceUs;
    this.#stream = new SampleStream(slicesFrom(stay.slices, Math.max(fromUs, stay.joinedUs)), read, onProblem);
  }

  /** How many pictures so far were damaged and not shown. */
  get damaged(): number {
    return this.#damaged;
  }

  /**
   * The last good picture that came due by `shownUs`; undefined before the first. This object owns it; it is valid
   * until the next call.
   */
  async pictureAt(shownUs: RecordingUs): Promise<Picture | undefined> {
    for (;;) {
      const next = await this.#stream.take(shownUs);
      if (!next) break;
      this.#enqueue(next);
      if (this.#waiting.length >= MAX_WAITING) this.#decodeWaiting(shownUs);
    }
    this.#decodeWaiting(shownUs);
    await this.#readAhead(shownUs);
    if (this.#stream.ended && this.#decoder) this.#endDecoder(shownUs);
    this.#promote(shownUs);
    return this.#latest;
  }

  async close(): Promise<void> {
    this.#waiting = [];
    this.#latest?.free();
    this.#latest = undefined;
    for (const { picture } of this.#ahead.splice(0)) picture.free();
    this.#decoder?.close();
    this.#decoder = undefined;
    await this.#stream.close();
  }

  /**
   * When pictures are decoded in another order than shown, the decoder hands one over only after later ones went in.
   */
  async #readAhead(shownUs: RecordingUs): Promise<void> {
    for (let n = 0; n < MAX_REORDER && this.#fed.some((ptsUs) => ptsUs <= shownUs); n++) {
      const next = await this.#stream.take(shownUs + MAX_REORDER_US);
      if (!next) return;
      this.#enqueue(next);
      this.#decodeWaiting(shownUs);
    }
  }

  #enqueue({ sample, slice, afterGap }: StreamSample): void {
    if (afterGap) this.#broken = true;
    const { keyFrame, ptsUs, codec } = sample;
    if (keyFrame) {
      this.#waiting = [];
      this.#broken = false;
    }
    if (this.#broken) return;
    if (!isVideo(codec)) return;
    const { rotate } = slice.shapes.findLast(({ atUs }) => atUs <= ptsUs + SHAPE_SLACK_US) ?? slice;
    // The manifest counts anticlockwise, as playlists do; pictures are turned clockwise.
    this.#waiting.push({ sample, orientation: { turn: ((360 - rotate) % 360) as Orientation['turn'], flip: false } });
  }

  #decodeWaiting(shownUs: RecordingUs): void {
    for (const { sample, orientation } of this.#waiting.splice(0)) {
      const codec = sample.codec as VideoCodec;
      if (this.#broken && !sample.keyFrame) continue;
      if (this.#decoder?.codec !== codec) {
        if (this.#decoder) this.#endDecoder(shownUs);
        this.#decoder = new VideoDecoder(codec);
      }
      const { undecodable } = this.#decoder;
      this.#fed.push(sample.ptsUs);
      this.#take(this.#decoder.decode({ data: sample.data, ptsUs: sample.ptsUs, orientation }), shownUs);
      if (this.#decoder.undecodable > undecodable) {
        this.#broken = true;
        this.#damaged++;
      }
      // A picture that cannot be decoded is not waited for.
      if (this.#broken) this.#fed = [];
    }
  }

  #endDecoder(shownUs: RecordingUs): void {
    if (!this.#decoder) return;
    this.#take(this.#decoder.flush(), shownUs);
    this.#decoder.close();
    this.#decoder = undefined;
    this.#fed = [];
  }

  #take(decoded: ReturnType<VideoDecoder['decode']>, shownUs: RecordingUs): void {
    for (const { picture, ptsUs, damaged } of decoded) {
      // Pictures come in display order: an earlier one that is not out never will be.
      this.#fed = this.#fed.filter((fedUs) => fedUs > ptsUs);
      if (damaged) {
        this.#broken = true;
        this.#damaged++;
      }
      if (damaged || ptsUs < this.#sinceUs) picture.free();
      else this.#ahead.push({ picture, ptsUs });
    }
    this.#promote(shownUs);
  }

  #promote(shownUs: RecordingUs): void {
    while (this.#ahead[0] && this.#ahead[0].ptsUs <= shownUs) {
      this.#latest?.free();
      this.#latest = this.#ahead.shift()?.picture;
    }
  }
}

function isVideo(codec: SliceSample['codec']): codec is VideoCodec {
  return codec === 'h264' || codec === 'vp8' || codec === 'vp9' || codec === 'av1';
}
