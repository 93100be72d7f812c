/**
 * query: how a recording is doing (contract §1.5).
 */
import { type FileList, type ListedRecording, toFileList } from './file-list.ts';

/** 1 initialised, 2 to 4 starting, 5 in progress, 6 stopping, 7 stopped, 8 exited, 20 exited abnormally. */
export type Status = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 20;

export type QueryReply = {
  cname: string;
  uid: string;
  resourceId: string;
  sid: string;
  /** `sliceStartTime` is the start of the recording's first slice, Unix milliseconds; 0 before there is one. */
  serverResponse: { status: Status; sliceStartTime: number } & FileList;
};

export function toQueryResponse(
  status: Status,
  recording: ListedRecording,
  unit: 's' | 'ms',
): QueryReply['serverResponse'] {
  return {
    status,
    ...toFileList(recording, unit),
    sliceStartTime: Math.floor(recording.playlist?.startUtcMs ?? 0),
  };
}
