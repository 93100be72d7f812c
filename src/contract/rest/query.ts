/**
 * query: how a recording is doing (contract §1.5).
 */
import { z } from 'zod';
import { handleReplySchema } from './body.ts';
import {
  type FileList,
  jsonFileListMembers,
  type ListedRecording,
  type NoFileList,
  textFileListMembers,
  toFileList,
} from './file-list.ts';
import {
  type RtmpPublishState,
  rtmpPublishStateSchema,
  type WebRecorderState,
  webRecorderStateSchema,
} from './page-state.ts';

export const STATUSES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 20] as const;
/** 1 initialised, 2 to 4 starting, 5 in progress, 6 stopping, 7 stopped, 8 exited, 20 exited abnormally. */
export type Status = (typeof STATUSES)[number];

const status = z.literal(STATUSES).meta({
  description:
    '0 not started, 1 initialised, 2 to 4 starting, 5 in progress, 6 stopping, 7 stopped, 8 exited, 20 exited abnormally.',
});
const sliceStartTime = z
  .int()
  .meta({ description: 'Start of the first slice, Unix milliseconds; 0 before there is one.' });
const reply = <T extends z.ZodType>(serverResponse: T) => handleReplySchema.extend({ serverResponse });

// Strict: a client library refuses members it does not know (contract §8.2).
const listed = z.discriminatedUnion('fileListMode', [
  z.strictObject({ status, ...textFileListMembers, sliceStartTime }),
  z.strictObject({ status, ...jsonFileListMembers, sliceStartTime }),
]);
const snapshot = z.strictObject({ status, sliceStartTime });
const web = z.strictObject({
  status,
  extensionServiceState: z.array(z.discriminatedUnion('serviceName', [webRecorderStateSchema, rtmpPublishStateSchema])),
});

// Members beyond the contract, at a place where client libraries ignore them (contract §6.17).
const extension = {
  aircheck: z
    .object({ onhold: z.boolean().meta({ description: 'Whether nothing is recorded for now.' }) })
    .optional()
    .meta({ description: 'Of a recording that start or update said `aircheck.onhold` of; of others it is absent.' }),
};

export const queryReplySchemas = {
  individual: reply(z.union([listed, snapshot])).extend(extension),
  mix: reply(listed).extend(extension),
  web: reply(web),
} as const;

export type QueryReply = {
  cname: string;
  uid: string;
  resourceId: string;
  sid: string;
  serverResponse:
    | ({ status: Status; sliceStartTime: number } & (FileList | NoFileList))
    | { status: Status; extensionServiceState: (WebRecorderState | RtmpPublishState)[] };
  aircheck?: { onhold: boolean };
};

export function toQueryResponse(
  recordingStatus: Status,
  recording: ListedRecording,
  unit: 's' | 'ms',
): QueryReply['serverResponse'] {
  const starts = recording.playlists.map(({ startUtcMs }) => startUtcMs);
  return {
    status: recordingStatus,
    ...toFileList(recording, unit),
    sliceStartTime: starts.length > 0 ? Math.floor(Math.min(...starts)) : 0,
  };
}
