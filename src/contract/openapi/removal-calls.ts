/** The calls in the document that remove a person from a recording. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { removalListSchema, removalPreviewSchema, removalRequestSchema, removalSchema } from '../rest/removal.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

const servers = [{ url: '/' }];
const path = z.object({ appid: appidSchema, sid: sidSchema });
const REFUSED = ['recording-unknown', 'person-unknown', 'removal-impossible', 'removal-refused'] as const;

const list: ZodOpenApiOperationObject = {
  operationId: 'removals',
  tags: ['Recording'],
  summary: 'Tell who was removed from a recording, when, by whom, and which files went',
  requestParams: { path },
  responses: {
    200: success('The removals.', { schema: removalListSchema }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

const remove: ZodOpenApiOperationObject = {
  operationId: 'removePerson',
  tags: ['Recording'],
  summary: 'Remove one person from a recording of single users: their picture, sound and files',
  description:
    'The answer comes when that is queued. Files of the person alone are deleted with all their versions, those of everybody made anew without the person. Asked again it goes on, or tells what was done.',
  requestParams: { path },
  requestBody: { required: true, content: { 'application/json': { schema: removalRequestSchema } } },
  responses: {
    200: success('The person was removed before.', { schema: removalSchema }),
    202: success('It is under way.', { schema: removalSchema }),
    ...errors([...EVERYWHERE, ...WITH_BODY, ...REFUSED]),
  },
};

const preview: ZodOpenApiOperationObject = {
  operationId: 'previewRemoval',
  tags: ['Recording'],
  summary: 'Tell what removing a person would delete and make anew; nothing is removed',
  requestParams: { path, query: removalRequestSchema.pick({ uid: true }) },
  responses: {
    200: success('What would go.', { schema: removalPreviewSchema }),
    ...errors([...EVERYWHERE, 'request-invalid', ...REFUSED]),
  },
};

const ROOT = '/v1/apps/{appid}/aircheck/recordings/{sid}/removals';
export const removalPaths: ZodOpenApiPathsObject = {
  [ROOT]: { servers, get: list, post: remove },
  [`${ROOT}/preview`]: { servers, get: preview },
};
