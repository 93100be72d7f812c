/**
 * Open bitstream units of AV1 (AV1 bitstream specification §5.3): their headers and sizes, and how to tell a key frame.
 */

export const OBU_SEQUENCE_HEADER = 1;
export const OBU_TEMPORAL_DELIMITER = 2;
export const OBU_FRAME_HEADER = 3;
export const OBU_TILE_GROUP = 4;
export const OBU_METADATA = 5;
export const OBU_FRAME = 6;
export const OBU_TILE_LIST = 8;

const TYPE_MASK = 0x0f;
const HAS_EXTENSION = 0x04;
export const HAS_SIZE = 0x02;
const FORBIDDEN = 0x80;

/** What precedes a unit's payload. */
type ObuStart = {
  type: number;
  spatialLayer: number;
  headerBytes: number;
  payloadAt: number;
  /** The value of its size field; undefined without one. */
  payloadBytes: number | undefined;
};

export type Obu = {
  type: number;
  /** One or two bytes, unchanged. */
  header: Buffer;
  payload: Buffer;
};

/** A number in 7-bit groups, the lowest first (AV1 §4.10.5); undefined when cut short or over 32 bits. */
export function readLeb128(bytes: Buffer, at: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let n = 0; n < 5; n++) {
    const byte = bytes[at + n];
    if (byte === undefined) return undefined;
    value += (byte & 0x7f) * 2 ** (7 * n);
    if ((byte & 0x80) === 0) return value > 0xffffffff ? undefined : { value, end: at + n + 1 };
  }
  return undefined;
}

/** The shortest form of a number below 2^32. */
export function writeLeb128(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest % 128) | (rest > 127 ? 0x80 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Buffer.from(bytes);
}

/** A unit without extension that has a size field (AV1 §5.3.1). */
export function withObuSize(type: number, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.of((type << 3) | HAS_SIZE), writeLeb128(payload.length), payload]);
}

/**
 * The header and size field at the beginning of `bytes`; undefined when they are malformed or cut short. The payload
 * may be cut short.
 */
export function readObuStart(bytes: Buffer): ObuStart | undefined {
  const first = bytes[0];
  if (first === undefined || (first & FORBIDDEN) !== 0) return undefined;
  const headerBytes = first & HAS_EXTENSION ? 2 : 1;
  if (bytes.length < headerBytes) return undefined;
  const size = first & HAS_SIZE ? readLeb128(bytes, headerBytes) : undefined;
  if (first & HAS_SIZE && !size) return undefined;
  return {
    type: (first >> 3) & TYPE_MASK,
    spatialLayer: headerBytes === 2 ? (bytes[1]! >> 3) & 0x03 : 0,
    headerBytes,
    payloadAt: size?.end ?? headerBytes,
    payloadBytes: size?.value,
  };
}

/**
 * The unit at the beginning of `bytes`. A unit without a size field takes all of them.
 * @returns undefined when they do not begin with a whole unit
 */
export function readObu(bytes: Buffer): (Obu & { end: number }) | undefined {
  const start = readObuStart(bytes);
  if (!start) return undefined;
  const end = start.payloadBytes === undefined ? bytes.length : start.payloadAt + start.payloadBytes;
  if (end > bytes.length) return undefined;
  const header = bytes.subarray(0, start.headerBytes);
  return { type: start.type, header, payload: bytes.subarray(start.payloadAt, end), end };
}

/** Whether a unit is the beginning of a picture: a frame header, alone or with its tiles. */
export function startsPicture(type: number): boolean {
  return type === OBU_FRAME || type === OBU_FRAME_HEADER;
}

/**
 * Told by the first payload byte of a unit that starts a picture: it does not repeat an older picture, and its frame
 * type is KEY_FRAME (AV1 §5.9.2).
 */
export function isAv1KeyFrame(first: number | undefined): boolean {
  return first !== undefined && (first & 0xe0) === 0;
}
