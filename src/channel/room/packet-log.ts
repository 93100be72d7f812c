/**
 * PacketLog: the packets of one encoding, RTP and RTCP, in order of arrival, from a certain packet on. Every feed reads
 * it by index, as often as it must. Packets are copied into the arena's memory.
 */
import type { HostUs } from '../../kernel/time.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { ArenaUser, PacketArena } from './packet-arena.ts';

export type LoggedKind = 'rtp' | 'rtcp';

/** What was given up before `first` because a bound was reached. */
export type Dropped = {
  /** Index of the first packet that was given up. */
  from: number;
  /** When the first and the last of them arrived, monotonic microseconds. */
  fromUs: HostUs;
  toUs: HostUs;
};

type Start = { index: number; arrivalUs: HostUs };

export type PacketLogBounds = {
  /** Bound of one encoding. A group of pictures that is larger is given up as a whole. */
  maxBytes: number;
  /** How long feeds may hold anything but the last group of pictures. */
  maxUs: number;
};

/** A recorder that comes late gets this much of the sound from before it came. */
export const AUDIO_BEFORE_US = 500_000;

const FIRST_CAPACITY = 64;
/** Room for packets is given up when so many times as many came in and an eighth of it was the most that was used. */
const ROOM_JUDGED_AFTER = 4;
/**
 * When the first packet of a key frame was lost and is sent again, it comes at most this many packets after its place.
 */
const MAX_LATE = 2048;

export class PacketLog implements ArenaUser {
  readonly #arena: PacketArena;
  readonly #bounds: PacketLogBounds;
  readonly #hasKeyFrames: boolean;
  #first = 0;
  #end = 0;
  #mask = FIRST_CAPACITY - 1;
  #arrivals = new Float64Array(FIRST_CAPACITY);
  #orders = new Float64Array(FIRST_CAPACITY);
  #slabNumbers = new Float64Array(FIRST_CAPACITY);
  #offsets = new Uint32Array(FIRST_CAPACITY);
  #lengths = new Uint16Array(FIRST_CAPACITY);
  #sequences = new Uint16Array(FIRST_CAPACITY);
  #isRtcp = new Uint8Array(FIRST_CAPACITY);
  /** The most that were kept at once since `#end` was `#judgedAt`. */
  #most = 0;
  #judgedAt = 0;
  #slabs: Buffer[] = [];
  #slabsBefore = 0;
  #slabAt = 0;
  #bytes = 0;
  #highest: number | undefined;
  /** Where the key frames begin that are kept. */
  #starts: Start[] = [];
  /** The newest RTCP from before what is kept. */
  #formerReport: { datagram: Buffer; arrivalUs: HostUs } | undefined;
  #dropped: Dropped | undefined;

  /** @param hasKeyFrames true for video, which is useful only from a key frame on */
  constructor(options: { arena: PacketArena; bounds: PacketLogBounds; hasKeyFrames: boolean }) {
    this.#arena = options.arena;
    this.#bounds = options.bounds;
    this.#hasKeyFrames = options.hasKeyFrames;
  }

  /** Index of the oldest entry that is kept. */
  get first(): number {
    return this.#first;
  }

  /** How many entries fit without further memory for their places. */
  get room(): number {
    return this.#mask + 1;
  }

  /** Index that the next entry will get. */
  get end(): number {
    return this.#end;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get oldestUs(): HostUs {
    return this.#first === this.#end ? Number.POSITIVE_INFINITY : this.arrivalUs(this.#first);
  }

  /** What is missing before `first` because a bound was reached. */
  get dropped(): Dropped | undefined {
    return this.#dropped;
  }

  /** Whether a key frame is kept. */
  get hasStart(): boolean {
    return this.#starts.length > 0;
  }

  arrivalUs(index: number): HostUs {
    return this.#arrivals[index & this.#mask]!;
  }

  /** The entry's place in the order of everything, see `PacketArena`. */
  order(index: number): number {
    return this.#orders[index & this.#mask]!;
  }

  kind(index: number): LoggedKind {
    return this.#isRtcp[index & this.#mask] === 1 ? 'rtcp' : 'rtp';
  }

