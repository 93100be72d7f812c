/**
 * The cast of made media: per participant a name, a colour of its own and a pitch of its own, so that a recording tells
 * who is where and who is heard.
 */
export type Rgb = { r: number; g: number; b: number };
export type Yuv = { y: number; u: number; v: number };
export type Participant = { name: string; colour: Yuv; toneHz: number };

/** BT.709, limited range, 8 bits. */
export function yuvOf({ r, g, b }: Rgb): Yuv {
  const [rl, gl, bl] = [r / 255, g / 255, b / 255];
  const luma = 0.2126 * rl + 0.7152 * gl + 0.0722 * bl;
  return {
    y: Math.round(16 + 219 * luma),
    u: Math.round(128 + (224 * (bl - luma)) / 1.8556),
    v: Math.round(128 + (224 * (rl - luma)) / 1.5748),
  };
}

/** BT.601, limited range: what canvases are made of. */
export function yuv601({ r, g, b }: Rgb): Yuv {
  const luma = 0.299 * r + 0.587 * g + 0.114 * b;
  return {
    y: Math.round(16 + (219 * luma) / 255),
    u: Math.round(128 + (224 * (b - luma)) / 1.772 / 255),
    v: Math.round(128 + (224 * (r - luma)) / 1.402 / 255),
  };
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
