/**
 * The manifest of a recording of single users, made at its end from what is known of its files and of who was in the
 * channel. Pure.
 */

import type { Manifest, ManifestSlice } from '../../contract/line/manifest.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { FileOwner, RotateEvent, SpooledFile } from '../../media/segment.ts';

/** One stay of one user, microseconds of the recording; `leftUs` may be infinite for a user who never left. */
export type Stay = { uid: string; joinedUs: RecordingUs; leftUs: RecordingUs };

/** A hold of the recording, microseconds of it; `untilUs` may be infinite. */
export type HeldSpan = { fromUs: RecordingUs; untilUs: RecordingUs };

export type ManifestOptions = {
  sid: string;
  cname: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  endUs: RecordingUs;
  /** In order of joining. */
  stays: readonly Stay[];
  /** In order. */
  holds?: readonly HeldSpan[];
  /** Everything on the spool. Files that belong to no user, and documents, are left out. */
  files: readonly SpooledFile[];
};

export function manifestOf(options: ManifestOptions): Manifest {
  const { sid, cname, zeroUtcMs, endUs, stays, holds = [], files } = options;
  const timeUs = (utcMs: number) => Math.round((utcMs - zeroUtcMs) * 1000);
  const placed = (file: SpooledFile) => ({ name: file.name, startUs: timeUs(file.startUtcMs), bytes: file.bytes });
  const owned = (file: SpooledFile, { uid, trackType }: FileOwner) => ({
    ...placed(file),
    uid,
    trackType,
    durationUs: file.durationUs,
  });
  const manifest: Manifest = {
    version: 1,
    sid,
    cname,
    zeroUtcMs,
    endUs,
    users: usersOf(stays, endUs),
    holds: holds
      .filter(({ fromUs, untilUs }) => fromUs < Math.min(untilUs, endUs))
      .map(({ fromUs, untilUs }) => ({ fromUs, untilUs: Math.min(untilUs, endUs) })),
    slices: [],
    mp4s: [],
    snapshots: [],
  };
  for (const file of files) {
    if (file.type === 'snapshot') {
      const { startUs: atUs, ...rest } = placed(file);
      manifest.snapshots.push({ ...rest, uid: file.uid, atUs });
    } else if (file.type === 'speakers') {
      manifest.speakers = { ...placed(file), durationUs: file.durationUs, uids: file.uids };
    } else if (file.type === 'mp4' && file.owner) {
      manifest.mp4s.push(owned(file, file.owner));
    } else if (file.type === 'slice' && file.owner) {
      const slice: ManifestSlice = {
        ...owned(file, file.owner),
        playlist: file.playlist,
        index: file.index,
        shapes: file.rotations.map(({ utcMs, ...shape }: RotateEvent) => ({ atUs: timeUs(utcMs), ...shape })),
      };
      if (file.codecs?.audio) slice.audioCodec = file.codecs.audio;
      if (file.codecs?.video) slice.videoCodec = file.codecs.video;
      manifest.slices.push(slice);
    }
  }
  manifest.slices.sort((a, b) => a.startUs - b.startUs);
  return manifest;
}

/**
 * Files of several nodes in order of time. Each node counts its slices from 0; here those of each playlist are counted
 * through.
 */
export function countedThrough(files: readonly SpooledFile[]): SpooledFile[] {
  const counts = new Map<string, number>();
  return files
    .toSorted((a, b) => a.startUtcMs - b.startUtcMs)
    .map((file) => {
      if (file.type !== 'slice') return file;
      const index = counts.get(file.playlist) ?? 0;
      counts.set(file.playlist, index + 1);
      return { ...file, index };
    });
}

/** The stays by user, users in order of their first stay. A user who left before the recording began was not in it. */
function usersOf(stays: readonly Stay[], endUs: RecordingUs): Manifest['users'] {
  const users = new Map<string, Manifest['users'][number]>();
  for (const { uid, joinedUs, leftUs } of stays) {
    if (leftUs <= 0 || joinedUs >= endUs) continue;
    const user = users.get(uid) ?? { uid, stays: [] };
    user.stays.push({ joinedUs, leftUs: Math.min(leftUs, endUs) });
    users.set(uid, user);
  }
  return [...users.values()];
}
