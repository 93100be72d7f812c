/**
 * Sameness: how far two recordings of the same are apart, picture by picture and stretch of sound by stretch. What
 * encoding adds is small and everywhere; a picture of another moment, a click, and sound that is missing or there twice
 * are neither.
 */
import { readMedia, type ShownPicture } from './read-media.ts';
import { type Heard, JUDGE_RATE, listen } from './sound.ts';

/** Means are taken over squares of so many pixels. */
const SQUARE = 16;
/** Sound is compared over so many samples, 10 ms. */
const STRETCH = JUDGE_RATE / 100;
/**
 * The beginning of a beep comes out of two encoders differently for some 30 ms, as they have other bits to spare. Sound
 * that is missing or there twice moves all that follows.
 */
const MIN_STRETCHES = 6;

export type Difference = {
  pictures: [number, number];
  /**
   * Pictures at which a square is brighter or darker than in the other by more than `tolerance` of 255, with by how
   * much.
   */
  unlike: { picture: number; by: number }[];
  /** Samples that each has. */
  samples: [number, number];
  /** Where sound differs by more than `soundTolerance` of full scale for 60 ms and more, and for how long; seconds. */
  soundsUnlike: { atS: number; lengthS: number }[];
};

/** Compares two files or playlists. Throws an Error when one cannot be read. */
export function differenceOf(
  one: string,
  other: string,
  { tolerance = 24, soundTolerance = 0.03 }: { tolerance?: number; soundTolerance?: number } = {},
): Difference {
  const [shown, shownOther] = [squaresOf(one), squaresOf(other)];
  const unlike: Difference['unlike'] = [];
  for (let n = 0; n < Math.min(shown.length, shownOther.length); n++) {
    const [a, b] = [shown[n]!, shownOther[n]!];
    let by = a.length === b.length ? 0 : 255;
    for (let i = 0; i < Math.min(a.length, b.length); i++) by = Math.max(by, Math.abs(a[i]! - b[i]!));
    if (by > tolerance) unlike.push({ picture: n, by: Math.round(by) });
  }
  const [heard, heardOther] = [listen(one), listen(other)];
  return {
    pictures: [shown.length, shownOther.length],
    unlike,
    samples: [heard.mono.length, heardOther.mono.length],
    soundsUnlike: soundsUnlike(heard, heardOther, soundTolerance),
  };
}

function squaresOf(path: string): Float32Array[] {
  const pictures: Float32Array[] = [];
  readMedia(path, { onPicture: (picture) => void pictures.push(means(picture)) });
  return pictures;
}

function means({ width, height, planes, strides }: ShownPicture): Float32Array {
  const [columns, rows] = [Math.floor(width / SQUARE), Math.floor(height / SQUARE)];
  const out = new Float32Array(columns * rows);
  const [luma, stride] = [planes[0]!, strides[0]!];
  for (let y = 0; y < rows * SQUARE; y++)
    for (let x = 0; x < columns * SQUARE; x++)
      out[Math.floor(y / SQUARE) * columns + Math.floor(x / SQUARE)]! += luma[y * stride + x]! / (SQUARE * SQUARE);
  return out;
}

function soundsUnlike(one: Heard, other: Heard, tolerance: number): Difference['soundsUnlike'] {
  const unlike: Difference['soundsUnlike'] = [];
  let row = 0;
  const length = Math.min(one.mono.length, other.mono.length);
  for (let from = 0; from + STRETCH <= length; from += STRETCH) {
    let sum = 0;
    for (let i = from; i < from + STRETCH; i++) sum += (one.mono[i]! - other.mono[i]!) ** 2;
    const by = Math.sqrt(sum / STRETCH);
    row = by > tolerance ? row + 1 : 0;
    const atS = (from + STRETCH - row * STRETCH) / JUDGE_RATE;
    if (row === MIN_STRETCHES) unlike.push({ atS, lengthS: 0 });
    if (row >= MIN_STRETCHES) unlike.at(-1)!.lengthS = (row * STRETCH) / JUDGE_RATE;
  }
  return unlike;
}
