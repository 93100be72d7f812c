/**
 * TsParts: a growing transport stream divided into segments, at key frames, and these into parts, as low-latency HLS
 * lists them (RFC 8216bis §4.4.4.9): whole transport packets, each part from the beginning of a unit on. It depends
 * only on the bytes, so that whoever reads the same file finds the same segments, and with the same rule the same
 * parts. Pure.
 */
import { type StreamUs, US } from '../../../kernel/time.ts';
import type { MediaKind } from '../../../media/track.ts';
import { unwrapTs } from './ts-time.ts';

export type TsPart = {
  /** Bytes `[from, to)` of the file. */
  from: number;
  to: number;
  durationUs: number;
  /** It holds a key frame, or sound alone. */
  isIndependent: boolean;
};

/** A player may begin with it: it begins with the tables and a key frame, or sound alone. */
export type TsSegment = {
  /** Where in the file it begins, bytes; it reaches to the next one, or to the end of the file. */
  from: number;
  /** When it begins, from the file's first unit on. */
  beginUs: StreamUs;
  /** Undefined while it is not whole. */
  durationUs: number | undefined;
  parts: readonly TsPart[];
};

/** How segments are divided into parts. */
export type PartRule = {
  /** The units that parts end at: pictures where there are any. */
  kind: MediaKind;
  /** No part is said to be longer (§4.4.3.7). */
  targetUs: number;
  /** A part that is this long ends at the first unit that has the tables before it. */
  leastUs: number;
  /** How far units are apart, where that is known. */
  intervalUs?: number;
};

const PACKET_BYTES = 188;
const SYNC = 0x47;
/** Times are of 90 kHz. */
const ROUNDED_US = 50;
/** PAT, SDT, and the PMT of FFmpeg's muxer (ISO/IEC 13818-1 §2.4.4). */
const TABLE_PIDS = new Set([0x0000, 0x0011, 0x1000]);
const TARGET_US = 600_000;
/** A segment that is this long ends at the next key frame: what comes every two seconds may come a little sooner. */
const SEGMENT_LEAST_US = 1_900_000;
/** Parts must be this much of the target, all but the last of a slice and those that a player can begin with. */
const LEAST_SHARE = 0.85;
/** Of streams whose units come as their sender made them. */
const UNSTEADY_TARGET_US = 700_000;
/** Sound comes in units of up to a third of a second. */
const SOUND: PartRule = { kind: 'audio', targetUs: 800_000, leastUs: 450_000 };

/** @param fps of pictures at a steady rate; undefined where the rate is the sender's */
export function partRule(kind: MediaKind, fps?: number): PartRule {
  if (kind === 'audio') return SOUND;
  if (fps === undefined) return { kind, targetUs: UNSTEADY_TARGET_US, leastUs: UNSTEADY_TARGET_US * LEAST_SHARE };
  const intervalUs = US / fps;
  const targetUs = Math.max(TARGET_US, Math.ceil(Math.ceil((TARGET_US * LEAST_SHARE) / intervalUs) * intervalUs));
  return { kind, targetUs, leastUs: targetUs * LEAST_SHARE, intervalUs };
}

export class TsParts {
  readonly #rule: PartRule;
  readonly #segments: (TsSegment & { parts: TsPart[] })[] = [];
  /** Bytes that were taken, whole packets. */
  #taken = 0;
  #rest = Buffer.alloc(0);
  /** Where the first of the tables since the last unit of the kind is. */
  #tablesAt: number | undefined;
  #part: { from: number; beginUs: StreamUs; isIndependent: boolean } | undefined;
  /** The newest time of a unit, of 90 kHz, and the first. */
  #ticks: number | undefined;
  #zero = 0;
  /** How far the newest unit is from the one before it. */
  #stepUs = 0;
  #isEnded = false;

  constructor(rule: PartRule) {
    this.#rule = rule;
  }

  /** In order; the last is not whole before the file is, and its parts are those that are. */
  get segments(): readonly TsSegment[] {
    return this.#segments;
  }

  /** How many bytes of the file were pushed. */
  get bytes(): number {
    return this.#taken + this.#rest.length;
  }

  /** From the first unit to where the newest one probably ends, microseconds. */
  get reachedUs(): StreamUs {
    return this.#ticks === undefined ? 0 : this.#nowUs() + this.#stepUs;
  }

  /** Takes the bytes that follow those taken before. */
  push(chunk: Buffer): void {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    let at = 0;
    for (; at + PACKET_BYTES <= bytes.length; at += PACKET_BYTES) this.#take(bytes, at, this.#taken + at);
    this.#taken += at;
    this.#rest = Buffer.from(bytes.subarray(at));
  }

