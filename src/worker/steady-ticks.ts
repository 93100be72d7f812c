/**
 * SteadyTicks: counts time only while this process is able to notice it. A tick that itself comes late (the server was
 * stopped, or its loop was busy) says nothing of others: what they sent meanwhile is still unread.
 */
import type { Clock, Timer } from '../kernel/clock.ts';

export const TICK_MS = 1_000;
const LATE_MS = 1_500;

/** Calls `onTick` every second; `late` says that this tick may not be judged by. Cancel the timer to end it. */
export function steadyTicks(clock: Clock, onTick: (late: boolean) => void): Timer {
  let beforeUs = clock.monoUs();
  return clock.every(TICK_MS, () => {
    const nowUs = clock.monoUs();
    const late = nowUs - beforeUs > LATE_MS * 1000;
    beforeUs = nowUs;
    onTick(late);
  });
}
