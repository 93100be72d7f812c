/**
 * H.264 encoder (libx264, without B-frames). Access units are Annex B with SPS and PPS in band before every IDR; the
 * same SPS and PPS are known from the start as `extradata`, for writers that need them in a header. How much work goes
 * into a picture can change while it runs, and the SPS and PPS stay the same. Encoding runs on the thread pool, one
 * call at a time.
 */
import { AV_PICTURE_TYPE_I, AV_PICTURE_TYPE_NONE, AVERROR_EAGAIN, AVERROR_EOF } from 'node-av/constants';
import type { CodecContext, Packet } from 'node-av/lib';
import { invariant } from '../../kernel/fault.ts';
import type { Picture } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { forgetChanged, type Part, tellChanged } from './changed-parts.ts';
import type { ColorTags } from './color-tags.ts';
import { freePacket, newPacket } from './native-frames.ts';
import { nativeOf } from './picture-pool.ts';
import { check, type Effort, openX264, parameterSetsOf, setDetail, USUAL_EFFORT, type X264Options } from './x264.ts';

export type VideoEncoderOptions = X264Options & {
  /** How much work goes into a picture, until `setEffort` says otherwise. */
  effort?: Effort;
};

export class VideoEncoder {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** SPS and PPS, Annex B. */
  readonly extradata: Buffer;
  /** The colours that the parameter sets tell; containers tell the same. */
  readonly color: ColorTags;
  readonly #options: X264Options;
  #context: CodecContext;
  /** As much as goes into a picture now, and from the next picture on where it can change. */
  #effort: Effort;
  #nextEffort: Effort;
  #packet: Packet;
  #lastIndex = -1;
  #lastKeyIndex = -1;
  #nextKeyIndex = 0;
  #busy = false;
  #closed = false;

  /** Throws a Fault when x264 refuses the options. */
  constructor(options: VideoEncoderOptions) {
    this.width = options.width;
    this.height = options.height;
    this.fps = options.fps;
    this.#options = options;
    this.#effort = options.effort ?? USUAL_EFFORT;
    this.#nextEffort = this.#effort;
    this.#context = openX264(options, this.#effort);
    const extradata = this.#context.extraData;
    invariant(extradata, 'x264 gave no parameter sets');
    this.extradata = Buffer.from(extradata);
    const { colorRange, colorSpace, colorPrimaries, colorTrc } = this.#context;
    this.color = { colorRange, colorSpace, colorPrimaries, colorTrc };
    this.#packet = newPacket();
  }

  /**
   * So much work goes into pictures from the next one on that this can begin with. Another preset begins with a key
   * frame.
   */
  setEffort(effort: Effort): void {
    this.#nextEffort = effort;
  }

