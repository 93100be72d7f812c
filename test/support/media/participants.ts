/**
 * The cast of made media: per participant a name, a colour of its own and a pitch of its own, so that a recording tells
 * who is where and who is heard.
 */
import type { VideoColor } from '../../../src/media/track.ts';

export type Rgb = { r: number; g: number; b: number };
export type Yuv = { y: number; u: number; v: number };
export type Participant = { name: string; colour: Yuv; toneHz: number };

/** 8 bits. */
export function yuvIn({ r, g, b }: Rgb, { matrix, fullRange }: VideoColor): Yuv {
  const [kr, kb] = matrix === BT709.matrix ? [0.2126, 0.0722] : [0.299, 0.114];
  const luma = (kr * r + (1 - kr - kb) * g + kb * b) / 255;
  const [blue, red] = [(b / 255 - luma) / (2 - 2 * kb), (r / 255 - luma) / (2 - 2 * kr)];
  const [zero, light, chroma] = fullRange ? [0, 255, 255] : [16, 219, 224];
  return {
    y: Math.round(zero + light * luma),
    u: Math.min(255, Math.round(128 + chroma * blue)),
    v: Math.min(255, Math.round(128 + chroma * red)),
  };
}

/** What senders of high definition make, and what canvases are made of. */
export const BT709: VideoColor = { matrix: 1, fullRange: false };
export const BT601: VideoColor = { matrix: 6, fullRange: false };

export function yuvOf(rgb: Rgb): Yuv {
  return yuvIn(rgb, BT709);
}

export function yuv601(rgb: Rgb): Yuv {
  return yuvIn(rgb, BT601);
}

/** Shades stay dark enough (luma below 130) that the white flash is a clear jump, and far apart in colour. */
export const RED: Participant = { name: 'RED', colour: yuvOf({ r: 200, g: 20, b: 20 }), toneHz: 440 };
export const GREEN: Participant = { name: 'GREEN', colour: yuvOf({ r: 0, g: 130, b: 20 }), toneHz: 660 };
export const BLUE: Participant = { name: 'BLUE', colour: yuvOf({ r: 20, g: 30, b: 210 }), toneHz: 880 };
export const YELLOW: Participant = { name: 'YELLOW', colour: yuvOf({ r: 140, g: 120, b: 0 }), toneHz: 550 };
const CYAN: Participant = { name: 'CYAN', colour: yuvOf({ r: 0, g: 120, b: 150 }), toneHz: 770 };
const PINK: Participant = { name: 'PINK', colour: yuvOf({ r: 190, g: 0, b: 150 }), toneHz: 990 };

export const PARTICIPANTS: readonly Participant[] = [RED, GREEN, BLUE, YELLOW, CYAN, PINK];

export const WHITE: Yuv = { y: 235, u: 128, v: 128 };
export const BLACK: Yuv = { y: 16, u: 128, v: 128 };
