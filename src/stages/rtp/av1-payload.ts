/**
 * The AV1 aggregation header and the elements after it (RTP Payload Format For AV1 v1.0 §4.4): units, or parts of them.
 */
import {
  isAv1KeyFrame,
  OBU_FRAME,
  OBU_FRAME_HEADER,
  OBU_METADATA,
  OBU_SEQUENCE_HEADER,
  OBU_TEMPORAL_DELIMITER,
  readLeb128,
  readObuStart,
  startsPicture,
} from '../../media/obu.ts';

const CONTINUES = 0x80;
const GOES_ON = 0x40;
const NEW_SEQUENCE = 0x08;

export type Av1Payload = {
  /** Z: the first element is the rest of a unit that began before. */
  continues: boolean;
  /** Y: the last element is not the end of its unit. */
  goesOn: boolean;
  /** N: a coded video sequence begins. */
  newSequence: boolean;
  elements: Buffer[];
};

/** Undefined when an element's length is missing or exceeds what is there. */
export function readAv1Payload(payload: Buffer): Av1Payload | undefined {
  const first = payload[0];
  if (first === undefined) return undefined;
  const counted = (first >> 4) & 0x03;
  const elements: Buffer[] = [];
  let at = 1;
  while (counted === 0 ? at < payload.length : elements.length < counted) {
    // When elements are counted the last one has no length and takes the rest.
    const isLast = elements.length === counted - 1;
    const length = isLast ? { value: payload.length - at, end: at } : readLeb128(payload, at);
    if (!length || length.end + length.value > payload.length) return undefined;
    at = length.end + length.value;
    elements.push(payload.subarray(length.end, at));
  }
  return {
    continues: (first & CONTINUES) !== 0,
    goesOn: (first & GOES_ON) !== 0,
    newSequence: (first & NEW_SEQUENCE) !== 0,
    elements,
  };
}

/** Types that the first unit of a temporal unit can have. */
const FIRST = [OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, OBU_METADATA, OBU_FRAME_HEADER, OBU_FRAME];

/** Whether a temporal unit can begin with this payload. The unit of a higher spatial layer is not the first. */
export function beginsAv1Unit(payload: Buffer): boolean {
  const read = readAv1Payload(payload);
  const start = read && !read.continues && read.elements[0] ? readObuStart(read.elements[0]) : undefined;
  return start !== undefined && FIRST.includes(start.type) && start.spatialLayer === 0;
}

/**
 * A key frame, whose sequence header may have come long before; or a sequence header with the N flag, which says that a
 * key frame follows.
 */
export function startsAv1KeyFrame(payload: Buffer): boolean {
  const read = readAv1Payload(payload);
  if (!read || read.continues) return false;
  let hasSequence = false;
  for (const element of read.elements) {
    const start = readObuStart(element);
    if (!start) continue;
    hasSequence ||= start.type === OBU_SEQUENCE_HEADER;
    if (startsPicture(start.type) && element.length > start.payloadAt) return isAv1KeyFrame(element[start.payloadAt]);
  }
  return hasSequence && read.newSequence;
}
