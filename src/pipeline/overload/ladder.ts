/**
 * The ladder: what is taken from the picture of a recording that its machine cannot keep up with, rung by rung
 * (ADR 0023). Each rung keeps what the ones before it took. Sound is on none of them. Pure.
 */
import { RUNG_NAMES, type RungName } from '../../contract/line/rungs.ts';
import type { Effort } from '../../stages/codec/x264.ts';

type Rung = Effort & {
  /** Of so many frames that follow each other in a second one is made; infinite: one in each second. */
  stride: number;
};

const RUNGS: Readonly<Record<RungName, Rung>> = {
  full: { preset: 'veryfast', detail: 1, stride: 1 },
  fastCoding: { preset: 'superfast', detail: 1, stride: 1 },
  fastestCoding: { preset: 'ultrafast', detail: 1, stride: 1 },
  halfRate: { preset: 'ultrafast', detail: 1, stride: 2 },
  thirdRate: { preset: 'ultrafast', detail: 1, stride: 3 },
  lessDetail: { preset: 'ultrafast', detail: 0.4, stride: 3 },
  oneASecond: { preset: 'ultrafast', detail: 0.4, stride: Number.POSITIVE_INFINITY },
};

export function effortOf(rung: RungName): Effort {
  const { preset, detail } = RUNGS[rung];
  return { preset, detail };
}

/** Whether frame `frame` of the grid is not made. The first of each second is made on every rung. */
export function leavesOut(rung: RungName, frame: number, fps: number): boolean {
  return (frame % fps) % RUNGS[rung].stride !== 0;
}

/** As a number: 0 is the whole picture, and each rung below it takes more. */
export function depthOf(rung: RungName): number {
  return RUNG_NAMES.indexOf(rung);
}
