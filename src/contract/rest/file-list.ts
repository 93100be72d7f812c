/**
 * The `fileList` of query and stop in composite mode (contract §1.5 Q1/Q2, §1.6 S1/S2): exactly these members, as a client
 * library refuses any other. Pure.
 */

/** A file of a recording that lies in its store; `key` has the prefix. */
export type ListedFile = { key: string; startUtcMs: number };
export type ListedRecording = {
  playlist: ListedFile | undefined;
  mp4s: readonly ListedFile[];
  /** Whether the recording makes MP4 files, which decides between a text and a list. */
  withMp4: boolean;
  trackType: 'audio' | 'video' | 'audio_and_video';
};

export type FileListEntry = {
  fileName: string;
  trackType: 'audio' | 'video' | 'audio_and_video';
  uid: string;
  mixedAllUser: boolean;
  isPlayable: boolean;
  /** Unix seconds, or milliseconds where the server is set so (contract §6.2). */
  sliceStartTime: number;
};
export type FileList =
  | { fileListMode: 'string'; fileList: string }
  | { fileListMode: 'json'; fileList: FileListEntry[] };

export function toFileList(recording: ListedRecording, unit: 's' | 'ms'): FileList {
  if (!recording.withMp4) return { fileListMode: 'string', fileList: recording.playlist?.key ?? '' };
  const files = recording.playlist ? [recording.playlist, ...recording.mp4s] : recording.mp4s;
  return {
    fileListMode: 'json',
    fileList: files.map((file) => ({
      fileName: file.key,
      trackType: recording.trackType,
      uid: '0',
      mixedAllUser: true,
      isPlayable: true,
      // Typed clients take whole numbers only.
      sliceStartTime: Math.floor(unit === 's' ? file.startUtcMs / 1000 : file.startUtcMs),
    })),
  };
}
