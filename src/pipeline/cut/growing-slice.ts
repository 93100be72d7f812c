/** What can be said of a slice that is being written: how far it reaches, as far as all of it is whole. Pure. */
import { US } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';
import { readSliceName } from '../../stages/mux/names.ts';
import { readTsUnits } from '../../stages/mux/ts/ts-units.ts';
import type { CutSource } from './cut-plan.ts';

/** Ticks of a transport stream's times. */
const TS_RATE = 90_000;
/** Holds the first unit's beginning. */
const HEAD_BYTES = 188 * 500;
/** A slice of all users that begins this long after the one before it was held back by a hold, not lost. */
const HELD_MS = 500;

/**
 * Undefined when too little was written, or when a later slice of its stream is finished already: then a crash left it.
 * @param file what there is of it; its last picture may not be whole
 * @param whole all finished slices
 */
export function growingSlice(
  name: string,
  file: Buffer,
  whole: readonly CutSource['file'][],
): CutSource['file'] | undefined {
  const parts = readSliceName(name);
  if (!parts) return undefined;
  const { startUtcMs, user } = parts;
  const row = whole.filter((slice) => readSliceName(slice.name)?.base === parts.base);
  const last = row.toSorted((a, b) => a.startUtcMs - b.startUtcMs).at(-1);
  if (last && last.startUtcMs >= startUtcMs) return undefined;
  const [near] = readTsUnits(file.subarray(0, HEAD_BYTES), 0);
  const units = near ? readTsUnits(file, near.pts) : [];
  const endOf = (kind: MediaKind) => {
    const own = units.filter((unit) => unit.kind === kind);
    if (own.length === 0) return undefined;
    // A picture does not show by itself where it ends.
    if (kind === 'video') return Math.max(...own.slice(0, -1).map(({ pts }) => pts), own[0]!.pts);
    return own.findLast(({ isWhole }) => isWhole)?.endPts;
  };
  const ends = [endOf('video'), endOf('audio')].filter((end) => end !== undefined);
  const begin = units[0]?.pts;
  if (begin === undefined || ends.length === 0) return undefined;
  const durationUs = Math.round(((Math.min(...ends) - begin) * US) / TS_RATE);
  if (durationUs <= 0) return undefined;
  const gapMs = last ? startUtcMs - last.startUtcMs - last.durationUs / 1000 : 0;
  const heldUs = (last?.heldUs ?? 0) + (!user && gapMs > HELD_MS ? Math.round(gapMs * 1000) : 0);
  const isPicture = user && user.type !== 'audio';
  return {
    ...{ name, startUtcMs, durationUs, bytes: file.length, playlist: last?.playlist ?? '', rotations: [] },
    ...(heldUs > 0 && { heldUs }),
    ...(user && { owner: { uid: user.uid, trackType: user.type === 'av' ? 'audio_and_video' : user.type } }),
    ...(isPicture && { codecs: { video: 'h264' } }),
  };
}
