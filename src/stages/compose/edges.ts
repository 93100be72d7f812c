/**
 * Fades at the edges of cut sound: where a hold is taken out, what was before it and what comes after it meet in the
 * middle of two waves. Pure.
 */
import type { Sound } from '../../media/frame.ts';

/** Length of the fades, 5 ms, as in the mixer. */
const FADE_SAMPLES = 240;

/** How far the nearest edges are from the sound's beginning and from its end, samples; infinite when there is none. */
export type Edges = { sinceEdge: number; untilEdge: number };

/** The same sound, faded in where an edge is right before it and out where one is right after it. */
export function withFades(sound: Sound, { sinceEdge, untilEdge }: Edges): Sound {
  if (sinceEdge >= FADE_SAMPLES && untilEdge >= FADE_SAMPLES) return sound;
  const channels = sound.channels.map((samples) =>
    samples.map((value, i) => value * gainAt(sinceEdge + i) * gainAt(untilEdge + samples.length - 1 - i)),
  );
  return { ...sound, channels };
}

/** @param distance from an edge, samples */
function gainAt(distance: number): number {
  return distance >= FADE_SAMPLES ? 1 : 0.5 - 0.5 * Math.cos((Math.PI * (distance + 1)) / (FADE_SAMPLES + 1));
}
