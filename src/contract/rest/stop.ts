/**
 * stop: leave the channel and finish the files (stop.txt, contract §1.6).
 */
import { z } from 'zod';
import { handleReplySchema, parseBody, type SaidNames } from './body.ts';
import { uidSchema } from './fields.ts';
import { type FileList, jsonFileListMembers, type NoFileList, textFileListMembers } from './file-list.ts';
import { type WebRecorderState, webRecorderStateSchema } from './page-state.ts';

/** The path says which recording it is: stop.txt has no names in the body, and client libraries send them. */
const withNames = <T extends z.ZodType>(clientRequest: T) =>
  z.object({
    cname: z.string().optional().meta({ description: 'May be left out; else that of the recording.' }),
    uid: uidSchema.optional().meta({ description: 'May be left out; else that of the recording, as text.' }),
    clientRequest,
  });
export const stopRequestSchema = withNames(z.object({ async_stop: z.boolean().default(false) }));
const namesSchema = withNames(z.looseObject({}));

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

/** The names in a stop body, read before anything else is checked (contract §2.4). Throws `request-invalid`. */
export function parseStopNames(body: unknown): SaidNames {
  const { cname, uid } = parseBody('stop', namesSchema, body);
  return { cname, uid };
}

/** Reads a stop body. Throws `request-invalid`. */
export function parseStop(body: unknown): { asyncStop: boolean } {
  return { asyncStop: parseBody('stop', stopRequestSchema, body).clientRequest.async_stop };
}
