/**
 * Calls in the document that are Aircheck's own: channels, events, health, and WHIP (RFC 9725), by which publishers
 * come in.
 */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject, ZodOpenApiResponseObject } from 'zod-openapi';
import { backlogReplySchema } from '../rest/backlog.ts';
import { channelReplySchema } from '../rest/channel.ts';
import { eventSchema, eventsReplySchema, redeliverReplySchema } from '../rest/events.ts';
import { uidSchema } from '../rest/fields.ts';
import { nodesReplySchema } from '../rest/nodes.ts';
import { recordingReportSchema } from '../rest/recording-report.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success } from './responses.ts';

/** The paths of these calls never have a region before them. */
const servers = [{ url: '/' }];
const appPath = z.object({ appid: appidSchema });
const cnameSchema = z.string().min(1).max(63).meta({ description: 'The channel.', example: 'ch1' });

const participants: ZodOpenApiOperationObject = {
  operationId: 'channel',
  tags: ['Channels'],
  summary: 'List who is in a channel and what they send',
  requestParams: { path: appPath.extend({ cname: cnameSchema }) },
  responses: {
    200: success('Those in the channel: publishers in the order they came, then recorders.', {
      schema: channelReplySchema,
    }),
    ...errors(EVERYWHERE),
  },
};

