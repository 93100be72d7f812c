/**
 * VP9 payloads to frames: the payload descriptor is taken off and what remains is joined (RFC 9628 §4). The spatial
 * layers of one picture become a superframe (VP9 bitstream specification, annex B), of which only the highest layer is
 * shown: senders mark each as shown, and FFmpeg shows all that are so marked.
 */
import { isVp9KeyFrame, readVp9Descriptor } from '../vp9-descriptor.ts';
import { hidden, splitSuperframe, superframeOf, type Vp9FrameHeader, Vp9Slots } from '../vp9-frame.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

/** A superframe's count of frames has three bits. */
const MAX_FRAMES = 8;
/**
 * So many pictures in a row that lack the highest layer are not shown: an encoder that cannot keep up leaves it out of
 * one, and the next has it again. When there are more, the sender has switched it off.
 */
const MAX_WITHOUT_TOP = 10;
/** After so many a key frame is asked for, which would only burden an encoder that leaves out one. */
const ASK_WITHOUT_TOP = 3;

export class Vp9Assembly implements FrameAssembly {
  readonly #slots = new Vp9Slots();
  /** The layer frames that are whole. */
  #layers: Buffer[] = [];
  /** The parts of the layer frame begun. */
  #parts: Buffer[] = [];
  /** Pixels of the picture that was shown last. */
  #shownPixels = 0;
  #withoutTop = 0;

  /** The start of the lowest layer's frame; without layer indices there is but one (§4.2). */
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
    // A layer frame that begins within another, or goes on without a beginning, has lost a part.
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
    const headers = frames.map((frame) => this.#slots.read(frame));
    const top = headers.findLastIndex((header) => header?.shown);
    const { isShown, resized } = this.#judge(headers[top], keyFrame);
    const kept = frames.flatMap((frame, n) => {
      const header = headers[n];
      if (!header?.shown || (n === top && isShown)) return [frame];
      if (header.showsExisting) return [];
      return isFreeToHide(header, headers[n + 1]) ? [hidden(frame, header)] : [frame];
    });
    return kept.length > MAX_FRAMES ? 'damaged' : { data: superframeOf(kept), keyFrame, resized };
  }

  reset(): void {
    this.#layers = [];
    this.#parts = [];
  }

  /** Whether a picture is shown, and whether it has another size than the one before without being a key frame. */
  #judge(header: Vp9FrameHeader | undefined, keyFrame: boolean): { isShown: boolean; resized: boolean } {
    if (!header?.size) return { isShown: true, resized: false };
    const pixels = header.size.width * header.size.height;
    const lacksTop = !keyFrame && pixels < this.#shownPixels && header.errorResilient;
    this.#withoutTop = lacksTop ? this.#withoutTop + 1 : 0;
    const isShown = !lacksTop || this.#withoutTop > MAX_WITHOUT_TOP;
    const isToldOf = isShown || this.#withoutTop >= ASK_WITHOUT_TOP;
    const resized = !keyFrame && pixels !== this.#shownPixels && isToldOf;
    if (isShown) this.#shownPixels = pixels;
    return { isShown, resized };
  }
}

/**
 * The frame after one that was not shown takes no motion from it (§7.2, UsePrevFrameMvs). Where it would have, which is
 * only a frame of the same size that does not do without what came before, the one before must stay as it is.
 */
function isFreeToHide(
  header: Vp9FrameHeader,
  next: Vp9FrameHeader | undefined,
): header is Vp9FrameHeader & { bits: number } {
  if (header.bits === undefined) return false;
  if (header.errorResilient || !next) return true;
  return next.errorResilient || next.size?.width !== header.size?.width || next.size?.height !== header.size?.height;
}