  /**
   * The file is whole: what is left is its last part.
   * @param durationUs how long the file is
   */
  end(durationUs: number): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    const part = this.#part;
    if (part && this.bytes > part.from) this.#close(part, this.bytes, durationUs - part.beginUs);
    this.#endSegment(durationUs);
  }

  #take(bytes: Buffer, at: number, place: number): void {
    if (bytes[at] !== SYNC) return;
    const pid = bytes.readUInt16BE(at + 1) & 0x1fff;
    if (TABLE_PIDS.has(pid)) {
      this.#tablesAt ??= place;
      return;
    }
    if ((bytes[at + 1]! & 0x40) === 0) return;
    const begun = beginningOf(bytes.subarray(at, at + PACKET_BYTES));
    if (begun?.kind !== this.#rule.kind) return;
    const tablesAt = this.#tablesAt;
    this.#tablesAt = undefined;
    const before = this.#ticks;
    const ticks = unwrapTs(begun.ticks, before ?? begun.ticks);
    if (before === undefined) this.#zero = ticks;
    this.#ticks = Math.max(before ?? ticks, ticks);
    if (before !== undefined) this.#stepUs = ((this.#ticks - before) * 100) / 9;
    const isKey = begun.isRandomAccess || this.#rule.kind === 'audio';
    const nowUs = this.#nowUs();
    if (!this.#part) {
      // What comes before the first unit of the kind belongs to the first part.
      this.#part = { from: 0, beginUs: 0, isIndependent: false };
      this.#beginSegment(0);
    } else if (isKey && tablesAt !== undefined && nowUs - this.#segments.at(-1)!.beginUs >= SEGMENT_LEAST_US) {
      this.#endPart(this.#part, tablesAt);
      this.#endSegment(nowUs);
      this.#beginSegment(tablesAt);
    } else if (this.#isDue(this.#part, tablesAt)) this.#endPart(this.#part, tablesAt ?? place);
    if (isKey) this.#part.isIndependent = true;
  }

  /** Whether a part ends before the unit that begins now. */
  #isDue({ beginUs }: { beginUs: StreamUs }, tablesAt: number | undefined): boolean {
    const { targetUs, leastUs, intervalUs = 0 } = this.#rule;
    const durationUs = this.#nowUs() - beginUs;
    if (tablesAt !== undefined && durationUs >= leastUs - ROUNDED_US) return true;
    return durationUs + Math.max(intervalUs, this.#stepUs) > targetUs + ROUNDED_US;
  }

  #endPart(part: { from: number; beginUs: StreamUs; isIndependent: boolean }, to: number): void {
    if (to <= part.from) return;
    const nowUs = this.#nowUs();
    this.#close(part, to, nowUs - part.beginUs);
    this.#part = { from: to, beginUs: nowUs, isIndependent: false };
  }

  #beginSegment(from: number): void {
    this.#segments.push({ from, beginUs: this.#nowUs(), durationUs: undefined, parts: [] });
  }

  #endSegment(endUs: StreamUs): void {
    const segment = this.#segments.at(-1);
    if (segment) segment.durationUs = Math.max(1000, Math.round(endUs - segment.beginUs));
  }

  /** A sender who sends nothing for a while shows one picture longer than a part may be said to be. */
  #close({ from, isIndependent }: { from: number; isIndependent: boolean }, to: number, durationUs: number): void {
    const told = Math.min(this.#rule.targetUs, Math.max(1000, Math.round(durationUs)));
    this.#segments.at(-1)?.parts.push({ from, to, durationUs: told, isIndependent });
  }

  #nowUs(): StreamUs {
    return (((this.#ticks ?? this.#zero) - this.#zero) * 100) / 9;
  }
}

/**
 * What a packet says of the unit that begins in it (§2.4.3.4, §2.4.3.6): its decode time, and whether one may begin
 * there.
 */
function beginningOf(packet: Buffer): { kind: MediaKind; ticks: number; isRandomAccess: boolean } | undefined {
  const control = (packet[3]! >> 4) & 3;
  const field = control >= 2 ? packet[4]! : 0;
  const isRandomAccess = control >= 2 && field > 0 && (packet[5]! & 0x40) !== 0;
  const pes = control === 3 ? 5 + field : 4;
  if ((control & 1) === 0 || pes + 19 > packet.length || packet.readUIntBE(pes, 3) !== 1) return undefined;
  const id = packet[pes + 3]!;
  const kind = (id & 0xf0) === 0xe0 ? 'video' : (id & 0xe0) === 0xc0 || id === 0xbd ? 'audio' : undefined;
  const times = packet[pes + 7]! >> 6;
  if (!kind || times < 2) return undefined;
  const at = times === 3 ? pes + 14 : pes + 9;
  const [high, middle, low] = [packet[at]!, packet.readUInt16BE(at + 1), packet.readUInt16BE(at + 3)];
  return { kind, ticks: ((high >> 1) & 7) * 2 ** 30 + (middle >> 1) * 2 ** 15 + (low >> 1), isRandomAccess };
}
