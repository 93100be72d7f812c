/**
 * An AV1 temporal unit to RTP payloads: the units without their size fields, as many to a payload as fit, cut where
 * they do not (RTP Payload Format For AV1 v1.0 §4).
 */
import {
  HAS_SIZE,
  OBU_SEQUENCE_HEADER,
  OBU_TEMPORAL_DELIMITER,
  OBU_TILE_LIST,
  readObu,
  writeLeb128,
} from '../../../src/media/obu.ts';

/** Z: the first element goes on from before. Y: the last one goes on. N: a coded video sequence begins. */
const Z = 0x80;
const Y = 0x40;
const N = 0x08;
/** Up to so many elements are counted in the header, which saves the last one's length. */
const MAX_COUNTED = 3;

/**
 * @param temporalUnit in the low-overhead format, where units say their size
 * @param maxPayloadBytes at least 8
 * @returns the payloads in order; the last one's packet carries the marker
 */
export function packetizeAv1(temporalUnit: Buffer, maxPayloadBytes: number): Buffer[] {
  if (maxPayloadBytes < 8) throw new RangeError(`an AV1 payload needs at least 8 bytes, got ${maxPayloadBytes}`);
  const { units, startsSequence } = readUnits(temporalUnit);
  const lengthBytes = writeLeb128(maxPayloadBytes).length;
  const payloads: Buffer[] = [];
  let elements: Buffer[] = [];
  let room = maxPayloadBytes - 1;
  let continues = false;
  const end = (goesOn: boolean) => {
    const first = payloads.length === 0 && startsSequence;
    payloads.push(joinElements(elements, (continues ? Z : 0) | (goesOn ? Y : 0) | (first ? N : 0)));
    elements = [];
    room = maxPayloadBytes - 1;
    continues = goesOn;
  };
  for (const unit of units) {
    for (let at = 0; at < unit.length; ) {
      if (room <= lengthBytes) end(at > 0);
      const part = unit.subarray(at, at + room - lengthBytes);
      elements.push(part);
      room -= lengthBytes + part.length;
      at += part.length;
    }
  }
  if (elements.length > 0) end(false);
  return payloads;
}

function readUnits(temporalUnit: Buffer): { units: Buffer[]; startsSequence: boolean } {
  const units: Buffer[] = [];
  let startsSequence = false;
  for (let at = 0; at < temporalUnit.length; ) {
    const obu = readObu(temporalUnit.subarray(at));
    if (!obu) throw new RangeError(`there is no whole unit at byte ${at} of the temporal unit`);
    at += obu.end;
    startsSequence ||= obu.type === OBU_SEQUENCE_HEADER;
    if (obu.type === OBU_TEMPORAL_DELIMITER || obu.type === OBU_TILE_LIST) continue;
    units.push(Buffer.concat([Buffer.of(obu.header[0]! & ~HAS_SIZE, ...obu.header.subarray(1)), obu.payload]));
  }
  return { units, startsSequence };
}

function joinElements(elements: Buffer[], flags: number): Buffer {
  const counted = elements.length <= MAX_COUNTED;
  const parts: Buffer[] = [Buffer.of(flags | (counted ? elements.length << 4 : 0))];
  elements.forEach((element, n) => {
    if (!counted || n < elements.length - 1) parts.push(writeLeb128(element.length));
    parts.push(element);
  });
  return Buffer.concat(parts);
}
