/**
 * H.264 payloads to Annex B access units: single NAL units, STAP-A and FU-A, which is all that packetization modes 0
 * and 1 allow (RFC 6184 §5.4).
 */
import { BitReader, BitsExhausted } from '../../../media/bit-reader.ts';
import { inOwnMemory } from '../../../media/own-memory.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

const SLICE = 1;
const IDR = 5;
const SPS = 7;
const PPS = 8;
const DELIMITER = 9;
const SPS_EXTENSION = 13;
const SUBSET_SPS = 15;
const STAP_A = 24;
const FU_A = 28;
const START_CODE = Buffer.from([0, 0, 0, 1]);
/** Each value of a byte as bytes, for the NAL headers that fragments tell in two halves. */
const BYTES = Array.from({ length: 256 }, (_, value) => Buffer.of(value));
/** A stream has one or two sets; the format allows 32 and 256, and strangers must not fill the memory. */
const MAX_SETS = 64;
const MAX_SETS_BYTES = 65_536;

/**
 * A NAL unit as it came: a picture is put together once, when all of it is there. The first part begins with the
 * header.
 */
type Nal = { type: number; parts: Buffer[] };

export class H264Assembly implements FrameAssembly {
  /** The latest set of each kind and number, from the stream or from outside it: some senders send them only once. */
  readonly #sets = new Map<string, Buffer>();
  /** Sets came alone, or with a picture that was lost: the next picture must carry them. */
  #renewed = false;
  /** The last key frame came without sets of its own, so the next may do so too. */
  #idrAlone: boolean;
  #nals: Nal[] = [];
  #fragments: Buffer[] | undefined;

  /**
   * @param fmtp the format parameters of the SDP; its `sprop-parameter-sets` hold until others come in band
   * @param sets those of an assembly that this one continues; they are newer
   */
  constructor(fmtp: string, sets: Buffer[] = []) {
    for (const nal of [...parseParameterSets(fmtp), ...sets]) this.#keep(nal);
    this.#idrAlone = this.#sets.size > 0;
  }

  begins(payload: Buffer): boolean {
    const type = payload[0]! & 0x1f;
    if (type === FU_A) return ((payload[1] ?? 0) & 0x80) !== 0 && this.#startsPicture(payload[1]! & 0x1f, payload[2]);
    if (type === STAP_A) return payload.length > 4 && this.#startsPicture(payload[3]! & 0x1f, payload[4]);
    return this.#startsPicture(type, payload[1]);
  }

