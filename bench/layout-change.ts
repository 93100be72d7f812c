/**
 * How soon `updateLayout` is seen: from the call to the first recorded frame with the new layout, told by the time
 * stamps in the recorded pictures.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { isColour } from '../test/support/judge/picture.ts';
import { bestFitRegions, floatingRegions, type Rect } from '../test/support/judge/regions.ts';
import { type Reading, watch } from '../test/support/judge/watch.ts';
import { unwrapStamp } from '../test/support/media/stamp.ts';
import { compositeConfig } from './cost.ts';
import { House, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { BITRATE_KBPS, CANVAS, CAST, SOURCE } from './stage.ts';

const CHANGES = 8;
/** The layouts that calls go to in turn, by their numbers in the API, and where each shows its second user. */
const LAYOUTS = [
  { mixedVideoLayout: 0, rect: floatingRegions(CAST.length)[1] as Rect },
  { mixedVideoLayout: 1, rect: bestFitRegions(CAST.length)[1] as Rect },
] as const;
const SECOND = CAST[1] as (typeof CAST)[number];

/** A call: its wall time, microseconds, and the layout that it asked for. */
type Change = { calledUs: number; layout: (typeof LAYOUTS)[number] };

export async function measureLayoutChange(): Promise<Figure[]> {
  const house = new House();
  try {
    await house.server.start();
    for (const [i, participant] of CAST.entries())
      await house.join('layout', String(i + 1), { ...SOURCE, codec: 'vp8', participant });
    const recording = await house.record('layout', 'mix', {
      ...compositeConfig({ canvas: CANVAS, bitrateKbps: BITRATE_KBPS }),
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    });
    await pause(2000);
    const changes: Change[] = [];
    for (let n = 0; n < CHANGES; n++) {
      const layout = LAYOUTS[n % LAYOUTS.length] as (typeof LAYOUTS)[number];
      // Off the flashes, at another moment of the second each time: a frame that flashes shows no colours.
      await pause(1000 + ((250 + ((n * 127) % 600) - (Date.now() % 1000) + 1000) % 1000));
      const calledUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
      const { status, body } = await recording.updateLayout({ mixedVideoLayout: layout.mixedVideoLayout });
      if (status !== 200) throw new Error(`updateLayout answered ${status}: ${JSON.stringify(body)}`);
      changes.push({ calledUs, layout });
    }
    await pause(1500);
    await stopped(recording);
    const path = join(house.server.dataDir, 'recordings/layout', `${recording.sid}_layout_0.mp4`);
    const eachMs = judge(path, changes);
    const detail = eachMs.map((ms) => ms.toFixed(0)).join(', ');
    return [
      atMost('updateLayout call → first frame of it, median', median(eachMs), 100, 'ms', detail),
      atMost('updateLayout call → first frame of it, worst', Math.max(...eachMs), 100, 'ms', detail),
    ];
  } finally {
    await house.close();
  }
}

/** From each call to the first frame that shows the second user in its new place, by the moment that frame shows. */
function judge(path: string, changes: readonly Change[]): number[] {
  const { views } = watch(
    path,
    LAYOUTS.map(({ rect }) => ({ rect, source: SOURCE })),
  );
  return changes.map(({ calledUs, layout }) => {
    const readings = views[LAYOUTS.indexOf(layout)] as Reading[];
    for (const reading of readings) {
      if (reading.stamp === undefined || !isColour(reading, SECOND.colour)) continue;
      const shownUs = unwrapStamp(reading.stamp, calledUs);
      // Before it the layout of the call before the last was this one.
      if (shownUs >= calledUs) return (shownUs - calledUs) / 1000;
    }
    throw new Error(`${path} never shows layout ${layout.mixedVideoLayout} after it was asked for`);
  });
}
