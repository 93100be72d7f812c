/** Aircheck's own calls in the document that list recordings. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { MODES } from '../rest/fields.ts';
import { RECORDING_STATES, recordingListReplySchema } from '../rest/recording-list.ts';
import { appidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success } from './responses.ts';

/** The paths of these calls never have a region before them. */
const servers = [{ url: '/' }];

const list: ZodOpenApiOperationObject = {
  operationId: 'recordings',
  tags: ['Recording'],
  summary: 'List recordings of an app, running or ended',
  requestParams: {
    path: z.object({ appid: appidSchema }),
    query: z.object({
      mode: z.enum(MODES).optional().meta({ description: 'Only recordings of this mode.' }),
      state: z.enum(RECORDING_STATES).optional().meta({
        description:
          'running: it records, or is about to stop; uploading: files are still being stored; ended: all is done; failed: a failure ended it.',
      }),
      cname: z.string().optional().meta({ description: 'Only recordings of this channel.' }),
      search: z.string().max(200).optional().meta({
        description: 'Part of the channel’s name or of the uid, in upper or lower case, or the beginning of a sid.',
      }),
      from: z.int().optional().meta({ description: 'Only those started at this moment or later, Unix milliseconds.' }),
      until: z.int().optional().meta({ description: 'Only those started before this moment, Unix milliseconds.' }),
      before: z.string().optional().meta({ description: 'Only those after this place of the list: `next` of a page.' }),
      limit: z.int().min(1).max(200).default(50),
    }),
  },
  responses: {
    200: success('A page of recordings, the newest first.', { schema: recordingListReplySchema }),
    ...errors([...EVERYWHERE, 'request-invalid']),
  },
};

export const listPaths: ZodOpenApiPathsObject = {
  '/v1/apps/{appid}/aircheck/recordings': { servers, get: list },
};
