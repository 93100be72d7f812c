/**
 * DecoderSets: what decoding needs besides the pictures, as a stream sent it: parameter sets of H.264, the sequence
 * header of AV1. Many senders send it only once; a recorder that comes later gets it before its first key frame.
 */
import { OBU_SEQUENCE_HEADER, readObuStart } from '../../media/obu.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { VideoCodec } from '../../media/track.ts';
import { readAv1Payload } from './av1-payload.ts';
import { isParameterSet, setKey } from './depacketize/h264.ts';

/** What tells a set from the stream's other sets, and an RTP payload with this set alone. */
type FoundSet = { key: string; payload: Buffer };

/** More sets than any encoder sends; a sender of nothing else must not fill the memory. */
const MAX_SETS = 64;
const MAX_VERSIONS = 8;
const STAP_A = 24;
/**
 * AV1 aggregation header for one element that takes everything left, at the beginning of a coded video sequence
 * (payload format §4.4).
 */
const ONE_ELEMENT_NEW_SEQUENCE = 0x18;

export class DecoderSets {
  readonly #codec: VideoCodec;
  /** By key, each version with the index of the packet that brought it, the oldest first. */
  readonly #sets = new Map<string, { index: number; payload: Buffer }[]>();

  constructor(codec: VideoCodec) {
    this.#codec = codec;
  }

  /** @param payload of the packet with this index; indices rise */
  note(payload: Buffer, index: number): void {
    if (!mayHoldSets(this.#codec, payload)) return;
    for (const { key, payload: set } of setsIn(this.#codec, payload)) {
      const versions = this.#sets.get(key) ?? [];
      if (versions.at(-1)?.payload.equals(set)) continue;
      if (versions.length === 0 && this.#sets.size >= MAX_SETS) continue;
      versions.push({ index, payload: inOwnMemory(set) });
      if (versions.length > MAX_VERSIONS) versions.shift();
      this.#sets.set(key, versions);
    }
  }

  /** Nobody begins before `index` any more, so only the newest version of each set from before it is needed. */
  forgetBefore(index: number): void {
    for (const versions of this.#sets.values()) while (versions[1] && versions[1].index <= index) versions.shift();
  }

  /**
   * The sets that a key frame needs and does not bring.
   * @param index of its first packet
   * @param payloads of its packets
   * @returns RTP payloads to put before it
   */
  missingFrom(index: number, payloads: readonly Buffer[]): Buffer[] {
    if (this.#sets.size === 0) return [];
    const own = new Set(payloads.flatMap((payload) => setsIn(this.#codec, payload).map(({ key }) => key)));
    return [...this.#sets].flatMap(([key, versions]) => {
      const set = own.has(key) ? undefined : versions.findLast((version) => version.index < index);
      return set ? [set.payload] : [];
    });
  }
}

/** Asked for every packet, so it must cost nearly nothing. */
function mayHoldSets(codec: VideoCodec, payload: Buffer): boolean {
  const type = (payload[0] ?? 0) & 0x1f;
  return codec === 'av1' || (codec === 'h264' && (type === STAP_A || isParameterSet(type)));
}

function setsIn(codec: VideoCodec, payload: Buffer): FoundSet[] {
  if (codec === 'h264') return parameterSetsIn(payload).map((nal) => ({ key: setKey(nal), payload: nal }));
  return codec === 'av1' ? sequenceHeadersIn(payload) : [];
}

/**
 * Sets in units of their own, or in a STAP-A (RFC 6184 §5.7.1). A set in fragments would be larger than a datagram,
 * which no encoder makes.
 */
function parameterSetsIn(payload: Buffer): Buffer[] {
  const type = (payload[0] ?? 0) & 0x1f;
  if (isParameterSet(type)) return [payload];
  if (type !== STAP_A) return [];
  const found: Buffer[] = [];
  for (let at = 1; at + 3 <= payload.length; ) {
    const end = at + 2 + payload.readUInt16BE(at);
    if (end === at + 2 || end > payload.length) break;
    if (isParameterSet(payload[at + 2]! & 0x1f)) found.push(payload.subarray(at + 2, end));
    at = end;
  }
  return found;
}

function sequenceHeadersIn(payload: Buffer): FoundSet[] {
  const read = readAv1Payload(payload);
  if (!read) return [];
  return read.elements.flatMap((element, n) => {
    const isWhole = !(n === 0 && read.continues) && !(n === read.elements.length - 1 && read.goesOn);
    if (!isWhole || readObuStart(element)?.type !== OBU_SEQUENCE_HEADER) return [];
    return [{ key: 'sequence', payload: Buffer.concat([Buffer.of(ONE_ELEMENT_NEW_SEQUENCE), element]) }];
  });
}