  /** A view, valid until the log changes. */
  datagram(index: number): Buffer {
    const at = index & this.#mask;
    const slab = this.#slabs[this.#slabNumbers[at]! - this.#slabsBefore]!;
    const offset = this.#offsets[at]!;
    return slab.subarray(offset, offset + this.#lengths[at]!);
  }

  /** @param sequence of RTP, 0 for RTCP @param arrivalUs never less than before @returns its index */
  append(kind: LoggedKind, datagram: Buffer, sequence: number, arrivalUs: HostUs): number {
    if (this.#end - this.#first > this.#mask) this.#resize((this.#mask + 1) * 2);
    let slab = this.#slabs.at(-1);
    if (!slab || this.#slabAt + datagram.length > slab.length) {
      slab = this.#arena.take(this, datagram.length);
      this.#slabs.push(slab);
      this.#slabAt = 0;
      this.#bytes += slab.length;
    }
    slab.set(datagram, this.#slabAt);
    const index = this.#end++;
    const at = index & this.#mask;
    this.#arrivals[at] = arrivalUs;
    this.#orders[at] = this.#arena.nextOrder();
    this.#slabNumbers[at] = this.#slabsBefore + this.#slabs.length - 1;
    this.#offsets[at] = this.#slabAt;
    this.#lengths[at] = datagram.length;
    this.#sequences[at] = sequence;
    this.#isRtcp[at] = kind === 'rtcp' ? 1 : 0;
    this.#slabAt += datagram.length;
    if (kind === 'rtp' && (this.#highest === undefined || isAfter(sequence, this.#highest))) this.#highest = sequence;
    return index;
  }

  /**
   * A key frame begins with the packet that was appended last. If that packet was lost and sent again, the rest of the
   * frame is here already and belongs to the frame's group.
   */
  startGroup(): void {
    const last = this.#starts.at(-1);
    const index = this.#end - 1;
    const sequence = this.#sequences[index & this.#mask]!;
    let from = index;
    if (this.#highest !== sequence) {
      const lowest = Math.max(this.#first, last ? last.index + 1 : 0, index - MAX_LATE);
      for (let n = index - 1; n >= lowest; n--)
        if (this.#isRtcp[n & this.#mask] === 0 && isAfter(this.#sequences[n & this.#mask]!, sequence)) from = n;
    }
    this.#starts.push({ index: from, arrivalUs: this.arrivalUs(from) });
  }

  /** The sender began anew: its sequence numbers cannot be compared with those before. */
  startSource(): void {
    this.#highest = undefined;
  }

  /**
   * Index at which a reading of what arrives from `atUs` on begins: the last key frame before it; for sound a moment
   * before it.
   */
  startOf(atUs: HostUs): number {
    if (!this.#hasKeyFrames) return this.#indexOf(atUs - AUDIO_BEFORE_US);
    return this.#startBefore(atUs)?.index ?? this.#indexOf(atUs);
  }

  /** Index of the first key frame that came in at `fromUs` or later and is kept. */
  firstStartFrom(fromUs: HostUs): number | undefined {
    return this.#starts.find(({ arrivalUs }) => arrivalUs >= fromUs)?.index;
  }

  /** Whether the entry at which `startOf` would begin was given up. */
  lacksStartOf(atUs: HostUs): boolean {
    return this.#dropped !== undefined && this.#dropped.toUs >= atUs && this.#startBefore(atUs) === undefined;
  }

  /** The newest RTCP that arrived before `atUs`. A view, valid until the log changes. */
  reportBefore(atUs: HostUs): { datagram: Buffer; arrivalUs: HostUs } | undefined {
    for (let n = this.#indexOf(atUs) - 1; n >= this.#first; n--)
      if (this.#isRtcp[n & this.#mask] === 1) return { datagram: this.datagram(n), arrivalUs: this.arrivalUs(n) };
    return this.#formerReport && this.#formerReport.arrivalUs < atUs ? this.#formerReport : undefined;
  }

  /** Forgets everything before `index`, which nobody needs. Does nothing when that is gone already. */
  trimTo(index: number): void {
    if (index <= this.#first) return;
    this.#dropped = undefined;
    this.#forgetTo(index);
  }

  /**
   * Gives up what exceeds the bounds.
   * @returns whether anything was given up
   */
  holdBounds(nowUs: HostUs): boolean {
    const before = this.#first;
    while (this.#bytes > this.#bounds.maxBytes && this.#first < this.#end) this.dropOldest();
    const oldestUs = nowUs - this.#bounds.maxUs;
    for (;;) {
      if (this.oldestUs >= oldestUs) break;
      const end = this.#groupEnd();
      if (this.arrivalUs(end - 1) >= oldestUs || end === this.#end) break;
      this.#drop(end);
    }
    return this.#first !== before;
  }

  /** Gives up the oldest group of pictures, or the oldest part of the sound. */
  dropOldest(): void {
    if (this.#first < this.#end) this.#drop(this.#groupEnd());
  }

  #groupEnd(): number {
    if (this.#hasKeyFrames) return this.#starts.find(({ index }) => index > this.#first)?.index ?? this.#end;
    return Math.min(this.#end, this.#first + Math.max(1, (this.#end - this.#first) >> 3));
  }

  #drop(index: number): void {
    const from = this.#dropped?.from ?? this.#first;
    const fromUs = this.#dropped?.fromUs ?? this.arrivalUs(this.#first);
    const toUs = this.arrivalUs(index - 1);
    this.#forgetTo(index);
    this.#dropped = { from, fromUs, toUs };
  }

  #forgetTo(index: number): void {
    const report = this.#newestReport(index);
    if (report !== undefined)
      this.#formerReport = { datagram: inOwnMemory(this.datagram(report)), arrivalUs: this.arrivalUs(report) };
    this.#most = Math.max(this.#most, this.#end - this.#first);
    this.#first = index;
    while (this.#starts[0] && this.#starts[0].index < index) this.#starts.shift();
    const kept = index === this.#end ? this.#slabsBefore + this.#slabs.length : this.#slabNumbers[index & this.#mask]!;
    for (const slab of this.#slabs.splice(0, kept - this.#slabsBefore)) {
      this.#bytes -= slab.length;
      this.#arena.give(slab);
    }
    this.#slabsBefore = kept;
    if (this.#slabs.length === 0) this.#arena.leave(this);
    this.#judgeRoom();
  }

  /** Each key frame leaves next to nothing, and what comes until the next needs all the room again. */
  #judgeRoom(): void {
    const capacity = this.room;
    if (this.#end - this.#judgedAt < capacity * ROOM_JUDGED_AFTER) return;
    if (capacity > FIRST_CAPACITY && this.#most < capacity >> 3) this.#resize(capacity >> 2);
    this.#most = 0;
    this.#judgedAt = this.#end;
  }

  #newestReport(before: number): number | undefined {
    for (let n = before - 1; n >= this.#first; n--) if (this.#isRtcp[n & this.#mask] === 1) return n;
    return undefined;
  }

  #startBefore(atUs: HostUs): Start | undefined {
    return this.#starts.findLast(({ arrivalUs }) => arrivalUs <= atUs);
  }

  /** Index of the first entry that arrived at `atUs` or later. */
  #indexOf(atUs: HostUs): number {
    let low = this.#first;
    let high = this.#end;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.arrivalUs(middle) < atUs) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #resize(wanted: number): void {
    const capacity = Math.max(FIRST_CAPACITY, wanted);
    const move = <T extends Float64Array | Uint32Array | Uint16Array | Uint8Array>(from: T, to: T): T => {
      for (let n = this.#first; n < this.#end; n++) to[n & (capacity - 1)] = from[n & this.#mask]!;
      return to;
    };
    this.#arrivals = move(this.#arrivals, new Float64Array(capacity));
    this.#orders = move(this.#orders, new Float64Array(capacity));
    this.#slabNumbers = move(this.#slabNumbers, new Float64Array(capacity));
    this.#offsets = move(this.#offsets, new Uint32Array(capacity));
    this.#lengths = move(this.#lengths, new Uint16Array(capacity));
    this.#sequences = move(this.#sequences, new Uint16Array(capacity));
    this.#isRtcp = move(this.#isRtcp, new Uint8Array(capacity));
    this.#mask = capacity - 1;
  }
}

/** Compares 16-bit sequence numbers (RFC 3550 §A.1). */
function isAfter(a: number, b: number): boolean {
  return ((a - b) << 16) >> 16 > 0;
}
