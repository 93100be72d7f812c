/** The calls in the document about how long files are kept. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import {
  deletionRequestSchema,
  legalHoldRequestSchema,
  retentionReplySchema,
  retentionRequestSchema,
} from '../rest/retention.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

const servers = [{ url: '/' }];
const requestParams = { path: z.object({ appid: appidSchema, sid: sidSchema }) };
const reply = success('How long its files are kept.', { schema: retentionReplySchema });
const body = (schema: z.ZodType, required = true) => ({ required, content: { 'application/json': { schema } } });

const read: ZodOpenApiOperationObject = {
  operationId: 'retention',
  tags: ['Recording'],
  summary: 'Tell how long the files of a recording are kept, and what was deleted',
  requestParams,
  responses: { 200: reply, ...errors([...EVERYWHERE, 'recording-unknown']) },
};

const set: ZodOpenApiOperationObject = {
  operationId: 'setRetention',
  tags: ['Recording'],
  summary: 'Have the files of a recording kept for other than its start or its app says',
  requestParams,
  requestBody: body(retentionRequestSchema),
  responses: { 200: reply, ...errors([...EVERYWHERE, ...WITH_BODY, 'recording-unknown', 'retention-impossible']) },
};

const hold: ZodOpenApiOperationObject = {
  operationId: 'holdRecording',
  tags: ['Recording'],
  summary: 'Put a recording under a legal hold: nothing of it is deleted',
  description:
    'One that an operator has set can be lifted by an operator alone. Of files whose deletion was begun before the call, at most 16 go on.',
  requestParams,
  requestBody: body(legalHoldRequestSchema, false),
  responses: { 200: reply, ...errors([...EVERYWHERE, ...WITH_BODY, 'recording-unknown']) },
};

const release: ZodOpenApiOperationObject = {
  operationId: 'releaseRecording',
  tags: ['Recording'],
  summary: 'Lift the legal hold of a recording',
  requestParams,
  responses: { 200: reply, ...errors([...EVERYWHERE, 'recording-unknown', 'operator-needed']) },
};

const remove: ZodOpenApiOperationObject = {
  operationId: 'deleteFiles',
  tags: ['Recording'],
  summary: 'Delete the files of a recording now',
  description: 'The answer comes when that is queued; what is known of the recording stays.',
  requestParams,
  requestBody: body(deletionRequestSchema, false),
  responses: {
    202: reply,
    ...errors([...EVERYWHERE, ...WITH_BODY, 'recording-unknown', 'retention-impossible', 'deletion-refused']),
  },
};

const ROOT = '/v1/apps/{appid}/aircheck/recordings/{sid}';
export const retentionPaths: ZodOpenApiPathsObject = {
  [`${ROOT}/retention`]: { servers, get: read, put: set },
  [`${ROOT}/legal-hold`]: { servers, put: hold, delete: release },
  [`${ROOT}/deletion`]: { servers, post: remove },
};
