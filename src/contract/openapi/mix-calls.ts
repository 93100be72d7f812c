/** The calls in the document that mix recordings of single users afterwards. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { mixListSchema, mixReplySchema, mixRequestSchema } from '../rest/mix.ts';
import { madeMp4Call } from './made-mp4.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

const servers = [{ url: '/' }];
const recordingPath = z.object({ appid: appidSchema, sid: sidSchema });
const mixPath = recordingPath.extend({
  mixid: z.string().meta({ description: 'As the answer that began the mix told it.' }),
});
const reply = success('The mix.', { schema: mixReplySchema });

const begin: ZodOpenApiOperationObject = {
  operationId: 'beginMix',
  tags: ['Recording'],
  summary: 'Have a recording of single users that has ended mixed into one MP4',
  description:
    'It is queued, and made in a process that gives way to running recordings: by default one at a time on each node. It is begun anew when its process or its server ends, three times at most.',
  requestParams: { path: recordingPath },
  requestBody: { required: true, content: { 'application/json': { schema: mixRequestSchema } } },
  responses: {
    201: reply,
    ...errors([
      ...EVERYWHERE,
      ...WITH_BODY,
      ...(['recording-unknown', 'nothing-stored', 'mix-outside', 'mix-impossible', 'cut-impossible'] as const),
      'mix-refused',
    ]),
  },
};

const list: ZodOpenApiOperationObject = {
  operationId: 'mixes',
  tags: ['Recording'],
  summary: 'List the mixes of a recording, the newest first',
  requestParams: { path: recordingPath },
  responses: {
    200: success('The mixes.', { schema: mixListSchema }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

const read: ZodOpenApiOperationObject = {
  operationId: 'mix',
  tags: ['Recording'],
  summary: 'Tell how far a mix is',
  requestParams: { path: mixPath },
  responses: { 200: reply, ...errors([...EVERYWHERE, 'mix-unknown']) },
};

const file = madeMp4Call('mix', mixPath, ['mix-unknown', 'mix-unfinished']);

const remove: ZodOpenApiOperationObject = {
  operationId: 'removeMix',
  tags: ['Recording'],
  summary: 'Call a mix off, or remove its MP4',
  requestParams: { path: mixPath },
  responses: {
    204: { description: 'It is gone.' },
    ...errors([...EVERYWHERE, 'mix-unknown', 'deletion-refused']),
  },
};

const ROOT = '/v1/apps/{appid}/aircheck/recordings/{sid}/mixes';
export const mixPaths: ZodOpenApiPathsObject = {
  [ROOT]: { servers, post: begin, get: list },
  [`${ROOT}/{mixid}`]: { servers, get: read, delete: remove },
  [`${ROOT}/{mixid}/file`]: { servers, get: file },
};
