/**
 * Judgements on what was heard: beeps of a pitch with their onsets, stretches where a pitch is missing, gaps in the
 * timestamps, level. Several pitches sounding at once are told apart.
 */

import type { Span } from './picture.ts';
import { type MediaSink, readMedia } from './read-media.ts';

export const JUDGE_RATE = 48_000;
/**
 * A Hann window of this length tells pitches 110 Hz apart and is symmetric, so that half height marks an edge exactly.
 */
const WINDOW = 960;
const STEP = 120;
const STEP_S = STEP / JUDGE_RATE;

/** The sound of a file on its own time line; silence where nothing was. */
export type Heard = {
  mono: Float32Array;
  /** Time of the first sample and of the end of the last, seconds. */
  startS: number;
  endS: number;
  /** Where timestamps left a hole of more than a millisecond, or went back by as much (`lengthS` negative). */
  gaps: { atS: number; lengthS: number }[];
  damaged: number;
  peak: number;
};

export type Beep = { atS: number; durationS: number; level: number };

export type ListenOptions = {
  /** As of readMedia. */
  track?: number;
  /** One channel alone, from 0; the average of all when left out. */
  channel?: number;
};

/** Decodes the sound of a file or playlist. Throws an Error when there is none at 48 kHz. */
export function listen(path: string, { track, channel }: ListenOptions = {}): Heard {
  const blocks: { at: number; mono: Float32Array }[] = [];
  const gaps: Heard['gaps'] = [];
  let nextS = Number.NaN;
  let isEarly = false;
  const sink: MediaSink = {
    onSound({ atS: toldS, sampleRate, channels, mono: average }) {
      if (sampleRate !== JUDGE_RATE) throw new Error(`${path}: sound at ${sampleRate} Hz instead of ${JUDGE_RATE}`);
      const mono = channel === undefined ? average : channels[channel];
      if (!mono) throw new Error(`${path} has no channel ${channel}`);
      // FFmpeg tells what follows the first block of a playlist a block too early, up to the end of a PES packet
      // (findings/ffmpeg-hls-demuxer-tells-the-first-sounds-early.sh).
      const lengthS = mono.length / JUDGE_RATE;
      if (blocks.length === 1 && path.endsWith('.m3u8')) isEarly = true;
      isEarly &&= Math.abs(toldS + lengthS - nextS) < 0.001;
      const atS = isEarly ? toldS + lengthS : toldS;
      if (Math.abs(atS - nextS) > 0.001) gaps.push({ atS: nextS, lengthS: atS - nextS });
      nextS = atS + lengthS;
      blocks.push({ at: Math.round(atS * JUDGE_RATE), mono });
    },
  };
  const { damaged } = readMedia(path, sink, track);
  const first = blocks[0];
  if (!first) throw new Error(`${path} has no sound`);
  const start = Math.min(...blocks.map((b) => b.at));
  const end = Math.max(...blocks.map((b) => b.at + b.mono.length));
  const mono = new Float32Array(end - start);
  for (const block of blocks) mono.set(block.mono, block.at - start);
  let peak = 0;
  for (const s of mono) peak = Math.max(peak, Math.abs(s));
  return { mono, startS: start / JUDGE_RATE, endS: end / JUDGE_RATE, gaps, damaged, peak };
}

/** Amplitude of one pitch over time, every 2.5 ms: entry i belongs to `startS + i · 2.5 ms`. */
export function envelopeOf(heard: Heard, toneHz: number): Float32Array {
  const { cosine, sine } = kernelOf(toneHz);
  const { mono } = heard;
  const out = new Float32Array(Math.floor(mono.length / STEP) + 1);
  for (let i = 0; i < out.length; i++) {
    const from = i * STEP - WINDOW / 2;
    let re = 0;
    let im = 0;
    const first = Math.max(0, -from);
    const last = Math.min(WINDOW, mono.length - from);
    for (let n = first; n < last; n++) {
      const s = mono[from + n] as number;
      re += s * (cosine[n] as number);
      im += s * (sine[n] as number);
    }
    out[i] = Math.hypot(re, im);
  }
  return out;
}

