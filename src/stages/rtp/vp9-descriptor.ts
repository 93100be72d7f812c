/**
 * The VP9 payload descriptor (RFC 9628 §4.2), in flexible and non-flexible mode, and the first bits of a VP9 frame.
 */

/** Bits of the first byte. */
const PICTURE_ID = 0x80;
const PREDICTED = 0x40;
const LAYERS = 0x20;
const FLEXIBLE = 0x10;
const BEGINS = 0x08;
const ENDS = 0x04;
const STRUCTURE = 0x02;
const MAX_REFERENCES = 3;

export type Vp9Descriptor = {
  /** Its length; the frame's bytes follow. It may fill the whole payload. */
  bytes: number;
  /** Whether a layer frame begins, or ends, with this payload. */
  begins: boolean;
  ends: boolean;
  /** 0 without layer indices. */
  spatialLayer: number;
};

/** Undefined when the payload is cut short within the descriptor. */
export function readVp9Descriptor(payload: Buffer): Vp9Descriptor | undefined {
  const first = payload[0];
  if (first === undefined) return undefined;
  let at = 1;
  if (first & PICTURE_ID) at += (payload[at] ?? 0) & 0x80 ? 2 : 1;
  let spatialLayer = 0;
  if (first & LAYERS) {
    spatialLayer = ((payload[at] ?? 0) >> 1) & 0x07;
    // Without flexible mode a TL0PICIDX follows.
    at += first & FLEXIBLE ? 1 : 2;
  }
  if (first & FLEXIBLE && first & PREDICTED) {
    let more = true;
    for (let n = 0; more; n++) {
      if (n === MAX_REFERENCES) return undefined;
      more = ((payload[at++] ?? 0) & 0x01) !== 0;
    }
  }
  if (first & STRUCTURE) at = skipStructure(payload, at);
  if (at > payload.length) return undefined;
  return { bytes: at, begins: (first & BEGINS) !== 0, ends: (first & ENDS) !== 0, spatialLayer };
}

/** §4.2.1: sizes of the layers if Y, and the pictures of the group if G, each with what it refers to. */
function skipStructure(payload: Buffer, from: number): number {
  const flags = payload[from] ?? 0;
  let at = from + 1;
  if (flags & 0x10) at += 4 * ((flags >> 5) + 1);
  if (flags & 0x08) {
    const pictures = payload[at++] ?? 0;
    for (let n = 0; n < pictures; n++) at += 1 + (((payload[at] ?? 0) >> 2) & 0x03);
  }
  return at;
}

/**
 * Told by the first byte of a frame: marker, profile, not showing an older frame again, and frame type KEY_FRAME (VP9
 * bitstream specification §6.2).
 */
export function isVp9KeyFrame(frame: Buffer): boolean {
  const first = frame[0];
  if (first === undefined || first >> 6 !== 0b10) return false;
  // Profile 3 has one more reserved bit.
  const flags = (first & 0x30) === 0x30 ? first >> 1 : first >> 2;
  return (flags & 0x03) === 0;
}

/** RFC 9628 §4.2: the lowest layer's frame begins, and its own header says that it is a key frame. */
export function startsVp9KeyFrame(payload: Buffer): boolean {
  const descriptor = readVp9Descriptor(payload);
  if (!descriptor?.begins || descriptor.spatialLayer > 0) return false;
  return isVp9KeyFrame(payload.subarray(descriptor.bytes));
}
