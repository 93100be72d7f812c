/**
 * What each rung of the ladder saves (ADR 0023): the CPU of coding ten seconds of a moving canvas of 1280×720 at
 * 30 fps, against that of the whole picture, in one run.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RUNG_NAMES, type RungName } from '../src/contract/line/rungs.ts';
import { median } from '../test/support/judge/offsets.ts';
import { CANVASES, encodeWith, makeCanvases } from './encoder.ts';
import { atMost, type Figure } from './measure.ts';

const TAKES = 3;
/** A rung that saves less is no rung. */
const MOST: Record<Exclude<RungName, 'full'>, number> = {
  fastCoding: 0.85,
  fastestCoding: 0.7,
  halfRate: 0.45,
  thirdRate: 0.35,
  lessDetail: 0.3,
  oneASecond: 0.12,
};

export async function measureRungs(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-rungs-'));
  try {
    const raw = makeCanvases(CANVASES['zooms and pans']!, dir);
    const cores = new Map<RungName, number[]>(RUNG_NAMES.map((rung) => [rung, []]));
    // By turns, so that what else the machine does falls on all.
    for (let take = 0; take < TAKES; take++)
      for (const [rung, takes] of cores)
        takes.push(encodeWith(join(import.meta.dirname, '..'), raw, join(dir, 'out.h264'), rung));
    const whole = cores.get('full')!;
    const list = (takes: readonly number[]) => takes.map((value) => value.toFixed(3)).join('/');
    return RUNG_NAMES.filter((rung) => rung !== 'full').map((rung) => {
      const takes = cores.get(rung)!;
      const ratio = median(takes.map((own, n) => own / whole[n]!));
      return atMost(`coding on rung ${rung}`, ratio, MOST[rung], '×', `${list(takes)} : ${list(whole)} cores`);
    });
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
