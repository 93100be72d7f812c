/** What values of start requests mean for media, in all modes (contract §4.5). */
import type { AudioPlan } from '../line/plan.ts';

export const AUDIO_PROFILES: Record<0 | 1 | 2, AudioPlan> = {
  0: { channels: 1, bitrateKbps: 48 },
  1: { channels: 1, bitrateKbps: 128 },
  2: { channels: 2, bitrateKbps: 192 },
};

/** Frames per second that a composite may have (contract §1.2.3); any other becomes 15. */
export const FRAME_RATES = [1, 7, 10, 15, 24, 30, 60];

/** 4:2:0 pictures need even sides. */
export function even(pixels: number): number {
  return Math.max(2, pixels - (pixels % 2));
}
