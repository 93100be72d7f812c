/**
 * Decoded media: a Picture (planar 4:2:0) and a Sound block. Native memory behind a Picture has one owner, who calls
 * `free`.
 */

/**
 * How a picture is turned before it is shown: clockwise by `turn` degrees first, then mirrored left to right when
 * `flip`.
 */
export type Orientation = { turn: 0 | 90 | 180 | 270; flip: boolean };

/**
 * Width of a pixel by its height, `num` / `den`, both positive: of a picture that is shown wider or narrower than it
 * was sent.
 */
export type SampleAspect = { num: number; den: number };

/** Streams call pixels up to 32:11 wide by name (H.264 table E-1). */
const MAX_ASPECT = 4;

/**
 * What a stream says of its pixels; undefined when they are square, when it says nothing, and when it says nonsense.
 */
export function sampleAspectOf({ num, den }: { num: number; den: number }): SampleAspect | undefined {
  const isSaid = num > 0 && den > 0 && num !== den;
  return isSaid && num <= MAX_ASPECT * den && den <= MAX_ASPECT * num ? { num, den } : undefined;
}

/**
 * One decoded picture, 8-bit planar YUV 4:2:0, limited range, BT.601 matrix (what browsers send, untagged, over
 * WebRTC).
 */
export type Picture = {
  width: number;
  height: number;
  /** Y, U and V planes as views of native memory; valid until `free`. */
  planes: readonly [Buffer, Buffer, Buffer];
  /** Bytes per row of each plane, at least the row's pixels. */
  strides: readonly [number, number, number];
  /** How it is to be shown; size and planes are as they were sent. Absent when it stands upright. */
  orientation?: Orientation | undefined;
  /** Before it is turned. Absent when pixels are square. */
  sampleAspect?: SampleAspect | undefined;
  /** Gives the native memory back. Calling it again does nothing. */
  free(): void;
};

/** 48 kHz float samples, one array per channel (1 or 2), all of one length. */
export type Sound = { channels: Float32Array[]; samples: number };

/** The rate of all sound inside a recording, Hz. */
export const SOUND_RATE = 48_000;

/** A picture of even size with an alpha plane. It too has one owner. */
export type Layer = { readonly width: number; readonly height: number; free(): void };

/** Makes and copies pictures. `stages/codec` provides it; stages that may not import codec use this type. */
export type PictureSource = {
  /** A picture of even size whose content is undefined. Throws when the size is not even or not positive. */
  allocate(width: number, height: number): Picture;
  /** A second owner of the same memory, freed separately. */
  share(picture: Picture): Picture;
  /** True when the memory has no other owner, so that writing to it disturbs nobody. */
  exclusive(picture: Picture): boolean;
  /** Copies all of `from` into `to`, its top left corner at (x, y). Both numbers are even, and it must fit. */
  copy(from: Picture, to: Picture, x: number, y: number): void;
  /** Copies an even rectangle of `from` to the same place in `to`; it must lie in both. */
  copyPart(from: Picture, to: Picture, part: { x: number; y: number; width: number; height: number }): void;
};

/** Blends translucent layers over pictures; opaque pictures are copied by `PictureSource`. */
export type PictureBlender = {
  /** Blends all of a layer over `to`, its top left corner at (x, y). Both numbers are even, and it must fit. */
  lay(layer: Layer, to: Picture, x: number, y: number): void;
};

/** `crop` fills the target and cuts what overhangs; `fit` shows the whole picture, centred, and leaves the rest. */
export type Fitting = { width: number; height: number; render: 'crop' | 'fit' };

/** A picture made to fit, and where its top left corner belongs inside the target. All even. */
export type FittedPicture = { picture: Picture; x: number; y: number };

export type PictureScaler = {
  /**
   * Does not change `picture`. The caller frees the returned picture, which is upright, and shares the memory when
   * nothing had to change.
   */
  scale(picture: Picture, target: Fitting): FittedPicture;
};
