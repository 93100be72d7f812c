/**
 * Decoded media: a Picture (planar 4:2:0) and a Sound block. Native memory behind a Picture has one owner, who calls `free`.
 */

/** One decoded picture, 8-bit planar YUV 4:2:0, limited range. */
export type Picture = {
  width: number;
  height: number;
  /** Y, U and V planes as views of native memory; valid until `free`. */
  planes: readonly [Buffer, Buffer, Buffer];
  /** Bytes per row of each plane, at least the row's pixels. */
  strides: readonly [number, number, number];
  /** Gives the native memory back. Calling it again does nothing. */
  free(): void;
};

/** 48 kHz float samples, one array per channel (1 or 2), all of one length. */
export type Sound = { channels: Float32Array[]; samples: number };

/** The rate of all sound inside a recording, Hz. */
export const SOUND_RATE = 48_000;
