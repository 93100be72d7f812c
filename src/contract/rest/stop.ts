/**
 * stop: leave the channel and finish the files (stop.txt, contract §1.6).
 */
import { z } from 'zod';
import { envelope, handleReplySchema, parseBody } from './body.ts';
import { type FileList, jsonFileListMembers, type NoFileList, textFileListMembers } from './file-list.ts';
import { type WebRecorderState, webRecorderStateSchema } from './page-state.ts';

export const stopRequestSchema = envelope(z.object({ async_stop: z.boolean().default(false) }));
export type StopRequest = { cname: string; uid: string; asyncStop: boolean };

const uploadingStatus = z.enum(['uploaded', 'backuped', 'unknown']);
export type UploadingStatus = z.infer<typeof uploadingStatus>;

const reply = <T extends z.ZodType>(serverResponse: T) => handleReplySchema.extend({ serverResponse });
const listed = z.discriminatedUnion('fileListMode', [
  z.strictObject({ ...textFileListMembers, uploadingStatus }),
  z.strictObject({ ...jsonFileListMembers, uploadingStatus }),
]);
const snapshot = z.strictObject({ uploadingStatus });
const uploadServiceStateSchema = z.strictObject({
  serviceName: z.literal('upload_service'),
  payload: z.strictObject({ uploadingStatus }),
});
type UploadServiceState = z.infer<typeof uploadServiceStateSchema>;
const web = z.strictObject({
  extensionServiceState: z.array(
    z.discriminatedUnion('serviceName', [webRecorderStateSchema, uploadServiceStateSchema]),
  ),
});

export const stopReplySchemas = {
  individual: reply(z.union([listed, snapshot])),
  mix: reply(listed),
  web: reply(web),
} as const;

export type StopReply = {
  cname: string;
  uid: string;
  resourceId: string;
  sid: string;
  serverResponse:
    | ((FileList | NoFileList) & { uploadingStatus: UploadingStatus })
    | { extensionServiceState: (WebRecorderState | UploadServiceState)[] };
};

/** Reads a stop body. Throws `request-invalid`. */
export function parseStop(body: unknown): StopRequest {
  const { cname, uid, clientRequest } = parseBody('stop', stopRequestSchema, body);
  return { cname, uid, asyncStop: clientRequest.async_stop };
}