  /**
   * Encodes one canvas as frame `frameIndex`, larger than the last; indexes may be left out. Resolves with the finished
   * units, in order: with lookahead they belong to earlier frames. The canvas is shared while it is read, so the caller
   * may free it at once. Await each call before the next.
   * @param options.changed where the canvas may differ from that of the call before, if that is known: the rest is not
   * looked at again
   */
  async encode(
    canvas: Picture,
    frameIndex: number,
    options: { keyFrame?: boolean; changed?: readonly Part[] | undefined } = {},
  ): Promise<EncodedSample[]> {
    invariant(!this.#closed && !this.#busy, 'one call of a video encoder at a time, and none after close');
    invariant(frameIndex > this.#lastIndex, `frame ${frameIndex} came after frame ${this.#lastIndex}`);
    const picture = nativeOf(canvas).share();
    this.#busy = true;
    try {
      const before = await this.#changeEffort();
      const { keyIntervalFrames } = this.#options;
      const keyFrame = before !== undefined || options.keyFrame === true || frameIndex >= this.#nextKeyIndex;
      if (frameIndex >= this.#nextKeyIndex)
        this.#nextKeyIndex = (Math.floor(frameIndex / keyIntervalFrames) + 1) * keyIntervalFrames;
      this.#lastIndex = frameIndex;
      if (keyFrame) this.#lastKeyIndex = frameIndex;
      const { frame } = picture;
      frame.pts = BigInt(frameIndex);
      frame.pictType = keyFrame ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
      if (options.changed) tellChanged(frame, options.changed);
      try {
        check(await this.#context.sendFrame(frame), 'encoding a frame');
      } finally {
        // The canvas may be shown again, or drawn on and encoded again.
        if (options.changed) forgetChanged(frame);
      }
      // sendFrame did the work; this only fetches the result.
      return [...(before ?? []), ...this.#fetch()];
    } finally {
      picture.free();
      this.#idle();
    }
  }

  /** Ends the stream and resolves with everything that was held back. Only `close` may follow. */
  async flush(): Promise<EncodedSample[]> {
    invariant(!this.#closed && !this.#busy, 'one call of a video encoder at a time, and none after close');
    this.#busy = true;
    try {
      return await this.#drain();
    } finally {
      this.#idle();
    }
  }

  /** Frees the encoder; a call that is still running ends first. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#busy) this.#free();
  }

  /**
   * Turns to the effort that was asked for last. Resolves to what the encoder until then held back when another one
   * goes on, and to undefined when the same does.
   */
  async #changeEffort(): Promise<EncodedSample[] | undefined> {
    const next = this.#nextEffort;
    if (next === this.#effort) return undefined;
    if (next.preset === this.#effort.preset) {
      setDetail(this.#context, this.#options, next.detail);
      this.#effort = next;
      return undefined;
    }
    // Two key frames in a row may not have the same number (idr_pic_id, H.264 §7.4.3), and each encoder's first has 0.
    if (this.#lastIndex >= 0 && this.#lastKeyIndex === this.#lastIndex) return undefined;
    const context = openX264(this.#options, next);
    try {
      invariant(
        parameterSetsOf(context).equals(parameterSetsOf(this.#context)),
        `x264's ${next.preset} has other parameter sets than its ${this.#effort.preset}`,
      );
      const samples = await this.#drain();
      this.#context.freeContext();
      this.#context = context;
      this.#effort = next;
      return samples;
    } catch (error) {
      context.freeContext();
      throw error;
    }
  }

  /** Ends the context's stream and resolves to all that it held back. */
  async #drain(): Promise<EncodedSample[]> {
    if (this.#lastIndex < 0) return [];
    check(await this.#context.sendFrame(null), 'ending the video');
    const samples: EncodedSample[] = [];
    for (;;) {
      const result = await this.#context.receivePacket(this.#packet);
      if (result === AVERROR_EOF) return samples;
      check(result, 'reading an encoded frame');
      samples.push(this.#takeSample());
    }
  }

  #idle(): void {
    this.#busy = false;
    if (this.#closed) this.#free();
  }

  #free(): void {
    freePacket(this.#packet);
    this.#context.freeContext();
  }

  #fetch(): EncodedSample[] {
    const samples: EncodedSample[] = [];
    for (;;) {
      const result = this.#context.receivePacketSync(this.#packet);
      if (result === AVERROR_EAGAIN) return samples;
      check(result, 'reading an encoded frame');
      samples.push(this.#takeSample());
    }
  }

  #takeSample(): EncodedSample {
    const packet = this.#packet;
    const { data } = packet;
    invariant(data, 'an encoded frame has data');
    const index = Number(packet.pts);
    const ptsUs = this.#timeUs(index);
    const sample: EncodedSample = {
      kind: 'video',
      ptsUs,
      dtsUs: this.#timeUs(Number(packet.dts)),
      durationUs: this.#timeUs(index + 1) - ptsUs,
      keyFrame: packet.isKeyframe,
      data: Buffer.from(packet.isKeyframe ? withoutLeadingSei(data) : data),
    };
    packet.unref();
    return sample;
  }

  #timeUs(index: number): number {
    return Math.round((index * 1_000_000) / this.fps);
  }
}

/** The first unit begins with an SEI about x264's settings, where strict readers expect the SPS. */
function withoutLeadingSei(unit: Buffer): Buffer {
  if (nalTypeAt(unit, 0) !== 6) return unit;
  const next = unit.indexOf(Buffer.from([0, 0, 1]), 4);
  if (next < 0) return unit;
  const start = unit[next - 1] === 0 ? next - 1 : next;
  return nalTypeAt(unit, start) === 7 ? unit.subarray(start) : unit;
}

function nalTypeAt(unit: Buffer, start: number): number {
  const header = unit.readUInt32BE(start) === 1 ? start + 4 : start + 3;
  return unit.readUInt8(header) & 0x1f;
}
