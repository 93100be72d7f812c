/** The calls in the document that cut stretches out of recordings. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { cutReplySchema, cutRequestSchema } from '../rest/cut.ts';
import { madeMp4Call } from './made-mp4.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

const servers = [{ url: '/' }];
const recordingPath = z.object({ appid: appidSchema, sid: sidSchema });
const cutPath = recordingPath.extend({
  cutid: z.string().meta({ description: 'As the answer that began the cut told it.' }),
});
const reply = success('The cut.', { schema: cutReplySchema });

const begin: ZodOpenApiOperationObject = {
  operationId: 'beginCut',
  tags: ['Recording'],
  summary: 'Cut a stretch out of a recording as an MP4, also while it is being recorded',
  description:
    'Nothing is transcoded but what lies between the first picture of a composite and its next key frame. The answer waits some seconds for the MP4; a longer cut goes on, and is asked for by its id.',
  requestParams: { path: recordingPath },
  requestBody: { required: true, content: { 'application/json': { schema: cutRequestSchema } } },
  responses: {
    201: reply,
    ...errors([
      ...EVERYWHERE,
      ...WITH_BODY,
      ...(['recording-unknown', 'nothing-stored', 'cut-outside', 'cut-impossible', 'cut-refused'] as const),
    ]),
  },
};

const read: ZodOpenApiOperationObject = {
  operationId: 'cut',
  tags: ['Recording'],
  summary: 'Tell how far a cut is',
  requestParams: { path: cutPath },
  responses: { 200: reply, ...errors([...EVERYWHERE, 'cut-unknown']) },
};

const file = madeMp4Call('cut', cutPath, ['cut-unknown', 'cut-unfinished']);

const remove: ZodOpenApiOperationObject = {
  operationId: 'removeCut',
  tags: ['Recording'],
  summary: 'Call a cut off, or remove its MP4',
  requestParams: { path: cutPath },
  responses: { 204: { description: 'It is gone.' }, ...errors([...EVERYWHERE, 'cut-unknown']) },
};

const ROOT = '/v1/apps/{appid}/aircheck/recordings/{sid}/cuts';
export const cutPaths: ZodOpenApiPathsObject = {
  [ROOT]: { servers, post: begin },
  [`${ROOT}/{cutid}`]: { servers, get: read, delete: remove },
  [`${ROOT}/{cutid}/file`]: { servers, get: file },
};
