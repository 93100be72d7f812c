/**
 * SteadyTicks: counts only time in which this process could notice what happens. A tick that itself comes late (the
 * server was stopped, or its loop was busy) says nothing about others: what they sent meanwhile has not been read.
 */
import type { Clock, Timer } from '../kernel/clock.ts';

export const TICK_MS = 1_000;
const LATE_MS = 1_500;

/**
 * Calls `onTick` every second; `late` tells that this tick must not be judged by. Cancel the returned timer to end it.
 */
export function steadyTicks(clock: Clock, onTick: (late: boolean) => void): Timer {
  let beforeUs = clock.monoUs();
  return clock.every(TICK_MS, () => {
    const nowUs = clock.monoUs();
    const late = nowUs - beforeUs > LATE_MS * 1000;
    beforeUs = nowUs;
    onTick(late);
  });
}
