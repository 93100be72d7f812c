/**
 * What all video codecs share on the way from packets to frames: a frame ends with its marker or with the next timestamp
 * (RFC 3550 §5.1), and one that lost a part is dropped whole.
 */
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';
import type { Depacketizer } from './depacketizer.ts';

/** One codec's way of joining payloads to a frame. */
export type FrameAssembly = {
  /** Whether a frame can begin with this payload; asked only where packets before it are missing. */
  begins(payload: Buffer): boolean;
  /** Adds the next payload of the frame. Returns false when it does not fit, after which the frame is damaged. */
  add(payload: Buffer): boolean;
  /** Ends the frame. `damaged` when a part is missing, undefined when there is nothing to show in it. */
  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined;
  /** Forgets the frame begun. */
  reset(): void;
};

/** No frame is this large, at any bitrate we take; a sender that never ends one must not fill the memory. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;

type Open = { rtpTime: number; arrivalUs: number; bytes: number; damaged: boolean };

export class FrameDepacketizer implements Depacketizer {
  readonly #assembly: FrameAssembly;
  #open: Open | undefined;
  /** Packets before the next one are missing, or it is the first: it may be the middle of a frame. */
  #unsure = true;
  #afterLoss = false;
  #dropped = 0;

  constructor(assembly: FrameAssembly) {
    this.#assembly = assembly;
  }

  get dropped(): number {
    return this.#dropped;
  }

  push(ordered: Ordered): ReceivedSample[] {
    const { packet, rtpTime, lostBefore } = ordered;
    if (lostBefore > 0) {
      this.#afterLoss = true;
      this.#unsure = true;
      if (this.#open) this.#open.damaged = true;
    }
    // Padding-only packets probe for bandwidth; they take a sequence number but are no part of a frame.
    if (packet.payload.length === 0) return [];
    const done: ReceivedSample[] = [];
    if (this.#open && this.#open.rtpTime !== rtpTime) done.push(...this.#close());
    this.#open ??= { rtpTime, arrivalUs: 0, bytes: 0, damaged: this.#unsure && !this.#assembly.begins(packet.payload) };
    this.#unsure = false;
    const open = this.#open;
    open.arrivalUs = Math.max(open.arrivalUs, packet.arrivalUs);
    open.bytes += packet.payload.length;
    if (open.bytes > MAX_FRAME_BYTES) open.damaged = true;
    if (!open.damaged && !this.#assembly.add(packet.payload)) open.damaged = true;
    if (open.damaged) this.#assembly.reset();
    if (packet.marker) done.push(...this.#close());
    return done;
  }

  flush(): ReceivedSample[] {
    // Without marker and without a packet after it, the last frame may have lost its end; not every codec would show it.
    if (this.#open) {
      this.#open = undefined;
      this.#assembly.reset();
      this.#dropped++;
      this.#afterLoss = true;
    }
    return [];
  }

  #close(): ReceivedSample[] {
    const open = this.#open;
    if (!open) return [];
    this.#open = undefined;
    const frame = open.damaged ? 'damaged' : this.#assembly.finish();
    if (frame === undefined) return [];
    if (frame === 'damaged') {
      this.#assembly.reset();
      this.#dropped++;
      this.#afterLoss = true;
      return [];
    }
    const afterLoss = this.#afterLoss;
    this.#afterLoss = false;
    return [{ rtpTime: open.rtpTime, ...frame, afterLoss, arrivalUs: open.arrivalUs }];
  }
}
