/**
 * VP9 payloads to frames: the payload descriptor is taken off and what remains is joined (RFC 9628 §4). The spatial
 * layers of one picture become a superframe (VP9 bitstream specification, annex B), which is how decoders take them.
 */
import { isVp9KeyFrame, readVp9Descriptor } from '../vp9-descriptor.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

/** A superframe's count of frames has three bits. */
const MAX_LAYERS = 8;

export class Vp9Assembly implements FrameAssembly {
  /** The layer frames that are whole. */
  #layers: Buffer[] = [];
  /** The parts of the layer frame begun. */
  #parts: Buffer[] = [];

  /** The start of the lowest layer's frame; without layer indices there is but one (§4.2). */
  begins(payload: Buffer): boolean {
    const descriptor = readVp9Descriptor(payload);
    return descriptor?.begins === true && descriptor.spatialLayer === 0;
  }

  add(payload: Buffer): boolean {
    const descriptor = readVp9Descriptor(payload);
    if (!descriptor || descriptor.bytes >= payload.length) return false;
    // A layer frame that begins within another, or goes on without a beginning, has lost a part.
    if (descriptor.begins !== (this.#parts.length === 0)) return false;
    this.#parts.push(payload.subarray(descriptor.bytes));
    if (!descriptor.ends) return true;
    this.#layers.push(Buffer.concat(this.#parts));
    this.#parts = [];
    return this.#layers.length <= MAX_LAYERS;
  }

  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined {
    const [first] = this.#layers;
    if (!first || this.#parts.length > 0) return 'damaged';
    const layers = this.#layers;
    this.#layers = [];
    return { data: layers.length === 1 ? first : superframe(layers), keyFrame: isVp9KeyFrame(first) };
  }

  reset(): void {
    this.#layers = [];
    this.#parts = [];
  }
}

/** The frames, and behind them their sizes between two marker bytes. */
function superframe(frames: Buffer[]): Buffer {
  const largest = Math.max(...frames.map((frame) => frame.length));
  const sizeBytes = largest > 0xffffff ? 4 : largest > 0xffff ? 3 : largest > 0xff ? 2 : 1;
  const marker = 0xc0 | ((sizeBytes - 1) << 3) | (frames.length - 1);
  const index = Buffer.alloc(2 + frames.length * sizeBytes, marker);
  frames.forEach((frame, n) => {
    index.writeUIntLE(frame.length, 1 + n * sizeBytes, sizeBytes);
  });
  return Buffer.concat([...frames, index]);
}
