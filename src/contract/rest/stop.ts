/**
 * stop: leave the channel and finish the files (stop.txt, contract §1.6).
 */
import { z } from 'zod';
import { envelope, parseBody } from './body.ts';
import type { FileList } from './file-list.ts';

const stopSchema = envelope(z.object({ async_stop: z.boolean().default(false) }));

export type StopRequest = { cname: string; uid: string; asyncStop: boolean };
export type UploadingStatus = 'uploaded' | 'backuped' | 'unknown';
export type StopReply = {
  cname: string;
  uid: string;
  resourceId: string;
  sid: string;
  serverResponse: FileList & { uploadingStatus: UploadingStatus };
};

/** Reads a stop body. Throws `request-invalid`. */
export function parseStop(body: unknown): StopRequest {
  const { cname, uid, clientRequest } = parseBody('stop', stopSchema, body);
  return { cname, uid, asyncStop: clientRequest.async_stop };
}