const report: ZodOpenApiOperationObject = {
  operationId: 'report',
  tags: ['Recording'],
  summary: 'Tell what is known of a recording, also after its end',
  requestParams: { path: appPath.extend({ sid: sidSchema }) },
  responses: {
    200: success('The recording.', { schema: recordingReportSchema }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

const listEvents: ZodOpenApiOperationObject = {
  operationId: 'events',
  tags: ['Notifications'],
  summary: 'List what recordings told, and whether it was delivered',
  requestParams: {
    path: appPath,
    query: z.object({
      sid: sidSchema.optional().meta({ description: 'Only events of this recording.' }),
      after: z.int().min(0).default(0).meta({ description: 'Only events after this position.' }),
      state: eventSchema.shape.state
        .optional()
        .meta({ description: 'Only events in this state; dead lists dead letters.' }),
      limit: z.int().min(1).max(1000).default(100),
    }),
  },
  responses: {
    200: success('Events, the oldest first.', {
      schema: eventsReplySchema,
    }),
    ...errors([...EVERYWHERE, 'request-invalid']),
  },
};

const redeliver: ZodOpenApiOperationObject = {
  operationId: 'redeliver',
  tags: ['Notifications'],
  summary: 'Send an event again, now',
  requestParams: {
    path: appPath.extend({ noticeId: z.string().meta({ example: '31aeb35a9245cbd977cfe18b438b75ed' }) }),
  },
  responses: {
    200: success('Whether it was taken.', {
      schema: redeliverReplySchema,
    }),
    ...errors([...EVERYWHERE, 'event-unknown', 'notifications-not-configured']),
  },
};

const health: ZodOpenApiOperationObject = {
  operationId: 'health',
  tags: ['Server'],
  summary: 'Ask whether the server can do its work',
  security: [],
  responses: {
    200: success('It can.', { schema: z.object({ status: z.literal('ok'), recordings: z.int() }) }),
    503: success('It cannot.', { schema: z.object({ status: z.literal('failing'), reason: z.string() }) }),
  },
};

const metrics: ZodOpenApiOperationObject = {
  operationId: 'metrics',
  tags: ['Server'],
  summary:
    'Read the metrics of recordings of apps that the customer may use; of the whole server for one who may use all',
  responses: {
    200: {
      description: 'In the text format of Prometheus, version 0.0.4.',
      content: { 'text/plain': { schema: z.string() } },
    },
    ...errors(['unauthorized', 'credentials-invalid']),
  },
};

const nodes: ZodOpenApiOperationObject = {
  operationId: 'nodes',
  tags: ['Server'],
  summary: 'List the servers that share this one’s database, and what each carries',
  description: 'For operators: customers who may use all apps.',
  responses: {
    200: success('Those that live, and those that went within the last hour without having said so.', {
      schema: nodesReplySchema,
    }),
    ...errors(['unauthorized', 'credentials-invalid', 'operator-needed', 'internal-error']),
  },
};

const drainSchema = z.object({ draining: z.boolean().meta({ description: 'Whether it takes nothing new.' }) });
const drained = {
  200: success('Done.', { schema: drainSchema }),
  ...errors(['unauthorized', 'credentials-invalid', 'operator-needed', 'internal-error']),
};
const drain: ZodOpenApiOperationObject = {
  operationId: 'drain',
  tags: ['Server'],
  summary: 'Have this server take no new recordings and channels, and go on with those that it has',
  description: 'For operators: customers who may use all apps.',
  responses: drained,
};
const undrain: ZodOpenApiOperationObject = {
  ...drain,
  operationId: 'undrain',
  summary: 'Have this server take new recordings and channels again',
};

/** RFC 9457. */
const whipProblem = (description: string): ZodOpenApiResponseObject => ({
  description,
  content: {
    'application/problem+json': {
      schema: z.object({
        type: z.literal('about:blank'),
        title: z.string(),
        status: z.int(),
        code: z.string(),
        detail: z.string(),
      }),
    },
  },
});
const sdp = { schema: { type: 'string' as const } };
const text = (description: string) => ({ description, schema: { type: 'string' as const } });
const whipSecurity = [{ rtcToken: [] }, {}];

const afterSchema = z.string().optional().meta({
  description:
    'Ids of sessions that this publisher had, with commas between them. Where another one of the uid has come in meanwhile, the answer is 409.',
});

const publish: ZodOpenApiOperationObject = {
  operationId: 'publish',
  tags: ['Channels'],
  summary: 'Publish into a channel (WHIP)',
  description: 'A token is needed where the app has a certificate.',
  security: whipSecurity,
  requestParams: {
    path: appPath.extend({ cname: cnameSchema }),
    query: z.object({ uid: uidSchema, after: afterSchema }),
  },
  requestBody: { required: true, content: { 'application/sdp': sdp } },
  responses: {
    201: {
      description: 'The answer to the offer.',
      headers: {
        Location: text('The session.'),
        ETag: text('The session’s state, for trickled candidates.'),
        'Aircheck-Nodes': text('In a fleet: where else publishers may come in, addresses with spaces between them.'),
      },
      content: { 'application/sdp': sdp },
    },
    307: {
      description: 'The channel is at home on another node of the fleet: the same request is to go there.',
      headers: { Location: text('Where to send it. It lets the user in without a token for half a minute.') },
    },
    400: whipProblem('The channel name, the uid or the offer is not valid.'),
    401: whipProblem('The token is missing or refused.'),
    404: whipProblem('There is no such app.'),
    409: whipProblem('The uid is taken.'),
    413: whipProblem('The offer is too large.'),
    415: whipProblem('The body is no application/sdp.'),
    422: whipProblem('The offer has nothing this server can take.'),
    503: whipProblem('The server is shutting down, or has no port for media.'),
  },
};
const sessionPath = z.object({ sessionId: z.string().meta({ description: 'As in Location.' }) });
const trickle: ZodOpenApiOperationObject = {
  operationId: 'trickle',
  tags: ['Channels'],
  summary: 'Add candidates to a session (RFC 8840)',
  security: [],
  requestParams: { path: sessionPath, header: z.object({ 'If-Match': z.string().meta({ description: 'The ETag.' }) }) },
  requestBody: { required: true, content: { 'application/trickle-ice-sdpfrag': sdp } },
  responses: {
    204: { description: 'They are added.' },
    400: whipProblem('The fragment is not valid.'),
    404: whipProblem('There is no such session.'),
    412: whipProblem('The ETag is not that of the session.'),
    413: whipProblem('The fragment is too large.'),
    415: whipProblem('The body is no application/trickle-ice-sdpfrag.'),
    422: whipProblem('ICE restarts are not supported.'),
    428: whipProblem('If-Match is missing.'),
  },
};
const unpublish: ZodOpenApiOperationObject = {
  operationId: 'unpublish',
  tags: ['Channels'],
  summary: 'End a session',
  security: [],
  requestParams: { path: sessionPath },
  responses: { 200: { description: 'It is ended.' }, 404: whipProblem('There is no such session.') },
};

const stays: ZodOpenApiOperationObject = {
  operationId: 'stays',
  tags: ['Channels'],
  summary: 'Ask whether a publisher should publish anew, at the channel’s new home',
  security: [],
  requestParams: { path: sessionPath },
  responses: {
    200: success('`stays` is false while this node hears the publisher only until it is at another.', {
      schema: z.object({ stays: z.boolean() }),
    }),
    404: whipProblem('There is no such session.'),
  },
};

const backlog: ZodOpenApiOperationObject = {
  operationId: 'backlog',
  tags: ['Recording'],
  summary: 'List files that are not in their store yet, and why',
  requestParams: { path: appPath },
  responses: {
    200: success('One entry for each recording, place and node that is waited for.', { schema: backlogReplySchema }),
    ...errors(EVERYWHERE),
  },
};
const retryBacklog: ZodOpenApiOperationObject = {
  operationId: 'retryBacklog',
  tags: ['Recording'],
  summary: 'Have what waits of a recording tried now, for its store or in the backup store',
  requestParams: { path: appPath.extend({ sid: z.string() }) },
  responses: {
    200: success('It is tried.', { schema: z.object({ sid: z.string() }) }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

export const ownPaths: ZodOpenApiPathsObject = {
  '/v1/apps/{appid}/aircheck/channels/{cname}': { servers, get: participants },
  '/v1/apps/{appid}/aircheck/recordings/{sid}': { servers, get: report },
  '/v1/apps/{appid}/aircheck/events': { servers, get: listEvents },
  '/v1/apps/{appid}/aircheck/events/{noticeId}/redeliver': { servers, post: redeliver },
  '/v1/apps/{appid}/aircheck/backlog': { servers, get: backlog },
  '/v1/apps/{appid}/aircheck/backlog/{sid}/retry': { servers, post: retryBacklog },
  '/v1/aircheck/nodes': { servers, get: nodes },
  '/v1/aircheck/drain': { servers, post: drain },
  '/v1/aircheck/undrain': { servers, post: undrain },
  '/healthz': { servers, get: health },
  '/metrics': { servers, get: metrics },
  '/whip/{appid}/{cname}': { servers, post: publish },
  '/whip/sessions/{sessionId}': { servers, patch: trickle, delete: unpublish },
  '/whip/sessions/{sessionId}/stays': { servers, get: stays },
};
