/** A name that is wider than its place: as much of its beginning as there is room for, and an ellipsis. */
import type { Picture } from '../../../media/frame.ts';
import type { PicturePool } from '../../../stages/codec/picture-pool.ts';
import { hasInk } from '../../../stages/codec/text.ts';
import { cut } from './plates.ts';
import { PLATE } from './sizes.ts';

/** A place in which less than so many ellipses have room shows no ellipsis. */
const LEAST_ELLIPSES = 3;

/**
 * The label, which is at most `width` pixels wide. The caller frees it.
 * @param whole the name on its plate
 * @param ellipsis on a plate that is as high
 * @param begins on which side the name does
 */
export function shortened(
  pool: PicturePool,
  whole: Picture,
  ellipsis: Picture,
  { width, begins }: { width: number; begins: 'left' | 'right' },
): Picture {
  const { height } = whole;
  const room = width - ellipsis.width;
  if (width < LEAST_ELLIPSES * ellipsis.width) return cut(pool, whole, { width, height }, begins);
  const isLeft = begins === 'left';
  const kept = between(whole, room, isLeft);
  const label = pool.allocate(kept + ellipsis.width, height);
  const text = { x: isLeft ? 0 : whole.width - kept, y: 0, width: kept, height };
  pool.copyPart(whole, label, text, { x: isLeft ? 0 : ellipsis.width, y: 0 });
  pool.copy(ellipsis, label, isLeft ? kept : 0, 0);
  return label;
}

/** How much of at most `room` pixels ends between two letters; all of them where letters are joined. */
function between(whole: Picture, room: number, isLeft: boolean): number {
  for (let kept = room; kept > Math.max(0, room - whole.height); kept -= 2) {
    const edges = isLeft ? [kept - 1, kept] : [whole.width - kept, whole.width - kept - 1];
    if (edges.every((x) => !hasInk(whole, x, PLATE))) return kept;
  }
  return room;
}
