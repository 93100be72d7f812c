/**
 * Puts one track's packets in order. A gap is waited for, because a retransmission may fill it, and given up after a
 * while. A heap by sequence number and a queue by arrival make a packet cost O(log n), however long the gaps are.
 */

import type { RtpTimelineState } from '../../contract/line/reception-state.ts';
import type { HostUs, RtpTicks } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import { MissingPackets } from './missing-packets.ts';
import { RtpTimeline } from './rtp-timeline.ts';
import { SequenceTracker } from './sequence.ts';

export type JitterBufferOptions = {
  /**
   * How long a packet may wait for earlier ones, microseconds; sound that is late itself waits that much less. A
   * recorder can afford a second or two.
   */
  maxDelayUs: number;
  /** Ticks per second of the RTP timestamps. */
  clockRate: number;
  /** What the packets are of. */
  kind?: 'audio' | 'video';
  /** The state of the timestamps in a buffer that this one continues. */
  timeline?: RtpTimelineState | undefined;
  /** Bounds of the buffer. At three quarters of either, gaps are given up early; at the bound, packets are dropped. */
  maxPackets?: number;
  maxBytes?: number;
};

/** A packet at its place in the order. */
export type Ordered = {
  packet: Packet;
  /** The unwrapped RTP timestamp; when a sender starts over it goes on above all earlier ones. */
  rtpTime: number;
  /** How many packets before this one are lost for good; 1 also when the sender started over. */
  lostBefore: number;
};

export type JitterCounters = {
  /** Packets that were given up, including the holes that restarts leave. */
  lost: number;
  /** Packets that were missing long enough to be asked for again, and came in time. */
  recovered: number;
  /** Packets that came after later ones, too soon for having been asked for again. */
  reordered: number;
  duplicates: number;
  /** Packets that came after they had been given up, or far away from any run. */
  late: number;
  /** Packets that were dropped because the buffer was full. */
  overflowed: number;
  restarts: number;
};

type Entry = { packet: Packet; extended: number; rtpTime: number; released: boolean };

/** For this long after a change of SSRC, packets of the former SSRC are late and not another change. */
const STRAGGLER_US = 1_000_000;
/**
 * When this many late packets come in order, and none in time between them, the sender started over a little behind.
 */
const LATE_RUN = 100;
/** Sound waits so long for a gap however late it is: what is lost is asked for again, and comes within that. */
const LEAST_DELAY_US = 1_000_000;

export class JitterBuffer {
  readonly counters: JitterCounters = {
    ...{ lost: 0, recovered: 0, reordered: 0, duplicates: 0, late: 0, overflowed: 0, restarts: 0 },
  };
  readonly #options: Required<Omit<JitterBufferOptions, 'timeline'>>;
  readonly #timeline: RtpTimeline;
  #tracker = new SequenceTracker();
  #ssrc: number | undefined;
  #former: { ssrc: number; untilUs: HostUs } | undefined;
  #stray: Packet | undefined;
  #lateRun = { length: 0, sequence: -1 };
  #heap = new EntryHeap();
  #arrivals: Entry[] = [];
  #arrivalsHead = 0;
  #held = new Set<number>();
  readonly #missing = new MissingPackets();
  #heldBytes = 0;
  /** Undefined until a packet was released: what comes out of order before that is not late. */
  #next: number | undefined;
  /** Gaps before this extended number are no longer waited for. */
  #giveUpBefore = Number.NEGATIVE_INFINITY;

  constructor(options: JitterBufferOptions) {
    this.#options = { kind: 'audio', maxPackets: 8192, maxBytes: 16 * 1024 * 1024, ...options };
    this.#timeline = new RtpTimeline(options.clockRate, this.#options.kind, options.timeline);
  }

  /** How many packets are held. */
  get held(): number {
    return this.#held.size;
  }

  /** When the first of the packets that wait for a gap came in, monotonic microseconds; ask after `pop`. */
  get waitingSinceUs(): HostUs | undefined {
    return this.#held.size === 0 ? undefined : this.#oldestArrival()?.packet.arrivalUs;
  }

