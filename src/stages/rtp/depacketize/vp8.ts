/** VP8 payloads to frames: the payload descriptor is removed, and the rest is joined (RFC 7741 §4). */
import { vp8DescriptorBytes } from '../key-frame.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

/** The S bit and the partition number of the descriptor's first byte. */
const START_AND_PARTITION = 0x17;
const FRAME_START = 0x10;

export class Vp8Assembly implements FrameAssembly {
  #parts: Buffer[] = [];

  /** The start of partition 0 is the start of the frame (§4.2). */
  begins(payload: Buffer): boolean {
    return (payload[0]! & START_AND_PARTITION) === FRAME_START;
  }

  add(payload: Buffer): boolean {
    // A second start within one timestamp belongs to another frame, and nothing tells where the first ended.
    if (this.begins(payload) !== (this.#parts.length === 0)) return false;
    const start = vp8DescriptorBytes(payload);
    // A descriptor alone adds nothing to a frame that has begun, but no frame consists of it.
    if (start > payload.length || (start === payload.length && this.#parts.length === 0)) return false;
    this.#parts.push(payload.subarray(start));
    return true;
  }

  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined {
    const data = Buffer.concat(this.#parts);
    this.#parts = [];
    // The P bit of the frame's own header: 0 in key frames (§4.3).
    return { data, keyFrame: (data[0]! & 0x01) === 0 };
  }

  reset(): void {
    this.#parts = [];
  }
}