  add(payload: Buffer): boolean {
    const type = payload[0]! & 0x1f;
    if (type === FU_A) return this.#addFragment(payload);
    // A decoder cannot tell a NAL unit that lacks its last fragment from a whole one.
    if (this.#fragments) return false;
    if (type === STAP_A) return this.#addAggregate(payload);
    // Types 0, 30 and 31 must be ignored; the others belong to the interleaved mode, which we never agree to (§5.2).
    if (type === 0 || type === 30 || type === 31) return true;
    if (type > 23) return false;
    return this.#push([payload]);
  }

  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined {
    if (this.#fragments) return 'damaged';
    const nals = this.#nals;
    this.#nals = [];
    const own = new Set(nals.filter(({ type }) => isParameterSet(type)).map(({ parts }) => setKey(parts[0]!)));
    if (!nals.some(({ type }) => type >= SLICE && type <= IDR)) {
      this.#renewed ||= own.size > 0;
      return undefined;
    }
    const isIdr = nals.some(({ type }) => type === IDR);
    if (isIdr) this.#idrAlone = own.size === 0;
    // Without an SPS nothing can be decoded from here on.
    const isDecodable = [...this.#sets.values()].some((nal) => (nal[0]! & 0x1f) === SPS);
    const keyFrame = (isIdr && isDecodable) || (nals.some(({ type }) => type === SPS) && nals.every(isIntraOrNoSlice));
    const isFirst = this.#renewed || keyFrame;
    this.#renewed = false;
    const before = isFirst ? [...this.#sets].filter(([key]) => !own.has(key)).map(([, nal]) => nal) : [];
    return { data: Buffer.concat(annexB(nals, before)), keyFrame };
  }

  decoderSets(): Buffer[] {
    return [...this.#sets.values()];
  }

  reset(): void {
    this.#nals = [];
    this.#fragments = undefined;
  }

  /**
   * Whether a NAL unit can be the first of its access unit (H.264 §7.4.1.2.3): SEI, SPS, PPS and AUD come before the
   * picture; a slice is the picture's first when `first_mb_in_slice` is 0, a single 1 bit. An IDR slice has its
   * parameter sets before it when they come in band: if they are missing there they were lost, and may have been new
   * ones.
   */
  #startsPicture(type: number, second: number | undefined): boolean {
    if (type >= 6 && type <= 9) return true;
    if (type === IDR && !this.#idrAlone) return false;
    return (type === SLICE || type === IDR) && second !== undefined && (second & 0x80) !== 0;
  }

  /** Returns false for a slice that consists only of a header: pictures that refer to its picture would be smeared. */
  #push(parts: Buffer[]): boolean {
    const first = parts[0]!;
    const type = first[0]! & 0x1f;
    const isEmpty = parts.length === 1 && first.length === 1;
    if (isEmpty && type >= SLICE && type <= IDR) return false;
    if (!isParameterSet(type)) {
      this.#nals.push({ type, parts });
      return true;
    }
    // An empty set would take the place of one that was sent.
    if (isEmpty) return true;
    const set = parts.length === 1 ? first : Buffer.concat(parts);
    this.#nals.push({ type, parts: [set] });
    this.#keep(set);
    return true;
  }

  #keep(nal: Buffer): void {
    const key = setKey(nal);
    const former = this.#sets.get(key);
    this.#sets.delete(key);
    let bytes = nal.length;
    for (const set of this.#sets.values()) bytes += set.length;
    if (this.#sets.size < MAX_SETS && bytes <= MAX_SETS_BYTES)
      this.#sets.set(key, former?.equals(nal) ? former : inOwnMemory(nal));
    else if (former) this.#sets.set(key, former);
  }

  /** As §5.7.1 says: an aggregation header, then NAL units, each after its 16-bit size. */
  #addAggregate(payload: Buffer): boolean {
    let at = 1;
    while (at + 2 < payload.length) {
      const end = at + 2 + payload.readUInt16BE(at);
      if (end === at + 2 || end > payload.length) return false;
      const nal = payload.subarray(at + 2, end);
      if ((nal[0]! & 0x1f) > 23 || !this.#push([nal])) return false;
      at = end;
    }
    return at === payload.length && at > 1;
  }

  /** As §5.8 says: the NAL header's type is in the FU header, the rest of it in the FU indicator. */
  #addFragment(payload: Buffer): boolean {
    if (payload.length < 3) return false;
    const indicator = payload[0]!;
    const fu = payload[1]!;
    const start = (fu & 0x80) !== 0;
    const end = (fu & 0x40) !== 0;
    if (start === (this.#fragments !== undefined)) return false;
    // A NAL unit with a single fragment must not be sent as an FU, but some senders do so; it is complete nevertheless.
    const fragments = this.#fragments ?? [BYTES[(indicator & 0xe0) | (fu & 0x1f)]!];
    fragments.push(payload.subarray(2));
    this.#fragments = end ? undefined : fragments;
    return !end || this.#push(fragments);
  }
}

/** The NAL units of `sprop-parameter-sets`, which are base64 separated by commas (RFC 6184 §8.1). */
function parseParameterSets(fmtp: string): Buffer[] {
  const value = /(?:^|[;\s])sprop-parameter-sets\s*=\s*([^;\s]+)/i.exec(fmtp)?.[1] ?? '';
  return value
    .split(',')
    .map((set) => Buffer.from(set, 'base64'))
    .filter((nal) => nal.length > 1 && isParameterSet(nal[0]! & 0x1f));
}

/**
 * The bytes of a picture, piece by piece. Sets come before everything except an access unit delimiter, which is the
 * first in its unit (H.264 §7.4.1.2.3).
 */
function annexB(nals: readonly Nal[], sets: readonly Buffer[]): Buffer[] {
  const pieces: Buffer[] = [];
  const addSets = () => {
    for (const set of sets) pieces.push(START_CODE, set);
  };
  const delimited = nals[0]?.type === DELIMITER;
  if (!delimited) addSets();
  for (const [n, { parts }] of nals.entries()) {
    pieces.push(START_CODE);
    // One by one: a stranger's picture may have more parts than a call takes arguments.
    for (const part of parts) pieces.push(part);
    if (n === 0 && delimited) addSets();
  }
  return pieces;
}

/** SPS, PPS, SPS extension, subset SPS. */
export function isParameterSet(type: number): boolean {
  return type === SPS || type === PPS || type === SPS_EXTENSION || type === SUBSET_SPS;
}

/** What tells a parameter set from the stream's other sets: its type and number (H.264 §7.3.2). */
export function setKey(nal: Buffer): string {
  const type = nal[0]! & 0x1f;
  const isSps = type === SPS || type === SUBSET_SPS;
  // In an SPS the profile, constraints and level come before its number.
  return `${type} ${readNumber(nal.subarray(isSps ? 4 : 1))}`;
}

/** The ue(v) of H.264 §9.1 at the beginning; undefined when there is none. */
function readNumber(bytes: Buffer): number | undefined {
  try {
    return new BitReader(bytes).golomb();
  } catch (error) {
    if (error instanceof BitsExhausted) return undefined;
    throw error;
  }
}

/** False for slices that need other pictures: those with a `slice_type` other than I (2, 7) (H.264 §7.4.3). */
function isIntraOrNoSlice({ type, parts }: Nal): boolean {
  if (type > IDR) return true;
  if (type !== SLICE) return false;
  const read = new BitReader(Buffer.concat(parts).subarray(1));
  try {
    read.golomb();
    return read.golomb() % 5 === 2;
  } catch (error) {
    if (error instanceof BitsExhausted) return false;
    throw error;
  }
}
