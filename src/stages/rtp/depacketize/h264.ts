/**
 * H.264 payloads to Annex B access units: single NAL units, STAP-A and FU-A, which is all that packetization modes 0 and 1
 * allow (RFC 6184 §5.4).
 */
import type { FrameAssembly } from './frame-depacketizer.ts';

const SLICE = 1;
const IDR = 5;
const SPS = 7;
const PPS = 8;
const STAP_A = 24;
const FU_A = 28;
const START_CODE = Buffer.from([0, 0, 0, 1]);
/** Parameter sets that came in a unit of their own and wait for the picture they belong to. */
const MAX_WAITING_SETS = 64;

export class H264Assembly implements FrameAssembly {
  readonly #sprop: Buffer[];
  #inBandSets = false;
  #waitingSets: Buffer[] = [];
  #nals: Buffer[] = [];
  #fragments: Buffer[] | undefined;

  /** @param fmtp the format parameters of the SDP; `sprop-parameter-sets` is used when none come in band */
  constructor(fmtp: string) {
    this.#sprop = parseParameterSets(fmtp);
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
    // A NAL unit begun but not ended by its last fragment cannot be told from a whole one by a decoder.
    if (this.#fragments) return false;
    if (type === STAP_A) return this.#addAggregate(payload);
    // 0, 30 and 31 are to be ignored; the others are of the interleaved mode, which we never agree to (§5.2).
    if (type === 0 || type === 30 || type === 31) return true;
    if (type > 23) return false;
    this.#nals.push(payload);
    return true;
  }

  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined {
    if (this.#fragments) return 'damaged';
    const nals = this.#nals;
    this.#nals = [];
    const types = nals.map((nal) => nal[0]! & 0x1f);
    if (types.includes(SPS)) this.#inBandSets = true;
    if (!types.some((type) => type >= SLICE && type <= IDR)) {
      const sets = nals.filter((_, n) => isParameterSet(types[n]!));
      this.#waitingSets = [...this.#waitingSets, ...sets].slice(-MAX_WAITING_SETS);
      return undefined;
    }
    const isIdr = types.includes(IDR);
    const before = isIdr && !this.#inBandSets ? [...this.#sprop, ...this.#waitingSets] : this.#waitingSets;
    // Without any parameter sets nothing can be decoded from here on.
    const isDecodable = this.#inBandSets || this.#sprop.length > 0;
    const keyFrame = (isIdr && isDecodable) || (types.includes(SPS) && nals.every(isIntraOrNoSlice));
    this.#waitingSets = [];
    return { data: joinNals([...before, ...nals]), keyFrame };
  }

  reset(): void {
    this.#nals = [];
    this.#fragments = undefined;
  }

  /**
   * Whether a NAL unit can be its access unit's first (H.264 §7.4.1.2.3): SEI, SPS, PPS and AUD come before the picture; a
   * slice is the picture's first when `first_mb_in_slice` is 0, a single 1 bit. An IDR slice whose parameter sets come in band
   * has them before it: where they are missing they were lost, and may have been new ones.
   */
  #startsPicture(type: number, second: number | undefined): boolean {
    if (type >= 6 && type <= 9) return true;
    if (type === IDR && (this.#inBandSets || this.#sprop.length === 0)) return false;
    return (type === SLICE || type === IDR) && second !== undefined && (second & 0x80) !== 0;
  }

  /** §5.7.1: aggregation header, then 16-bit sizes each before its NAL unit. */
  #addAggregate(payload: Buffer): boolean {
    let at = 1;
    while (at + 2 < payload.length) {
      const end = at + 2 + payload.readUInt16BE(at);
      if (end === at + 2 || end > payload.length) return false;
      const nal = payload.subarray(at + 2, end);
      if ((nal[0]! & 0x1f) > 23) return false;
      this.#nals.push(nal);
      at = end;
    }
    return at === payload.length && at > 1;
  }

  /** §5.8: the NAL header's type stands in the FU header, the rest of it in the FU indicator. */
  #addFragment(payload: Buffer): boolean {
    if (payload.length < 3) return false;
    const indicator = payload[0]!;
    const fu = payload[1]!;
    const start = (fu & 0x80) !== 0;
    const end = (fu & 0x40) !== 0;
    if (start === (this.#fragments !== undefined)) return false;
    // A NAL unit of one fragment must not be sent as an FU, but some senders do; it is whole all the same.
    const fragments = this.#fragments ?? [Buffer.of((indicator & 0xe0) | (fu & 0x1f))];
    fragments.push(payload.subarray(2));
    this.#fragments = end ? undefined : fragments;
    if (end) this.#nals.push(Buffer.concat(fragments));
    return true;
  }
}

/** The NAL units of `sprop-parameter-sets`, which are base64 separated by commas (RFC 6184 §8.1). */
export function parseParameterSets(fmtp: string): Buffer[] {
  const value = /(?:^|[;\s])sprop-parameter-sets\s*=\s*([^;\s]+)/i.exec(fmtp)?.[1] ?? '';
  return value
    .split(',')
    .map((set) => Buffer.from(set, 'base64'))
    .filter((nal) => nal.length > 1 && isParameterSet(nal[0]! & 0x1f));
}

function joinNals(nals: Buffer[]): Buffer {
  return Buffer.concat(nals.flatMap((nal) => [START_CODE, nal]));
}

/** SPS, PPS, SPS extension, subset SPS. */
function isParameterSet(type: number): boolean {
  return type === SPS || type === PPS || type === 13 || type === 15;
}

/** False for slices that need other pictures: `slice_type` other than I (2, 7) (H.264 §7.4.3). */
function isIntraOrNoSlice(nal: Buffer): boolean {
  const type = nal[0]! & 0x1f;
  if (type > IDR) return true;
  if (type !== SLICE) return false;
  const firstMb = readGolomb(nal, 8);
  const sliceType = firstMb && readGolomb(nal, firstMb.end);
  return sliceType !== undefined && sliceType.value % 5 === 2;
}

/** ue(v) of H.264 §9.1, from bit `at`. Undefined when it runs past the end or is longer than a slice header's can be. */
function readGolomb(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  const bit = (n: number) => ((bytes[n >> 3] ?? 0) >> (7 - (n & 7))) & 1;
  let zeros = 0;
  while (zeros < 24 && bit(at + zeros) === 0) zeros++;
  const end = at + 2 * zeros + 1;
  if (zeros === 24 || end > bytes.length * 8) return undefined;
  let value = 0;
  for (let n = at + zeros; n < end; n++) value = value * 2 + bit(n);
  return { value: value - 1, end };
}
