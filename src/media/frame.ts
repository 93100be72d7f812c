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
  /** Gives the native memory back. Calling it again does nothing. */
  free(): void;
};

/** 48 kHz float samples, one array per channel (1 or 2), all of one length. */
export type Sound = { channels: Float32Array[]; samples: number };

/** The rate of all sound inside a recording, Hz. */
export const SOUND_RATE = 48_000;

/** A picture of even size with an alpha plane of its own. It has one owner too. */
export type Layer = { readonly width: number; readonly height: number; free(): void };

/** Where pictures come from. `stages/codec` provides it; stages that may not import codec ask for it by this type. */
export type PictureSource = {
  /** A picture of even size whose content is undefined. Throws when the size is not even or not positive. */
  allocate(width: number, height: number): Picture;
  /** A second owner of the same memory, to be freed on its own. */
  share(picture: Picture): Picture;
  /** True when nobody else owns the memory, so writing to it disturbs no one. */
  exclusive(picture: Picture): boolean;
  /** Copies the whole of `from` into `to` with its top left corner at (x, y). Both are even, and it must fit. */
  copy(from: Picture, to: Picture, x: number, y: number): void;
  /** Copies an even rectangle of `from` to the same place in `to`, in both of which it lies. */
  copyPart(from: Picture, to: Picture, part: { x: number; y: number; width: number; height: number }): void;
};

/** Lays what is translucent over pictures, as `PictureSource` copies what is not. */
export type PictureBlender = {
  /** Lays all of a layer over `to` with its top left corner at (x, y). Both are even, and it must fit. */
  lay(layer: Layer, to: Picture, x: number, y: number): void;
};

/** `crop` fills the target and cuts what overhangs; `fit` shows all of the picture, centred, and leaves the rest. */
export type Fitting = { width: number; height: number; render: 'crop' | 'fit' };

/** A picture made to fit, and where its top left corner belongs inside the target. All even. */
export type FittedPicture = { picture: Picture; x: number; y: number };

export type PictureScaler = {
  /**
   * Leaves `picture` alone; the returned picture is upright and the caller's to free, and shares the memory when
   * nothing had to change.
   */
  scale(picture: Picture, target: Fitting): FittedPicture;
};
