/**
 * What an encoder is told of a picture besides its pixels: where it differs from the one before (AVVideoHint and
 * AVVideoRect of FFmpeg's libavutil/video_hint.h).
 */
import { AV_FRAME_DATA_VIDEO_HINT, AV_VIDEO_HINT_TYPE_CHANGED } from 'node-av/constants';
import type { Frame } from 'node-av/lib';

/** In pixels, inside the picture. */
export type Part = { x: number; y: number; width: number; height: number };

/** Three size_t, the type, and what aligns the size; then rectangles of four 32-bit numbers. */
const HEAD_BYTES = 32;
const RECT_BYTES = 16;

/** Tells that the frame differs from the one before in these parts at most. Take it back before its next use. */
export function tellChanged(frame: Frame, parts: readonly Part[]): void {
  const hint = frame.newSideData(AV_FRAME_DATA_VIDEO_HINT, HEAD_BYTES + parts.length * RECT_BYTES);
  hint.fill(0, 0, HEAD_BYTES);
  hint.writeBigUInt64LE(BigInt(parts.length), 0);
  hint.writeBigUInt64LE(BigInt(HEAD_BYTES), 8);
  hint.writeBigUInt64LE(BigInt(RECT_BYTES), 16);
  hint.writeInt32LE(AV_VIDEO_HINT_TYPE_CHANGED, 24);
  parts.forEach(({ x, y, width, height }, n) => {
    [x, y, width, height].forEach((value, i) => {
      hint.writeUInt32LE(value, HEAD_BYTES + n * RECT_BYTES + 4 * i);
    });
  });
}

export function forgetChanged(frame: Frame): void {
  frame.removeSideData(AV_FRAME_DATA_VIDEO_HINT);
}
