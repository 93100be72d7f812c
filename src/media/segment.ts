/** A finished file of a recording on the spool. */
import type { RecordingUs, StreamUs } from '../kernel/time.ts';
import type { AudioCodec, MediaKind, VideoCodec } from './track.ts';

/** What a playlist says before a slice (contract §4.3). */
type TrackEvent = { kind: MediaKind; startUtcMs: number };
export type RotateEvent = { width: number; height: number; rotate: 0 | 90 | 180 | 270; utcMs: number };

/** Whose stream a file holds, in a recording of single users. */
export type FileOwner = { uid: string; trackType: MediaKind | 'audio_and_video' };

/** How the samples in a file are coded. */
export type FileCodecs = { audio?: 'aac' | AudioCodec | undefined; video?: VideoCodec | undefined };

/** Where a player may begin inside of a slice, counted from its beginning. */
export type EntryPoint = { atByte: number; atUs: StreamUs };

export type Segment = {
  type: 'slice';
  /** Bare file name, as in the playlist. */
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
  /**
   * How much of the recording before it was on hold and is in no file, microseconds. Only for files whose own time
   * continues over holds; absent when nothing was on hold.
   */
  heldUs?: number | undefined;
  discontinuity: boolean;
  starts: TrackEvent[];
  rotations: RotateEvent[];
  /** Absent in a recording of all users together. */
  owner?: FileOwner | undefined;
  codecs?: FileCodecs | undefined;
  /**
   * Bare name of an MPD that also lists it, or lists it instead when `playlist` only names the row that it is counted
   * in.
   */
  mpd?: string | undefined;
  /** Recording time of the first sample, microseconds, equal to the file's own timestamps. Present when `mpd` is. */
  startUs?: RecordingUs | undefined;
  /**
   * Bytes at the file's beginning that describe its streams, which an MPD names separately. Present when `mpd` is, if
   * known.
   */
  headBytes?: number | undefined;
  /**
   * Of MPEG-TS, in order: key frames two seconds and more apart, each with the tables before it; of sound alone, any.
   * Absent in slices of versions that did not look for them.
   */
  entryPoints?: EntryPoint[] | undefined;
};

export type WholeFile = {
  type: 'mp4';
  name: string;
  /** Position among the recording's MP4 files, or among the owner's, from 0. */
  index: number;
  startUtcMs: number;
  durationUs: number;
  bytes: number;
  /** As of Segment. */
  heldUs?: number | undefined;
  owner?: FileOwner | undefined;
};

/** One picture of one user. */
export type Snapshot = {
  type: 'snapshot';
  name: string;
  uid: string;
  startUtcMs: number;
  durationUs: 0;
  bytes: number;
};

/** A JSON document about a recording. */
export type SpooledDocument = {
  type: 'document';
  kind: 'report' | 'manifest';
  name: string;
  startUtcMs: number;
  durationUs: number;
  bytes: number;
};

/** The sound of all users in a recording of single users, each on a separate track. */
export type SpeakersFile = {
  type: 'speakers';
  name: string;
  startUtcMs: number;
  durationUs: number;
  bytes: number;
  /** The users of the tracks, in the tracks' order. */
  uids: string[];
};

/** A file on the spool, finished and synced to disk. */
export type SpooledFile = Segment | WholeFile | Snapshot | SpooledDocument | SpeakersFile;
