/**
 * The calls of the contract in the document (contract §0.2, §1).
 */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import type { ProblemName } from '../problems.ts';
import { MODES } from '../rest/fields.ts';
import {
  ACQUIRE_REPLY,
  ACQUIRE_REQUESTS,
  HANDLE_REPLY,
  QUERY_REPLIES,
  START_REQUESTS,
  STOP_REPLIES,
  STOP_REQUESTS,
  UPDATE_LAYOUT_REQUESTS,
  UPDATE_REQUESTS,
} from './examples.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

export const appidSchema = z
  .string()
  .regex(/^[0-9a-fA-F]{32}$/)
  .meta({ description: 'The App ID.', example: '0123456789abcdef0123456789abcdef' });
export const sidSchema = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .meta({ description: 'The recording, as start named it.', example: HANDLE_REPLY.sid });
const resourceidSchema = z
  .string()
  .meta({ description: 'The resource id that acquire gave.', example: HANDLE_REPLY.resourceId });
const modeSchema = z
  .enum(MODES)
  .meta({ description: 'The mode of the recording, the same from start to stop.', example: 'mix' });

const appPath = z.object({ appid: appidSchema });
const resourcePath = appPath.extend({ resourceid: resourceidSchema, mode: modeSchema });
const taskPath = resourcePath.extend({ sid: sidSchema });

const HANDLE: ProblemName[] = ['resource-unknown', 'resource-mismatch', 'sid-mismatch'];
const TASK: ProblemName[] = [...HANDLE, 'resource-expired', 'no-worker', 'request-timeout'];

const tags = ['Recording'];
const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const anyMode = (name: string) => ({ anyOf: ['Mix', 'Individual', 'Web'].map((mode) => ref(`${name}${mode}`)) });
const body = (schema: ReturnType<typeof ref> | ReturnType<typeof anyMode>, examples: Record<string, object>) => ({
  required: true,
  content: { 'application/json': { schema, examples } },
});
const handleReply = (description: string, { tested = false } = {}) =>
  success(description, { schema: ref('HandleReply'), example: HANDLE_REPLY }, { linted: true, tested });

const acquire: ZodOpenApiOperationObject = {
  operationId: 'acquire',
  tags,
  summary: 'Get a resource id for one start',
  description: 'The resource id is good for one start within five minutes. Every call gives a new one.',
  requestParams: { path: appPath },
  requestBody: body(ref('AcquireRequest'), ACQUIRE_REQUESTS),
  responses: {
    200: success('The resource id.', { schema: ref('AcquireReply'), example: ACQUIRE_REPLY }, { linted: true }),
    ...errors([
      ...EVERYWHERE,
      ...WITH_BODY,
      'channel-name-invalid',
      'app-inactive',
      'too-many-recordings',
      'no-worker-manager',
      'allocate-timeout',
    ]),
  },
};

const start: ZodOpenApiOperationObject = {
  operationId: 'start',
  tags,
  summary: 'Start recording',
  description:
    'Takes the cname and uid of acquire. An answer of 200 means that the recording is under way, and not yet that it works: ask query, or wait for the notices. A member that is null counts as not sent, and one that is not known is ignored with a warning.',
  requestParams: { path: resourcePath },
  requestBody: body(anyMode('StartRequest'), START_REQUESTS),
  responses: {
    200: handleReply('The recording has begun.', { tested: true }),
    ...errors([
      ...EVERYWHERE,
      ...WITH_BODY,
      ...HANDLE,
      'resource-too-old',
      'request-hash-mismatch',
      'already-started',
      'task-conflict',
      'too-many-recordings',
      'request-incomplete',
      'start-timeout',
      'no-worker-manager',
      'allocate-failed',
    ]),
  },
};

const update: ZodOpenApiOperationObject = {
  operationId: 'update',
  tags,
  summary: 'Change subscriptions, credentials of the store, or pause a page',
  description:
    'A new list of users replaces the whole of the old one, and a list for one kind alone ends the other kind.',
  requestParams: { path: taskPath },
  requestBody: body(anyMode('UpdateRequest'), UPDATE_REQUESTS),
  responses: { 200: handleReply('The change is made.'), ...errors([...EVERYWHERE, ...WITH_BODY, ...TASK]) },
};

const updateLayout: ZodOpenApiOperationObject = {
  operationId: 'updateLayout',
  tags,
  summary: 'Change the layout of a mix recording',
  description: 'Replaces the whole layout: what is not sent goes back to its default. In mix mode only.',
  requestParams: { path: taskPath },
  requestBody: body(ref('UpdateLayoutRequest'), UPDATE_LAYOUT_REQUESTS),
  responses: {
    200: handleReply('The change is made.'),
    ...errors([...EVERYWHERE, ...WITH_BODY, ...TASK, 'layout-invalid']),
  },
};

const query: ZodOpenApiOperationObject = {
  operationId: 'query',
  tags,
  summary: 'Ask how a recording is doing',
  description: 'Only while the recording lives. After its end the answer is 404.',
  requestParams: { path: taskPath },
  responses: {
    200: success('Where the recording stands.', { schema: anyMode('QueryReply'), examples: QUERY_REPLIES }),
    ...errors([...EVERYWHERE, 'request-invalid', ...TASK]),
  },
};

const stop: ZodOpenApiOperationObject = {
  operationId: 'stop',
  tags,
  summary: 'Stop recording',
  description:
    'The recording stops whether or not the caller waits for the answer. Without async_stop the answer comes when all files are uploaded.',
  requestParams: { path: taskPath },
  requestBody: body(ref('StopRequest'), STOP_REQUESTS),
  responses: {
    200: success('What was recorded.', { schema: anyMode('StopReply'), examples: STOP_REPLIES }, { linted: true }),
    ...errors([...EVERYWHERE, ...WITH_BODY, ...TASK, 'invalid-operation', 'nothing-recorded', 'upload-timeout']),
  },
};

const hostsSchema = z
  .object({
    data: z.object({ service: z.object({ hosts: z.array(z.object({ primaryIP: z.string() })) }) }),
  })
  .meta({ example: { data: { service: { hosts: [{ primaryIP: '192.0.2.7' }] } } } });
const ncsIp = (version: string): ZodOpenApiOperationObject => ({
  operationId: `ncsIp${version}`,
  tags: ['Notifications'],
  summary: 'List the addresses that notices come from',
  responses: {
    200: success('The addresses, for those who keep a firewall.', { schema: hostsSchema }),
    ...errors(['no-route', 'unauthorized', 'credentials-invalid', 'internal-error']),
  },
});

const APP = '/v1/apps/{appid}/cloud_recording';
const RESOURCE = `${APP}/resourceid/{resourceid}`;
const TASK_PATH = `${RESOURCE}/sid/{sid}/mode/{mode}`;

export const recordingPaths: ZodOpenApiPathsObject = {
  [`${APP}/acquire`]: { post: acquire },
  [`${RESOURCE}/mode/{mode}/start`]: { post: start },
  [`${TASK_PATH}/update`]: { post: update },
  [`${TASK_PATH}/updateLayout`]: { post: updateLayout },
  [`${TASK_PATH}/query`]: { get: query },
  [`${TASK_PATH}/stop`]: { post: stop },
  '/v1/ncs/ip': { get: ncsIp('V1') },
  '/v2/ncs/ip': { get: ncsIp('V2') },
};
