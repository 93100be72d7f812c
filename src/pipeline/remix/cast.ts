/** Cast: who is in a mix that is made from a manifest, when, and which slices hold their sound and pictures. Pure. */

import type { Manifest, ManifestSlice } from '../../contract/line/manifest.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { FORCED_SLICE_BYTES, FORCED_SLICE_US } from '../../stages/mux/cut.ts';

export type CastSlice = ManifestSlice & {
  /** Its file is missing, so what refers to it cannot be shown. */
  missing: boolean;
  /** How its first picture must be turned where none of its own shapes says so; anticlockwise degrees. */
  rotate: ManifestSlice['shapes'][number]['rotate'];
};

/** One stay of one user in the channel. Times are microseconds of the recording. */
export type CastStay = {
  uid: string;
  joinedUs: RecordingUs;
  leftUs: RecordingUs;
  /** Pictures from before this belong to an earlier stay. */
  sinceUs: RecordingUs;
  /** Slices with picture, in order; a slice that reaches from an earlier stay into this one is in both. */
  slices: CastSlice[];
};

export type Cast = {
  /** In order of joining. */
  stays: CastStay[];
  /** Slices with sound by user, in order. */
  sounds: Map<string, CastSlice[]>;
  /**
   * From the first sound or picture to the moment from which nobody is there; undefined when there is no file to mix.
   */
  span: { startUs: RecordingUs; endUs: RecordingUs } | undefined;
};

export type CastOptions = {
  /** Only these users; all when left out. */
  uids?: readonly string[] | undefined;
  audio: boolean;
  video: boolean;
  /** Names of files that are missing. */
  missing: ReadonlySet<string>;
};

/** The slices that a mix reads: those of sound or picture alone. Slices with both hold the same media again. */
export function mixedSlices(manifest: Manifest, { uids, audio, video }: Omit<CastOptions, 'missing'>): ManifestSlice[] {
  return manifest.slices.filter(
    ({ uid, trackType, name }) =>
      ((trackType === 'audio' && audio) || (trackType === 'video' && video)) &&
      // Fragments for an MPD repeat slices that are listed on their own.
      !name.endsWith('.m4s') &&
      (!uids || uids.includes(uid)),
  );
}

export function castOf(manifest: Manifest, options: CastOptions): Cast {
  const slices = mixedSlices(manifest, options)
    .map((slice): CastSlice => ({ ...slice, missing: options.missing.has(slice.name), rotate: 0 }))
    .sort((a, b) => a.startUs - b.startUs);
  const stays: CastStay[] = [];
  const sounds = new Map<string, CastSlice[]>();
  for (const uid of usersOf(manifest, options.uids)) {
    const own = slices.filter((slice) => slice.uid === uid);
    const pictures = own.filter(({ trackType }) => trackType === 'video');
    let rotate: CastSlice['rotate'] = 0;
    for (const slice of pictures) {
      slice.rotate = rotate;
      rotate = slice.shapes.at(-1)?.rotate ?? rotate;
    }
    sounds.set(
      uid,
      own.filter(({ trackType }) => trackType === 'audio'),
    );
    let sinceUs = Number.NEGATIVE_INFINITY;
    for (const { joinedUs, leftUs } of staysOf(manifest, uid, own)) {
      const reaching = pictures.filter((s) => s.startUs < leftUs && s.startUs + s.durationUs > sinceUs);
      stays.push({ uid, joinedUs, leftUs, sinceUs, slices: reaching });
      sinceUs = leftUs;
    }
  }
  // The sort is stable: users who came at the same moment keep the manifest's order.
  stays.sort((a, b) => a.joinedUs - b.joinedUs);
  const there = slices.filter(({ missing }) => !missing);
  const startUs = Math.max(0, Math.min(...there.map((slice) => slice.startUs)));
  const endUs = Math.min(manifest.endUs, Math.max(...stays.map((stay) => stay.leftUs)));
  return { stays, sounds, span: there.length > 0 && endUs > startUs ? { startUs, endUs } : undefined };
}

/**
 * The slices with picture that matter from `fromUs` on: from the one with the last key frame before it.
 * @param slices of one stay, in order
 */
export function slicesFrom(slices: readonly CastSlice[], fromUs: RecordingUs): CastSlice[] {
  let first = Math.max(
    0,
    slices.findLastIndex((slice) => slice.startUs <= fromUs),
  );
  // After a slice that was ended by force the next may not begin with a key frame (contract §4.2).
  while (first > 0 && wasForced(slices[first - 1]!)) first--;
  return slices.slice(first);
}

/** What a mix reads ahead of where it is, and of the sound before where it begins. */
const AHEAD_US = 2_000_000;
const BEFORE_US = 1_000_000;

/** The slices that a mix of a part of the recording reads, each once, in no order. */
export function slicesWithin({ stays, sounds }: Cast, fromUs: RecordingUs, toUs: RecordingUs): CastSlice[] {
  const read = new Set<CastSlice>();
  for (const { joinedUs, leftUs, slices } of stays) {
    if (leftUs <= fromUs || joinedUs >= toUs) continue;
    for (const slice of slicesFrom(slices, Math.max(fromUs, joinedUs)))
      if (slice.startUs < toUs + AHEAD_US) read.add(slice);
  }
  for (const slice of [...sounds.values()].flat())
    if (slice.startUs + slice.durationUs > fromUs - BEFORE_US && slice.startUs < toUs + AHEAD_US) read.add(slice);
  return [...read];
}

function wasForced({ durationUs, bytes }: CastSlice): boolean {
  return durationUs >= FORCED_SLICE_US || bytes > FORCED_SLICE_BYTES;
}

/** The manifest's users in its order, then those who only have files. */
function usersOf(manifest: Manifest, uids: readonly string[] | undefined): string[] {
  const known = [...manifest.users.map(({ uid }) => uid), ...manifest.slices.map(({ uid }) => uid)];
  return [...new Set(known)].filter((uid) => !uids || uids.includes(uid));
}

/** A user's stays in order, without overlaps; for a user of whom the manifest has only files, the span of those. */
function staysOf(
  manifest: Manifest,
  uid: string,
  own: readonly CastSlice[],
): { joinedUs: RecordingUs; leftUs: RecordingUs }[] {
  const told = manifest.users.filter((user) => user.uid === uid).flatMap(({ stays }) => stays);
  const ends = own.map(({ startUs, durationUs }) => startUs + durationUs);
  const first = own[0];
  if (told.length === 0) return first ? [{ joinedUs: first.startUs, leftUs: Math.max(...ends) }] : [];
  const merged: { joinedUs: RecordingUs; leftUs: RecordingUs }[] = [];
  for (const stay of told.toSorted((a, b) => a.joinedUs - b.joinedUs)) {
    const last = merged.at(-1);
    if (last && stay.joinedUs <= last.leftUs) last.leftUs = Math.max(last.leftUs, stay.leftUs);
    else merged.push({ ...stay });
  }
  return merged;
}
