/**
 * What a usual meeting costs beside an earlier commit: two cameras of 15 fps, a screen that nobody touches, and someone
 * who only speaks.
 */
import { BLUE, GREEN, RED, YELLOW } from '../test/support/media/participants.ts';
import { compareWithCommit, FOUR } from './cost.ts';
import type { House } from './house.ts';
import { atMost, type Figure } from './measure.ts';

const TAKES = 2;
/** The last commit whose composites had B-frames. */
const BEFORE = process.env['BENCH_BEFORE'] ?? 'e9eac24';
const SENT = { width: 640, height: 360, codec: 'vp8', mono: true } as const;
/** Where nothing happens on a screen it is sent about so often: 5 of 30 frames a second. */
const STILL = { width: SENT.width, height: SENT.height, still: true, everyNth: 6 };

export async function measureMeeting(): Promise<Figure[]> {
  const { ratio, detail } = await compareWithCommit(BEFORE, TAKES, FOUR, meet);
  return [atMost(`CPU of a usual meeting, against ${BEFORE}`, ratio, 0.6, '×', detail)];
}

async function meet(house: House): Promise<void> {
  const camera = { ...SENT, fps: 15, bitrateKbps: 500, motion: 'busy', loop: true } as const;
  await house.join('cost', '1', { ...camera, participant: RED });
  await house.join('cost', '2', { ...camera, participant: GREEN });
  const screen = await house.join('cost', '3', { ...SENT, fps: 30, bitrateKbps: 500, participant: BLUE });
  await screen.show(STILL);
  const speaker = await house.join('cost', '4', { ...camera, participant: YELLOW });
  await speaker.mute('video');
}
