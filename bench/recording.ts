/**
 * What a recording of 20 s with HLS and MP4 is like: how long a synchronous stop takes, and how far sound is off the
 * picture.
 */
import { basename, dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { judgePlaylist } from '../test/support/judge/playlist.ts';
import { judgeRecording } from '../test/support/judge/recording.ts';
import { atMost, type Figure } from './measure.ts';
import { CANVAS, CAST, Stage } from './stage.ts';

const TAKES = 2;
const RECORD_MS = 20_000;

type Takes = { stopsMs: number[]; mp4Ms: number[]; hlsMs: number[]; problems: string[] };
let takes: Promise<Takes> | undefined;

/** Both figures come from the same recordings; they are made once. */
function makeTakes(): Promise<Takes> {
  takes ??= (async () => {
    const stage = await Stage.open();
    const out: Takes = { stopsMs: [], mp4Ms: [], hlsMs: [], problems: [] };
    try {
      await stage.publish('recording', { loop: true });
      await pause(1500);
      for (let n = 0; n < TAKES; n++) {
        const take = await stage.start('recording');
        await pause(RECORD_MS);
        out.stopsMs.push((await stage.stop(take)).tookMs);
        for (const [ending, offsets] of [
          ['.mp4', out.mp4Ms],
          ['.m3u8', out.hlsMs],
        ] as const) {
          const path = stage.file(take, ending);
          const verdict = judgeRecording(path, { participants: CAST, ...CANVAS, seconds: { from: 19.5, to: 21 } });
          offsets.push(...verdict.participants.flatMap((p) => p.offsets.eachMs));
          out.problems.push(...verdict.problems.map((p) => `${ending}: ${p}`));
          if (ending === '.m3u8') out.problems.push(...judgePlaylist(dirname(path), basename(path)).problems);
        }
      }
    } finally {
      await stage.close();
    }
    return out;
  })();
  return takes;
}

export async function measureStop(): Promise<Figure[]> {
  const { stopsMs } = await makeTakes();
  const detail = stopsMs.map((ms) => ms.toFixed(0)).join(', ');
  return [atMost('sync stop → answer, 20 s of HLS and MP4', Math.max(...stopsMs), 1500, 'ms', detail)];
}

export async function measureAvOffset(): Promise<Figure[]> {
  const { mp4Ms, hlsMs, problems } = await makeTakes();
  const figures = (
    [
      ['MP4', mp4Ms],
      ['HLS', hlsMs],
    ] as const
  ).flatMap(([name, each]) => {
    const worst = each.reduce((most, ms) => (Math.abs(ms) > Math.abs(most) ? ms : most), 0);
    const range = `${Math.min(...each).toFixed(0)} to ${Math.max(...each).toFixed(0)} ms, ${each.length} marks`;
    return [
      atMost(`sound off picture, ${name}, median`, Math.abs(median(each)), 40, 'ms', `${median(each).toFixed(1)} ms`),
      atMost(`sound off picture, ${name}, worst`, Math.abs(worst), 80, 'ms', range),
    ];
  });
  return [...figures, atMost('faults the judges find in these files', problems.length, 0, '', problems.join('; '))];
}