/** A Hann-weighted pitch, scaled so that a sine of amplitude 1 gives 1. */
function kernelOf(toneHz: number): { cosine: Float64Array; sine: Float64Array } {
  const cosine = new Float64Array(WINDOW);
  const sine = new Float64Array(WINDOW);
  for (let n = 0; n < WINDOW; n++) {
    const weight = ((1 - Math.cos((2 * Math.PI * n) / WINDOW)) / WINDOW) * 2;
    const phase = (2 * Math.PI * toneHz * n) / JUDGE_RATE;
    cosine[n] = weight * Math.cos(phase);
    sine[n] = weight * Math.sin(phase);
  }
  return { cosine, sine };
}

export type BeepOptions = {
  toneHz: number;
  /** Quieter peaks are no beeps; amplitude of full scale. */
  minLevel?: number;
};

/**
 * Beeps of one pitch: it rises at least threefold over what it was, stays for 40 to 250 ms, and falls again. The onset
 * is where it passes half of the rise, between two steps of 2.5 ms. A beep cut off by the file's start is left out.
 */
export function beepsIn(heard: Heard, { toneHz, minLevel = 0.03 }: BeepOptions): Beep[] {
  const envelope = envelopeOf(heard, toneHz);
  const loudest = quantile(envelope, 0.995);
  const threshold = Math.max(minLevel, loudest * 0.4);
  const beeps: Beep[] = [];
  for (let i = 0; i < envelope.length; i++) {
    if ((envelope[i] as number) < threshold) continue;
    let end = i;
    while (end < envelope.length && (envelope[end] as number) >= threshold) end++;
    const level = quantile(envelope.subarray(i, end), 0.75);
    const base = quantile(envelope.subarray(Math.max(0, i - 80), Math.max(0, i - 8)), 0.5);
    const half = (base + level) / 2;
    const onset = crossing(envelope, i, -1, half);
    const fall = crossing(envelope, end - 1, 1, half);
    if (onset !== undefined && fall !== undefined && level >= base * 3) {
      const durationS = (fall - onset) * STEP_S;
      // Where the file begins inside a beep, the window hangs over the edge and feigns an onset.
      const cut = onset <= WINDOW / 2 / STEP + 1;
      if (!cut && durationS >= 0.04 && durationS <= 0.25)
        beeps.push({ atS: heard.startS + onset * STEP_S, durationS, level });
    }
    i = end;
  }
  return beeps;
}

/** Where the envelope passes `height`, looking from `from` outward; undefined when the sound ends first. */
function crossing(envelope: Float32Array, from: number, direction: 1 | -1, height: number): number | undefined {
  let at = from;
  // `from` may lie below the half height: the edge is then on the inner side.
  while ((envelope[at] as number) < height) {
    at -= direction;
    if (at < 0 || at >= envelope.length) return undefined;
  }
  while ((envelope[at] as number) >= height) {
    at += direction;
    if (at < 0 || at >= envelope.length) return undefined;
  }
  const outer = envelope[at] as number;
  const inner = envelope[at - direction] as number;
  return at - (direction * (height - outer)) / (inner - outer);
}

function quantile(values: Float32Array, q: number): number {
  if (values.length === 0) return 0;
  const sorted = values.toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] as number;
}

/**
 * Stretches of at least `minS` in which a pitch that should always hum is missing (below a third of its usual level).
 */
export function dropoutsIn(heard: Heard, toneHz: number, minS = 0.025): Span[] {
  const envelope = envelopeOf(heard, toneHz);
  const usual = quantile(envelope, 0.5);
  const spans: Span[] = [];
  if (usual < 0.003) return [{ fromS: heard.startS, toS: heard.endS }];
  // The window hangs over the file's ends, where the tone seems to fade.
  const margin = WINDOW / 2 / STEP + 1;
  let from: number | undefined;
  for (let i = margin; i <= envelope.length - margin; i++) {
    const missing = i < envelope.length - margin && (envelope[i] as number) < usual / 3;
    if (missing) from ??= i;
    else if (from !== undefined) {
      spans.push({ fromS: heard.startS + from * STEP_S, toS: heard.startS + i * STEP_S });
      from = undefined;
    }
  }
  return spans.filter((s) => s.toS - s.fromS >= minS);
}

/** Beeps of one pitch in a file. */
export function findBeeps(path: string, options: BeepOptions): Beep[] {
  return beepsIn(listen(path), options);
}
