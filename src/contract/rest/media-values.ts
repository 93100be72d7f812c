/** What values of start requests mean for media, in all modes (contract §4.5). */
import type { AudioPlan } from '../line/plan.ts';

export const AUDIO_PROFILES: Record<0 | 1 | 2, AudioPlan> = {
  0: { channels: 1, bitrateKbps: 48 },
  1: { channels: 1, bitrateKbps: 128 },
  2: { channels: 2, bitrateKbps: 192 },
};

/** 4:2:0 pictures need even sides. */
export function even(pixels: number): number {
  return Math.max(2, pixels - (pixels % 2));
}
