/**
 * The OpenAPI 3.1 document of everything this server answers, made from the schemas that requests are read with.
 */
import type { z } from 'zod';
import { createDocument } from 'zod-openapi';
import { storageConfigSchema } from './line/storage.ts';
import { cutPaths } from './openapi/cut-calls.ts';
import { dashboardPaths } from './openapi/dashboard-calls.ts';
import { describeMembers } from './openapi/descriptions.ts';
import { mixPaths } from './openapi/mix-calls.ts';
import { ownPaths } from './openapi/own-calls.ts';
import { recordingPaths } from './openapi/recording-calls.ts';
import { removalPaths } from './openapi/removal-calls.ts';
import { apiErrorSchema, gatewayErrorSchema } from './openapi/responses.ts';
import { retentionPaths } from './openapi/retention-calls.ts';
import { watchPaths } from './openapi/watch-calls.ts';
import { noticeWebhooks } from './openapi/webhooks.ts';
import { acquireReplySchema, acquireRequestSchema } from './rest/acquire.ts';
import { handleReplySchema } from './rest/body.ts';
import { queryReplySchemas } from './rest/query.ts';
import { startRequestSchemas } from './rest/start.ts';
import { stopReplySchemas, stopRequestSchema } from './rest/stop.ts';
import { updateRequestSchemas } from './rest/update.ts';
import { updateLayoutRequestSchema } from './rest/update-layout.ts';

export type OpenApiDocument = ReturnType<typeof createDocument>;

const ABOUT = [
  'Records channels that you run yourself, by the calls of Agora Cloud Recording: acquire, start, query, update, updateLayout, stop.',
  '',
  'Members that are null count as not sent. Members that are not known, stand in the wrong place or contradict others are taken and have no effect: the header `X-Aircheck-Warnings` counts them, and the log names them.',
  '',
  'Bodies may be packed with gzip. Doubled slashes in a path, and slashes at its end, count as not there.',
].join('\n');

const TAGS = [
  { name: 'Recording', description: 'The recording API. Callers may put their region before its paths.' },
  { name: 'Notifications', description: 'What recordings told, and whether it was delivered.' },
  { name: 'Channels', description: 'Who publishes, and how to.' },
  { name: 'Server', description: 'The server itself.' },
];

/** Requests are described as they are sent, before defaults; replies as they arrive. */
const request = (schema: z.ZodType, id: string) => schema.meta({ id, unusedIO: 'input' });
const reply = (schema: z.ZodType, id: string) => schema.meta({ id, unusedIO: 'output' });

/**
 * Takes some tens of milliseconds, so call it once, when somebody asks for the document. The result is always the same.
 */
export function openApiDocument(): OpenApiDocument {
  const document = createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Aircheck',
      version: '1',
      description: ABOUT,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [
      { url: '/' },
      {
        url: '/{region}',
        description: 'With a region, as clients of the service that this API comes from have it. It has no effect.',
        variables: { region: { default: 'eu', enum: ['cn', 'eu', 'ap', 'us', 'na'] } },
      },
    ],
    tags: TAGS,
    security: [{ customer: [] }],
    paths: {
      ...recordingPaths,
      ...dashboardPaths,
      ...ownPaths,
      ...cutPaths,
      ...mixPaths,
      ...watchPaths,
      ...retentionPaths,
      ...removalPaths,
    },
    webhooks: noticeWebhooks(),
    components: {
      securitySchemes: {
        customer: { type: 'http', scheme: 'basic', description: 'The id and secret of a customer.' },
        rtcToken: { type: 'http', scheme: 'bearer', description: 'An RTC token for the channel and uid.' },
      },
      headers: {
        RequestId: {
          description: 'Names the request in the log of the server.',
          required: true,
          schema: { type: 'string' },
        },
        Warnings: {
          description:
            'How many members of the request will not do what they seem to; absent when none. On refusals as well.',
          schema: { type: 'integer', minimum: 1 },
        },
        StoreWarning: {
          description:
            'What the store said to a small test object that it did not take; absent when it did, or has not answered within a second. It counts as one of the warnings.',
          schema: { type: 'string' },
        },
      },
      schemas: {
        // Registered as it is: with an id of its own it would be a copy that requests do not refer to.
        StorageConfig: storageConfigSchema,
        AcquireRequest: request(acquireRequestSchema, 'AcquireRequest'),
        AcquireReply: reply(acquireReplySchema, 'AcquireReply'),
        StartRequestMix: request(startRequestSchemas.mix, 'StartRequestMix'),
        StartRequestIndividual: request(startRequestSchemas.individual, 'StartRequestIndividual'),
        StartRequestWeb: request(startRequestSchemas.web, 'StartRequestWeb'),
        HandleReply: reply(handleReplySchema, 'HandleReply'),
        UpdateRequestMix: request(updateRequestSchemas.mix, 'UpdateRequestMix'),
        UpdateRequestIndividual: request(updateRequestSchemas.individual, 'UpdateRequestIndividual'),
        UpdateRequestWeb: request(updateRequestSchemas.web, 'UpdateRequestWeb'),
        UpdateLayoutRequest: request(updateLayoutRequestSchema, 'UpdateLayoutRequest'),
        QueryReplyMix: reply(queryReplySchemas.mix, 'QueryReplyMix'),
        QueryReplyIndividual: reply(queryReplySchemas.individual, 'QueryReplyIndividual'),
        QueryReplyWeb: reply(queryReplySchemas.web, 'QueryReplyWeb'),
        StopRequest: request(stopRequestSchema, 'StopRequest'),
        StopReplyMix: reply(stopReplySchemas.mix, 'StopReplyMix'),
        StopReplyIndividual: reply(stopReplySchemas.individual, 'StopReplyIndividual'),
        StopReplyWeb: reply(stopReplySchemas.web, 'StopReplyWeb'),
        ApiError: reply(apiErrorSchema, 'ApiError'),
        GatewayError: reply(gatewayErrorSchema, 'GatewayError'),
      },
    },
  });
  const schemas = document.components?.schemas ?? {};
  // Registering the schema as it is makes this copy too, and no answer uses it.
  delete schemas['StorageConfigOutput'];
  for (const [name, schema] of Object.entries(schemas)) describeMembers(schema as object, name);
  relaxStorage(schemas['StorageConfig'] as { required?: string[] });
  return document;
}

/** Members that a function reads before they are checked look as if they were required. */
function relaxStorage(schema: { required?: string[] }): void {
  const optional = ['region', 'accessKey', 'secretKey', 'fileNamePrefix'];
  schema.required = schema.required?.filter((name) => !optional.includes(name)) ?? [];
}
