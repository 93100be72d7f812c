/**
 * The `fileList` of query and stop (contract §1.5 Q1/Q2, §1.6 S1/S2): exactly these members, as a client library refuses any
 * other. Pure.
 */
import { z } from 'zod';

export const TRACK_TYPES = ['audio', 'video', 'audio_and_video'] as const;
export type TrackType = (typeof TRACK_TYPES)[number];

/** A file of a recording that lies in its store; `key` has the prefix. */
export type ListedFile = { key: string; startUtcMs: number };

export type ListedRecording = {
  playlist: ListedFile | undefined;
  mp4s: readonly ListedFile[];
  /** Whether the recording makes MP4 files, which decides between a text and a list. */
  withMp4: boolean;
  trackType: TrackType;
};

export const fileListEntrySchema = z.strictObject({
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

export function toFileList(recording: ListedRecording, unit: 's' | 'ms'): FileList {
  if (!recording.withMp4) return { fileListMode: 'string', fileList: recording.playlist?.key ?? '' };
  return { fileListMode: 'json', fileList: toEntries(recording, unit) };
}

/** All stored files of a recording, the playlist first. */
export function toEntries({ playlist, mp4s, trackType }: ListedRecording, unit: 's' | 'ms'): FileListEntry[] {
  const files = playlist ? [playlist, ...mp4s] : mp4s;
  return files.map((file) => ({
    fileName: file.key,
    trackType,
    uid: '0',
    mixedAllUser: true,
    isPlayable: true,
    // Typed clients take whole numbers only.
    sliceStartTime: Math.floor(unit === 's' ? file.startUtcMs / 1000 : file.startUtcMs),
  }));
}
