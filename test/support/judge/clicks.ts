/**
 * Clicks: places at which a wave was cut, found in what lies above the made tones. A tone that goes on, however it is
 * bent, has nothing there; an edge in it has all frequencies.
 */
import { type Heard, JUDGE_RATE } from './sound.ts';

/** All pitches of made media lie below. */
const ABOVE_HZ = 4000;
const TAPS = 95;
/** Energy is looked at in windows of 1 ms. */
const WINDOW = 48;
/** Beeps begin and end with edges of their own: this long around what is loud is not looked at, windows. */
const CLEAR = 40;
/** Loud is what passes this multiple of the usual level. */
const LOUD = 2.5;
/** A click stands out of what the encoder leaves there by this factor, and is not softer than `FLOOR` of full scale. */
const FACTOR = 8;
const FLOOR = 0.0004;
/** Windows closer together than this are one click, seconds. */
const MERGED_S = 0.02;

/** Times of clicks, seconds of the file. What is within `edgeS` of the file's ends is not looked at. */
export function clicksIn(heard: Heard, edgeS = 0.1): number[] {
  const { mono, startS } = heard;
  const high = highPass(mono);
  const count = Math.floor(mono.length / WINDOW);
  const level = peaks(mono, count);
  const residue = peaks(high, count);
  const usual = middle(level);
  const loud = new Uint8Array(count);
  for (let i = 0; i < count; i++)
    if ((level[i] as number) > usual * LOUD) loud.fill(1, Math.max(0, i - CLEAR), Math.min(count, i + CLEAR + 1));
  const threshold = Math.max(FLOOR, middle(residue) * FACTOR);
  const edge = Math.round((edgeS * JUDGE_RATE) / WINDOW);
  const clicks: number[] = [];
  for (let i = edge; i < count - edge; i++) {
    if (loud[i] || (residue[i] as number) < threshold) continue;
    const atS = startS + (i * WINDOW) / JUDGE_RATE;
    if (atS - (clicks.at(-1) ?? Number.NEGATIVE_INFINITY) > MERGED_S) clicks.push(atS);
  }
  return clicks;
}

function peaks(samples: Float32Array, count: number): Float32Array {
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++)
    for (let n = i * WINDOW; n < (i + 1) * WINDOW; n++)
      if (Math.abs(samples[n] as number) > (out[i] as number)) out[i] = Math.abs(samples[n] as number);
  return out;
}

function middle(values: Float32Array): number {
  return values.toSorted()[values.length >> 1] ?? 0;
}

/** What lies above `ABOVE_HZ`, by a windowed sinc; in its place in time. */
function highPass(samples: Float32Array): Float32Array {
  const half = TAPS >> 1;
  const kernel = Float64Array.from({ length: TAPS }, (_, i) => {
    const n = i - half;
    const low = (2 * ABOVE_HZ) / JUDGE_RATE;
    const sinc = n === 0 ? low : Math.sin(Math.PI * low * n) / (Math.PI * n);
    const hann = 0.5 + 0.5 * Math.cos((Math.PI * n) / (half + 1));
    return (n === 0 ? 1 : 0) - sinc * hann;
  });
  const out = new Float32Array(samples.length);
  for (let at = half; at < samples.length - half; at++) {
    let sum = 0;
    for (let i = 0; i < TAPS; i++) sum += (samples[at + i - half] as number) * (kernel[i] as number);
    out[at] = sum;
  }
  return out;
}