  /** Takes a packet. Returns its unwrapped timestamp; undefined when it was dropped or may not belong here. */
  push(packet: Packet): number | undefined {
    if (packet.ssrc !== this.#ssrc) {
      const former = this.#former;
      if (former && packet.ssrc === former.ssrc && packet.arrivalUs < former.untilUs) {
        this.counters.late++;
        return undefined;
      }
      if (this.#ssrc !== undefined) {
        this.#former = { ssrc: this.#ssrc, untilUs: packet.arrivalUs + STRAGGLER_US };
        this.#ssrc = packet.ssrc;
        return this.#restart(packet, true);
      }
      this.#ssrc = packet.ssrc;
    }
    const highest = this.#tracker.highest;
    const placement = this.#tracker.place(packet.sequence);
    const stray = this.#stray;
    this.#stray = undefined;
    if (placement.kind === 'stray') {
      if (stray) this.counters.late++;
      this.#stray = packet;
      return undefined;
    }
    if (placement.restarted) {
      this.counters.restarts++;
      this.#giveUpBefore = placement.extended;
      if (stray)
        this.#insert(stray, placement.extended - 1, this.#timeline.unwrap(stray.timestamp, stray.arrivalUs, true));
      const rtpTime = this.#timeline.unwrap(packet.timestamp, packet.arrivalUs, true);
      return this.#insert(packet, placement.extended, rtpTime);
    }
    if (stray) this.counters.late++;
    if (this.#next !== undefined && placement.extended < this.#next) return this.#late(packet);
    const isNewest = highest === undefined || placement.extended > highest;
    const missing = isNewest ? placement.extended - (highest ?? placement.extended - 1) - 1 : 0;
    const rtpTime = this.#timeline.unwrap(packet.timestamp, packet.arrivalUs, isNewest, missing);
    const inserted = this.#insert(packet, placement.extended, rtpTime);
    if (highest !== undefined && placement.extended !== highest + 1 && inserted !== undefined)
      this.#noteOrder(placement.extended, highest, packet.arrivalUs);
    return inserted;
  }

  /**
   * Releases what is in order now, and what has waited too long for its gap.
   * @param nowUs monotonic microseconds, by the same clock as the packets' arrival
   */
  pop(nowUs: HostUs): Ordered[] {
    const out: Ordered[] = [];
    for (let top = this.#heap.top; top; top = this.#heap.top) {
      const next = this.#next ?? top.extended;
      if (top.extended !== next && top.extended > this.#giveUpBefore && !this.#giveUp(top, nowUs)) break;
      this.#heap.pop();
      this.#held.delete(top.extended);
      this.#heldBytes -= top.packet.payload.length;
      top.released = true;
      const lostBefore = top.extended - next;
      this.counters.lost += lostBefore;
      if (lostBefore > 0) this.#missing.forgetBefore(top.extended);
      this.#next = top.extended + 1;
      out.push({ packet: top.packet, rtpTime: top.rtpTime, lostBefore });
    }
    this.#oldestArrival();
    return out;
  }

  /** Releases everything: nothing more will come. */
  flush(): Ordered[] {
    this.#giveUpBefore = this.#tracker.highest ?? this.#giveUpBefore;
    return this.pop(Number.NEGATIVE_INFINITY);
  }

  /** As of RtpTimeline. */
  rtpTimeOf(timestamp: number, arrivalUs: HostUs): RtpTicks {
    return this.#timeline.rtpTimeOf(timestamp, arrivalUs);
  }

  /** The state of the timestamps, for a buffer that continues this one. */
  saveTimeline(): RtpTimelineState {
    return this.#timeline.save();
  }

  #insert(packet: Packet, extended: number, rtpTime: number): number | undefined {
    if (this.#held.has(extended)) {
      this.counters.duplicates++;
      return undefined;
    }
    const bytes = packet.payload.length;
    if (this.#held.size >= this.#options.maxPackets || this.#heldBytes + bytes > this.#options.maxBytes) {
      this.counters.overflowed++;
      return undefined;
    }
    this.#lateRun.length = 0;
    const entry: Entry = { packet, extended, rtpTime, released: false };
    this.#heap.push(entry);
    this.#arrivals.push(entry);
    this.#held.add(extended);
    this.#heldBytes += bytes;
    return rtpTime;
  }

  #noteOrder(extended: number, highest: number, nowUs: HostUs): void {
    if (extended > highest) {
      this.#missing.note(highest + 1, extended, nowUs);
      return;
    }
    const filled = this.#missing.fill(extended, highest, nowUs);
    if (filled) this.counters[filled]++;
  }

