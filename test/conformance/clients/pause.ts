/**
 * The waits between tries, in real time.
 */
import { setTimeout as wait } from 'node:timers/promises';

export async function realPause(ms: number): Promise<void> {
  await wait(ms);
}
