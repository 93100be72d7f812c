/**
 * AV1 payloads to temporal units in the low-overhead format, where each unit tells its size (RTP Payload Format For AV1
 * v1.0 §4; AV1 bitstream specification §5.2). Temporal delimiters are left out, as they are in files.
 */

import {
  HAS_SIZE,
  isAv1KeyFrame,
  OBU_SEQUENCE_HEADER,
  OBU_TEMPORAL_DELIMITER,
  OBU_TILE_LIST,
  type Obu,
  readObu,
  startsPicture,
  writeLeb128,
} from '../../../media/obu.ts';
import { inOwnMemory } from '../../../media/own-memory.ts';
import { beginsAv1Unit, readAv1Payload } from '../av1-payload.ts';
import type { FrameAssembly } from './frame-depacketizer.ts';

/** Many times what an encoder makes of a picture; a sender of nothing but headers must not fill the memory. */
const MAX_UNITS = 1024;

export class Av1Assembly implements FrameAssembly {
  #obus: Obu[] = [];
  /** The latest sequence header: some senders send it only once. */
  #sequence: Obu | undefined;
  /** The parts of a unit that goes on in the next payload. */
  #parts: Buffer[] = [];

  /** @param sequence the unit with the sequence header, if it was sent before */
  constructor(sequence?: Buffer) {
    this.#sequence = sequence && readObu(sequence);
  }

  begins(payload: Buffer): boolean {
    return beginsAv1Unit(payload);
  }

  add(payload: Buffer): boolean {
    const read = readAv1Payload(payload);
    if (!read || read.continues !== this.#parts.length > 0) return false;
    return read.elements.every((element, n) => {
      this.#parts.push(element);
      if (n === read.elements.length - 1 && read.goesOn) return true;
      const whole = Buffer.concat(this.#parts);
      this.#parts = [];
      const obu = readObu(whole);
      // A unit that tells its own size must not be followed by other bytes.
      if (!obu || obu.end !== whole.length) return false;
      if (obu.type !== OBU_TEMPORAL_DELIMITER && obu.type !== OBU_TILE_LIST) this.#obus.push(obu);
      return this.#obus.length <= MAX_UNITS;
    });
  }

  finish(): { data: Buffer; keyFrame: boolean } | 'damaged' | undefined {
    if (this.#parts.length > 0) return 'damaged';
    const obus = this.#obus;
    this.#obus = [];
    const picture = obus.find((obu) => startsPicture(obu.type));
    if (!picture) return undefined;
    const own = obus.find(({ type }) => type === OBU_SEQUENCE_HEADER);
    if (own) this.#sequence = inOwnObu(own);
    const keyFrame = this.#sequence !== undefined && isAv1KeyFrame(picture.payload[0]);
    const before = keyFrame && !own && this.#sequence ? [this.#sequence] : [];
    return { data: Buffer.concat([...before, ...obus].map(withSize)), keyFrame };
  }

  decoderSets(): Buffer[] {
    return this.#sequence ? [withSize(this.#sequence)] : [];
  }

  reset(): void {
    this.#obus = [];
    this.#parts = [];
  }
}

/** It is kept for longer than what came with it. */
function inOwnObu(obu: Obu): Obu {
  return { ...obu, header: inOwnMemory(obu.header), payload: inOwnMemory(obu.payload) };
}

function withSize({ header, payload }: Obu): Buffer {
  const first = Buffer.of(header[0]! | HAS_SIZE, ...header.subarray(1));
  return Buffer.concat([first, writeLeb128(payload.length), payload]);
}
