/**
 * The `fileList` of query and stop (contract §1.5 Q1/Q2, §1.6 S1/S2): exactly these members, as a client library
 * refuses any other. Pure.
 */
import { z } from 'zod';

export const TRACK_TYPES = ['audio', 'video', 'audio_and_video'] as const;
export type TrackType = (typeof TRACK_TYPES)[number];

/** A file of a recording in its store; `key` includes the prefix. */
export type ListedFile = {
  key: string;
  startUtcMs: number;
  /** Whose stream it holds, where every user is recorded separately. */
  owner?: { uid: string; trackType: TrackType } | undefined;
  /** What a file of all users holds, where that differs from what is recorded of the channel. */
  trackType?: TrackType | undefined;
  /** False where players of its kind cannot show it, as a playlist of WebM slices. */
  playable?: boolean | undefined;
};

export type ListedRecording = {
  playlists: readonly ListedFile[];
  mp4s: readonly ListedFile[];
  /**
   * `text` names one playlist, the newest, of a composite without MP4; `list` names all files; `snapshots` names
   * nothing (contract §1.5 Q3, stop.txt).
   */
  shape: 'text' | 'list' | 'snapshots';
  /** What files without an owner hold. */
  trackType: TrackType;
};

const fileListEntrySchema = z.strictObject({
  fileName: z.string(),
  trackType: z.enum(TRACK_TYPES),
  uid: z.string(),
  mixedAllUser: z.boolean(),
  isPlayable: z.boolean(),
  sliceStartTime: z.int().meta({ description: 'Unix seconds; milliseconds where the server is set so.' }),
});
export type FileListEntry = z.infer<typeof fileListEntrySchema>;

export const textFileListMembers = { fileListMode: z.literal('string'), fileList: z.string() };
export const jsonFileListMembers = { fileListMode: z.literal('json'), fileList: z.array(fileListEntrySchema) };
export type FileList =
  | { fileListMode: 'string'; fileList: string }
  | { fileListMode: 'json'; fileList: FileListEntry[] };
export type NoFileList = { fileListMode?: never; fileList?: never };

/** Undefined where snapshots are taken. */
export function toFileList(recording: ListedRecording, unit: 's' | 'ms'): FileList | NoFileList {
  switch (recording.shape) {
    case 'text':
      return { fileListMode: 'string', fileList: recording.playlists.at(-1)?.key ?? '' };
    case 'list':
      return { fileListMode: 'json', fileList: toEntries(recording, unit) };
    case 'snapshots':
      return {};
  }
}

/** All stored files of a recording, playlists first. */
export function toEntries({ playlists, mp4s, trackType }: ListedRecording, unit: 's' | 'ms'): FileListEntry[] {
  return [...playlists, ...mp4s].map((file) => ({
    fileName: file.key,
    trackType: file.owner?.trackType ?? file.trackType ?? trackType,
    uid: file.owner?.uid ?? '0',
    mixedAllUser: file.owner === undefined,
    isPlayable: file.playable ?? true,
    // Typed clients take only whole numbers.
    sliceStartTime: Math.floor(unit === 's' ? file.startUtcMs / 1000 : file.startUtcMs),
  }));
}
