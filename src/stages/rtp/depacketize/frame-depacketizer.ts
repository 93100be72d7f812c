/**
 * The way from packets to frames that all video codecs share: a frame is all packets of one timestamp, whatever their
 * marker bits say (RFC 3550 §5.1), and a frame that lost a part is dropped whole.
 */
import type { HostUs } from '../../../kernel/time.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';
import type { Depacketizer } from './depacketizer.ts';

/** One codec's way of joining payloads to a frame. */
export type FrameAssembly = {
  /** Whether a frame can begin with this payload; asked only when packets before it are missing. */
  begins(payload: Buffer): boolean;
  /** Adds the next payload of the frame. Returns false when it does not fit; the frame is damaged then. */
  add(payload: Buffer): boolean;
  /** Ends the frame. `damaged` when a part is missing, undefined when it contains nothing to show. */
  finish(): { data: Buffer; keyFrame: boolean; resized?: boolean } | 'damaged' | undefined;
  /** Forgets the frame that was begun. */
  reset(): void;
  /** As in Depacketizer; not needed for a codec without such sets. */
  decoderSets?(): Buffer[];
};

/** No frame is this large at any bitrate that we accept; a sender that never ends one must not fill the memory. */
const MAX_FRAME_BYTES = 8 * 1024 * 1024;

/**
 * The marker says that a frame is complete before the next timestamp would: this long after its last packet the marker
 * is believed. Senders that mark each NAL unit, or each packet, are detected when more of a frame comes; from then on
 * the wait is longer.
 */
const MARKED_US = 20_000;
const MARKED_WRONGLY_US = 500_000;

type Open = { rtpTime: number; arrivalUs: HostUs; bytes: number; damaged: boolean; marked: boolean };

/** What nearly every packet completes. */
const NOTHING: readonly ReceivedSample[] = [];

export class FrameDepacketizer implements Depacketizer {
  readonly #assembly: FrameAssembly;
  #open: Open | undefined;
  /** Packets before the next one are missing, or it is the first: it may belong to the middle of a frame. */
  #unsure = true;
  #afterLoss = false;
  #dropped = 0;
  #closedRtpTime: number | undefined;
  #waitUs = MARKED_US;

  constructor(assembly: FrameAssembly) {
    this.#assembly = assembly;
  }

  get dropped(): number {
    return this.#dropped;
  }

  push(ordered: Ordered): readonly ReceivedSample[] {
    const { packet, rtpTime, lostBefore } = ordered;
    let done = NOTHING;
    if (lostBefore > 0) {
      // After a marker that can be trusted, lost packets do not belong to this frame.
      if (this.#open?.marked && this.#waitUs === MARKED_US && this.#open.rtpTime !== rtpTime) done = this.#close();
      this.#afterLoss = true;
      this.#unsure = true;
      if (this.#open) this.#open.damaged = true;
    }
    // Padding-only packets probe for bandwidth; they use a sequence number but are no part of a frame.
    if (packet.payload.length === 0) return done;
    if (this.#open && this.#open.rtpTime !== rtpTime) done = [...done, ...this.#close()];
    const isRest = !this.#open && rtpTime === this.#closedRtpTime;
    // The frame was taken for complete too early: its rest belongs to no frame.
    if (isRest) this.#waitUs = MARKED_WRONGLY_US;
    const damaged = isRest || (this.#unsure && !this.#assembly.begins(packet.payload));
    this.#open ??= { rtpTime, arrivalUs: 0, bytes: 0, damaged, marked: false };
    this.#unsure = false;
    const open = this.#open;
    open.marked = packet.marker;
    open.arrivalUs = Math.max(open.arrivalUs, packet.arrivalUs);
    open.bytes += packet.payload.length;
    if (open.bytes > MAX_FRAME_BYTES) open.damaged = true;
    if (!open.damaged && !this.#assembly.add(packet.payload)) open.damaged = true;
    if (open.damaged) this.#assembly.reset();
    return done;
  }

  settle(nowUs: HostUs): readonly ReceivedSample[] {
    return this.#open?.marked && nowUs - this.#open.arrivalUs >= this.#waitUs ? this.#close() : NOTHING;
  }

  decoderSets(): Buffer[] {
    return this.#assembly.decoderSets?.() ?? [];
  }

  flush(): readonly ReceivedSample[] {
    if (this.#open?.marked) return this.#close();
    // Without a marker, and without a packet after it, the last frame may lack its end; not every codec would show
    // that.
    if (this.#open) {
      this.#open = undefined;
      this.#assembly.reset();
      this.#dropped++;
      this.#afterLoss = true;
    }
    return [];
  }

  #close(): readonly ReceivedSample[] {
    const open = this.#open;
    if (!open) return [];
    this.#open = undefined;
    this.#closedRtpTime = open.rtpTime;
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
