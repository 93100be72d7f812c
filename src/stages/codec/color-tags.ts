/** What a coded picture says about its colours, in the numbers of H.273, which FFmpeg uses too. */
import {
  AVCOL_PRI_BT709,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_SMPTE170M,
  AVCOL_TRC_BT709,
  type AVColorPrimaries,
  type AVColorRange,
  type AVColorSpace,
  type AVColorTransferCharacteristic,
} from 'node-av/constants';

export type ColorTags = {
  colorRange: AVColorRange;
  colorSpace: AVColorSpace;
  colorPrimaries: AVColorPrimaries;
  colorTrc: AVColorTransferCharacteristic;
};

/**
 * What Picture promises: limited range, BT.601 matrix. Primaries and transfer are those of sRGB cameras and canvases.
 */
export const PICTURE_COLOR: ColorTags = {
  colorRange: AVCOL_RANGE_MPEG,
  colorSpace: AVCOL_SPC_SMPTE170M,
  colorPrimaries: AVCOL_PRI_BT709,
  colorTrc: AVCOL_TRC_BT709,
};
