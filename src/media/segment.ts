/**
 * A finished file of a recording: a Segment is one on the spool, a StoredObject is one that lies in a store.
 */
import type { MediaKind } from './track.ts';

/** What a playlist says before a slice (contract §4.3). */
export type TrackEvent = { kind: MediaKind; startUtcMs: number };
export type RotateEvent = { width: number; height: number; rotate: 0 | 90 | 180 | 270; utcMs: number };

export type Segment = {
  type: 'slice';
  /** Bare file name, as it stands in the playlist. */
  name: string;
  /** Bare name of the playlist that lists it. */
  playlist: string;
  /** Position among the playlist's slices, from 0, without gaps. */
  index: number;
  /** UTC of the slice's first sample, Unix milliseconds. */
  startUtcMs: number;
  /** Exact length, microseconds. */
  durationUs: number;
  bytes: number;
  discontinuity: boolean;
  starts: TrackEvent[];
  rotations: RotateEvent[];
};

export type WholeFile = {
  type: 'mp4';
  name: string;
  /** Position among the recording's MP4 files, from 0. */
  index: number;
  startUtcMs: number;
  durationUs: number;
  bytes: number;
};

/** What is told about a recording beside its media. */
export type SpooledDocument = {
  type: 'document';
  name: string;
  kind: 'report';
  /** The time it is about. */
  startUtcMs: number;
  durationUs: number;
  bytes: number;
};

/** A file on the spool, finished and synced to disk. */
export type SpooledFile = Segment | WholeFile | SpooledDocument;

/** A file in a store. `key` includes the file name prefix. */
export type StoredObject = { key: string; bytes: number; etag?: string };
