/**
 * VP9 payloads to frames: the payload descriptor is removed and the rest is joined (RFC 9628 §4). The spatial layers of
 * one picture become a superframe (VP9 bitstream specification, annex B), of which only the highest layer is shown:
 * senders mark each layer as shown, and FFmpeg shows every frame that is so marked. Frames that are not shown go into
 * the superframe of the next picture that is: a sample of a file shows one picture (WebM and MP4 bindings of VP9).
 */
import { isVp9KeyFrame, readVp9Descriptor } from '../vp9-descriptor.ts';
import { hidden, splitSuperframe, superframeOf, type Vp9FrameHeader, Vp9Slots } from '../vp9-frame.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

/** The number of frames in a superframe has three bits (annex B). */
const MAX_FRAMES = 8;
export class Vp9Assembly implements FrameAssembly {
  readonly #slots = new Vp9Slots();
  /** The complete layer frames. */
  #layers: Buffer[] = [];
  /** The parts of the layer frame that was begun. */
  #parts: Buffer[] = [];
  /** Frames since the last picture that was shown. */
  #unshown: Buffer[] = [];
  /** The most frames that a picture has had. */
  #most = 1;
  /** Number of pixels of the last picture that was shown. */
  #shownPixels = 0;

  /** The start of the lowest layer's frame; without layer indices there is only one layer (§4.2). */
  begins(payload: Buffer): boolean {
    const descriptor = readVp9Descriptor(payload);
    return descriptor?.begins === true && descriptor.spatialLayer === 0;
  }

  add(payload: Buffer): boolean {
    const descriptor = readVp9Descriptor(payload);
    if (!descriptor || descriptor.bytes > payload.length) return false;
    // A descriptor alone adds nothing to what has come, but may tell its end; no layer frame consists of it.
    const isEmpty = descriptor.bytes === payload.length;
    if (isEmpty && this.#parts.length === 0) return this.#layers.length > 0 && !descriptor.begins;
    // A layer frame that begins within another one, or goes on without a beginning, has lost a part.
    if (descriptor.begins !== (this.#parts.length === 0)) return false;
    this.#parts.push(payload.subarray(descriptor.bytes));
    if (!descriptor.ends) return true;
    this.#layers.push(Buffer.concat(this.#parts));
    this.#parts = [];
    return this.#layers.length <= MAX_FRAMES;
  }

  finish(): { data: Buffer; keyFrame: boolean; resized: boolean } | 'damaged' | undefined {
    const [first] = this.#layers;
    if (!first || this.#parts.length > 0) return 'damaged';
    const frames = this.#layers.flatMap(splitSuperframe);
    this.#layers = [];
    const keyFrame = isVp9KeyFrame(first);
    // Nothing after a key frame refers to what came before it.
    if (keyFrame) this.#unshown = [];
    this.#most = Math.max(this.#most, frames.length);
    const canWait = !keyFrame && this.#unshown.length + frames.length + this.#most <= MAX_FRAMES;
    const headers = frames.map((frame) => this.#slots.read(frame));
    const top = headers.findLastIndex((header) => header?.shown);
    const isShown = !(canWait && this.#lacksTop(headers[top]));
    const kept = frames.flatMap((frame, n) => {
      const header = headers[n];
      if (!header?.shown || (n === top && isShown)) return [frame];
      if (header.showsExisting) return [];
      return isFreeToHide(header, headers[n + 1]) ? [hidden(frame, header)] : [frame];
    });
    const waiting = [...this.#unshown, ...kept];
    const showsNothing = top >= 0 ? !isShown : headers.every((header) => header !== undefined);
    this.#unshown = showsNothing && canWait ? waiting : [];
    if (showsNothing && canWait) return undefined;
    if (waiting.length > MAX_FRAMES) return 'damaged';
    return { data: superframeOf(waiting), keyFrame, resized: this.#resize(headers[top], keyFrame) };
  }

  reset(): void {
    this.#layers = [];
    this.#parts = [];
  }

  /**
   * An encoder that cannot keep up leaves the highest layer out of one picture, and the next has it again: such
   * pictures are not shown. When there are more of them than fit into a superframe, the sender has switched the layer
   * off.
   */
  #lacksTop(header: Vp9FrameHeader | undefined): boolean {
    return header?.size !== undefined && header.errorResilient && pixelsOf(header.size) < this.#shownPixels;
  }

  /** Whether the shown picture has another size than the one before without being a key frame. */
  #resize(header: Vp9FrameHeader | undefined, keyFrame: boolean): boolean {
    if (!header?.size) return false;
    const before = this.#shownPixels;
    this.#shownPixels = pixelsOf(header.size);
    return !keyFrame && this.#shownPixels !== before;
  }
}

const pixelsOf = ({ width, height }: { width: number; height: number }) => width * height;

/**
 * A frame after a hidden one takes no motion from it (§7.2, UsePrevFrameMvs). When a frame would have taken motion from
 * the one before, that one must stay shown. Only frames of the same size that are not error resilient do.
 */
function isFreeToHide(
  header: Vp9FrameHeader,
  next: Vp9FrameHeader | undefined,
): header is Vp9FrameHeader & { bits: number } {
  if (header.bits === undefined) return false;
  if (header.errorResilient || !next) return true;
  return next.errorResilient || next.size?.width !== header.size?.width || next.size?.height !== header.size?.height;
}
