/**
 * VP9 frames as they follow the RTP descriptor: the uncompressed header, superframes, and how a frame is turned into
 * one that is decoded but not shown. Sections are those of the VP9 bitstream specification.
 */
import { BitReader, BitsExhausted } from '../../media/bit-reader.ts';

const FRAME_MARKER = 2;
const SYNC_CODE = 0x498342;
const COLOR_RGB = 7;
const SLOTS = 8;
const REFERENCES = 3;

type PictureSize = { width: number; height: number };

export type Vp9FrameHeader = {
  keyFrame: boolean;
  /** Whether a decoder returns a picture for it. */
  shown: boolean;
  /** It only says that an older picture is to be shown. */
  showsExisting: boolean;
  errorResilient: boolean;
  /** Undefined when it is the size of an unknown picture. */
  size: PictureSize | undefined;
  /** The reference slots that it fills, one bit each. */
  refreshes: number;
  /** Length of the uncompressed header, without the padding of its last byte; undefined when the size is unknown. */
  bits: number | undefined;
};

/** The sizes of the pictures that later ones may refer to, by slot. */
export class Vp9Slots {
  #sizes: (PictureSize | undefined)[] = [];

  /** Reads the next frame, in decode order. Undefined when it is damaged. */
  read(frame: Buffer): Vp9FrameHeader | undefined {
    try {
      const header = readHeader(frame, this.#sizes);
      if (!header) return undefined;
      for (let slot = 0; slot < SLOTS; slot++) if ((header.refreshes >> slot) & 1) this.#sizes[slot] = header.size;
      return header;
    } catch (error) {
      if (error instanceof BitsExhausted) return undefined;
      throw error;
    }
  }
}

/** §6.2 */
function readHeader(frame: Buffer, slots: readonly (PictureSize | undefined)[]): Vp9FrameHeader | undefined {
  const read = new BitReader(frame);
  if (read.bits(2) !== FRAME_MARKER) return undefined;
  const profile = read.bits(1) + 2 * read.bits(1);
  if (profile === 3) read.flag();
  if (read.flag()) {
    const size = slots[read.bits(3)];
    const bits = read.position;
    return { keyFrame: false, shown: true, showsExisting: true, errorResilient: false, size, refreshes: 0, bits };
  }
  const keyFrame = !read.flag();
  const shown = read.flag();
  const errorResilient = read.flag();
  const isIntraOnly = !keyFrame && !shown && read.flag();
  if (!keyFrame && !errorResilient) read.bits(2);
  let refreshes = 0xff;
  let size: PictureSize | undefined;
  if (keyFrame || isIntraOnly) {
    if (read.bits(24) !== SYNC_CODE) return undefined;
    if ((keyFrame || profile > 0) && !skipColor(read, profile)) return undefined;
    if (isIntraOnly) refreshes = read.bits(8);
    size = readSize(read);
    skipRenderSize(read);
  } else {
    refreshes = read.bits(8);
    const references = Array.from({ length: REFERENCES }, () => read.bits(4) >> 1);
    const like = references.find(() => read.flag());
    size = like === undefined ? readSize(read) : slots[like];
    skipRenderSize(read);
    read.flag();
    if (!read.flag()) read.bits(2);
  }
  const header = { keyFrame, shown, showsExisting: false, errorResilient, size, refreshes };
  if (!size) return { ...header, bits: undefined };
  if (!errorResilient) read.bits(2);
  read.bits(2);
  skipLoopFilter(read);
  skipQuantization(read);
  skipSegmentation(read);
  skipTiles(read, size.width);
  read.bits(16);
  return { ...header, bits: read.position };
}

/** §6.2.2. Returns false when reserved values are used. */
function skipColor(read: BitReader, profile: number): boolean {
  if (profile >= 2) read.flag();
  const isRgb = read.bits(3) === COLOR_RGB;
  const hasSampling = profile === 1 || profile === 3;
  if (isRgb && !hasSampling) return false;
  if (!isRgb) read.flag();
  if (!isRgb && hasSampling) read.bits(2);
  if (hasSampling) read.flag();
  return true;
}

/** §6.2.3 */
function readSize(read: BitReader): PictureSize {
  return { width: read.bits(16) + 1, height: read.bits(16) + 1 };
}

/** §6.2.4 */
function skipRenderSize(read: BitReader): void {
  if (read.flag()) read.bits(32);
}

/** §6.2.8 */
function skipLoopFilter(read: BitReader): void {
  read.bits(9);
  const hasDeltas = read.flag();
  if (!hasDeltas || !read.flag()) return;
  // Those of four references and two modes that are told anew.
  for (let n = 0; n < 6; n++) if (read.flag()) read.bits(7);
}

/** §6.2.9 */
function skipQuantization(read: BitReader): void {
  read.bits(8);
  for (let n = 0; n < 3; n++) if (read.flag()) read.bits(5);
}

/** Bits of the value of each segment feature, and of its sign. */
const SEGMENT_FEATURES = [9, 7, 2, 0];

/** §6.2.11 */
function skipSegmentation(read: BitReader): void {
  if (!read.flag()) return;
  const skipProbability = () => {
    if (read.flag()) read.bits(8);
  };
  if (read.flag()) {
    for (let n = 0; n < 7; n++) skipProbability();
    if (read.flag()) for (let n = 0; n < 3; n++) skipProbability();
  }
  if (!read.flag()) return;
  read.flag();
  for (let segment = 0; segment < 8; segment++) for (const bits of SEGMENT_FEATURES) if (read.flag()) read.bits(bits);
}

/** §6.2.13: a tile is at most 64 superblocks of 64 pixels wide, and at least 4. */
function skipTiles(read: BitReader, width: number): void {
  const superblocks = Math.ceil(width / 64);
  let log2 = 0;
  while (64 << log2 < superblocks) log2++;
  while (superblocks >> (log2 + 1) >= 4 && read.flag()) log2++;
  if (read.flag()) read.flag();
}

/** Annex B: the frames of a superframe; other data is one frame. */
export function splitSuperframe(data: Buffer): Buffer[] {
  const marker = data.at(-1) ?? 0;
  const count = (marker & 7) + 1;
  const sizeBytes = ((marker >> 3) & 3) + 1;
  const indexBytes = 2 + count * sizeBytes;
  if ((marker & 0xe0) !== 0xc0 || data.length < indexBytes || data[data.length - indexBytes] !== marker) return [data];
  const frames: Buffer[] = [];
  let from = 0;
  for (let n = 0; n < count; n++) {
    const bytes = data.readUIntLE(data.length - indexBytes + 1 + n * sizeBytes, sizeBytes);
    frames.push(data.subarray(from, from + bytes));
    from += bytes;
  }
  // What only looks like an index is the end of a frame.
  return from + indexBytes === data.length && frames.every((frame) => frame.length > 0) ? frames : [data];
}

/**
 * Annex B: the frames, followed by their sizes between two marker bytes. A single frame does not change.
 * @param frames 1 to 8
 */
export function superframeOf(frames: Buffer[]): Buffer {
  const [first] = frames;
  if (first && frames.length === 1) return first;
  const largest = Math.max(...frames.map((frame) => frame.length));
  const sizeBytes = largest > 0xffffff ? 4 : largest > 0xffff ? 3 : largest > 0xff ? 2 : 1;
  const marker = 0xc0 | ((sizeBytes - 1) << 3) | (frames.length - 1);
  const index = Buffer.alloc(2 + frames.length * sizeBytes, marker);
  frames.forEach((frame, n) => {
    index.writeUIntLE(frame.length, 1 + n * sizeBytes, sizeBytes);
  });
  return Buffer.concat([...frames, index]);
}

/**
 * The same frame, decoded but not shown: `show_frame` is cleared, and a predicted frame gets `intra_only`, which only
 * hidden frames have.
 * @param header the frame's own, with `bits`
 */
export function hidden(frame: Buffer, { keyFrame, bits }: { keyFrame: boolean; bits: number }): Buffer {
  // Profile 3 has a reserved bit before it.
  const shownAt = (frame[0]! & 0x30) === 0x30 ? 7 : 6;
  const insertAt = shownAt + 2;
  const oldBytes = Math.ceil(bits / 8);
  const header = Buffer.alloc(Math.ceil((bits + (keyFrame ? 0 : 1)) / 8));
  for (let at = 0, to = 0; at < bits; at++, to++) {
    if (at === insertAt && !keyFrame) to++;
    const bit = (frame[at >> 3]! >> (7 - (at & 7))) & 1;
    if (bit && at !== shownAt) header[to >> 3] = header[to >> 3]! | (1 << (7 - (to & 7)));
  }
  return Buffer.concat([header, frame.subarray(oldBytes)]);
}