  #late(packet: Packet): number | undefined {
    const run = this.#lateRun;
    run.length = packet.sequence === ((run.sequence + 1) & 0xffff) ? run.length + 1 : 1;
    run.sequence = packet.sequence;
    if (run.length >= LATE_RUN) return this.#restart(packet, false);
    this.counters.late++;
    return undefined;
  }

  #restart(packet: Packet, newSource: boolean): number | undefined {
    this.counters.restarts++;
    this.#stray = undefined;
    const extended = this.#tracker.restart(packet.sequence);
    this.#giveUpBefore = extended;
    const { timestamp, arrivalUs } = packet;
    const rtpTime = newSource
      ? this.#timeline.unwrapNewSource(timestamp, arrivalUs)
      : this.#timeline.unwrap(timestamp, arrivalUs, true);
    return this.#insert(packet, extended, rtpTime);
  }

  /** Whether the gap before `top` is no longer waited for. */
  #giveUp(top: Entry, nowUs: HostUs): boolean {
    const { maxPackets, maxBytes } = this.#options;
    const oldest = this.#oldestArrival();
    if (oldest && oldest.packet.arrivalUs + this.#maxDelayUs(oldest) <= nowUs) {
      this.#giveUpBefore = oldest.extended;
      return true;
    }
    if (this.#held.size * 4 < maxPackets * 3 && this.#heldBytes * 4 < maxBytes * 3) return false;
    this.#giveUpBefore = top.extended;
    return true;
  }

  /**
   * How long a packet waits for a gap. The place of sound is written a while after it should have come; a picture that
   * is late is shown late.
   */
  #maxDelayUs({ packet, rtpTime }: Entry): number {
    const { kind, maxDelayUs } = this.#options;
    if (kind === 'video') return maxDelayUs;
    const delayUs = this.#timeline.delayUs(rtpTime, packet.arrivalUs);
    return Math.max(Math.min(maxDelayUs, LEAST_DELAY_US), maxDelayUs - delayUs);
  }

  /** The held packet that came in first. Forgets released packets before it. */
  #oldestArrival(): Entry | undefined {
    while (this.#arrivals[this.#arrivalsHead]?.released) this.#arrivalsHead++;
    if (this.#arrivalsHead === this.#arrivals.length || this.#arrivalsHead > 1024) {
      this.#arrivals = this.#arrivals.slice(this.#arrivalsHead);
      this.#arrivalsHead = 0;
    }
    return this.#arrivals[this.#arrivalsHead];
  }
}

/** A binary heap with the lowest extended number on top. */
class EntryHeap {
  #entries: Entry[] = [];

  get top(): Entry | undefined {
    return this.#entries[0];
  }

  push(entry: Entry): void {
    const entries = this.#entries;
    let at = entries.push(entry) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (entries[parent]!.extended <= entry.extended) break;
      entries[at] = entries[parent]!;
      at = parent;
    }
    entries[at] = entry;
  }

  pop(): void {
    const entries = this.#entries;
    const last = entries.pop();
    if (!last || entries.length === 0) return;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= entries.length) break;
      if (child + 1 < entries.length && entries[child + 1]!.extended < entries[child]!.extended) child++;
      if (entries[child]!.extended >= last.extended) break;
      entries[at] = entries[child]!;
      at = child;
    }
    entries[at] = last;
  }
}
