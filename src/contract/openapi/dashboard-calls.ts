/** Aircheck's own calls in the document that the dashboard makes: lists, files, changes, and signing in. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject } from 'zod-openapi';
import { MODES, uidSchema } from '../rest/fields.ts';
import { fileLinkReplySchema, fileLinkRequestSchema } from '../rest/file-link.ts';
import { recordingCallsReplySchema } from '../rest/recording-calls.ts';
import { recordingFilesReplySchema } from '../rest/recording-files.ts';
import { RECORDING_STATES, recordingListReplySchema } from '../rest/recording-list.ts';
import { sessionReplySchema, signInSchema } from '../rest/session.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

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

const recordingPath = z.object({ appid: appidSchema, sid: sidSchema });

const files: ZodOpenApiOperationObject = {
  operationId: 'files',
  tags: ['Recording'],
  summary: 'List the files of a recording, and where they lie',
  requestParams: { path: recordingPath },
  responses: {
    200: success('Its files, slices last.', { schema: recordingFilesReplySchema }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

const file: ZodOpenApiOperationObject = {
  operationId: 'file',
  tags: ['Recording'],
  summary: 'Read a file of a recording that lies in the server’s own folder (vendor 1000)',
  requestParams: {
    path: recordingPath.extend({ name: z.string().meta({ description: 'Its name, without the path before it.' }) }),
    query: z.object({
      download: z.string().optional().meta({ description: 'Whatever its value, a browser saves the file.' }),
    }),
    header: z.object({ Range: z.string().optional().meta({ description: 'The part that is wanted (RFC 9110 §14).' }) }),
  },
  responses: {
    200: { description: 'The file.' },
    206: { description: 'The part of it.' },
    304: { description: 'It has not changed.' },
    416: { description: 'The file is shorter.' },
    ...errors([...EVERYWHERE, 'file-unknown']),
  },
};

const link: ZodOpenApiOperationObject = {
  operationId: 'fileLink',
  tags: ['Recording'],
  summary: 'Get an address at which a file can be read from its store for five minutes, without keys',
  description:
    'For all vendors but 1000: a signed address of the store itself, so that the file does not come through this server.',
  requestParams: {
    path: recordingPath.extend({ name: z.string().meta({ description: 'Its name, without the path before it.' }) }),
  },
  requestBody: { content: { 'application/json': { schema: fileLinkRequestSchema } } },
  responses: {
    200: success('The address.', { schema: fileLinkReplySchema }),
    ...errors([...EVERYWHERE, ...WITH_BODY, 'file-unknown', 'link-impossible']),
  },
};

const calls: ZodOpenApiOperationObject = {
  operationId: 'calls',
  tags: ['Recording'],
  summary: 'List the calls that started and changed a recording, as they came, without their secrets',
  requestParams: { path: recordingPath },
  responses: {
    200: success('The calls.', { schema: recordingCallsReplySchema }),
    ...errors([...EVERYWHERE, 'recording-unknown']),
  },
};

const channels: ZodOpenApiOperationObject = {
  operationId: 'channels',
  tags: ['Channels'],
  summary: 'List the channels that somebody publishes to',
  requestParams: { path: z.object({ appid: appidSchema }) },
  responses: {
    200: success('Those of this server; in a fleet also those that another node is the home of.', {
      schema: z.object({
        channels: z.array(z.object({ cname: z.string() })),
        thumbnails: z.boolean().meta({ description: 'Whether there are thumbnails of who publishes there.' }),
      }),
    }),
    ...errors(EVERYWHERE),
  },
};

const entityTag = { description: 'Changes with the picture.', schema: { type: 'string' as const } };
const thumbnail: ZodOpenApiOperationObject = {
  operationId: 'thumbnail',
  tags: ['Channels'],
  summary: 'Get a small picture of a publisher',
  description:
    'Of a key frame of the last seconds, upright, of at most 240 pixels on its longer side. A sender is asked for a key frame where its newest is older than eight seconds, and only while somebody asks for its thumbnail.',
  requestParams: {
    path: z.object({
      appid: appidSchema,
      cname: z.string().meta({ description: 'The channel.', example: 'ch1' }),
      uid: uidSchema,
    }),
    header: z.object({
      'If-None-Match': z.string().optional().meta({ description: 'The ETag of the one that is known already.' }),
    }),
  },
  responses: {
    200: {
      description: 'The picture.',
      headers: {
        ETag: entityTag,
        'Last-Modified': { description: 'When the key frame came in.', schema: { type: 'string' as const } },
      },
      content: { 'image/jpeg': { schema: { type: 'string', format: 'binary' } } },
    },
    304: { description: 'It is the one that is known.', headers: { ETag: entityTag } },
    ...errors([...EVERYWHERE, 'request-timeout', 'thumbnail-unknown', 'thumbnail-refused']),
  },
};

const changes: ZodOpenApiOperationObject = {
  operationId: 'changes',
  tags: ['Recording'],
  summary: 'Be told of recordings as they change, as server-sent events',
  description:
    'Each event `recording` has an entry as in the list of recordings: at once when its state changes, else every few seconds while it goes on, and once when it has ended. After a reconnection, read the list again. With `mixesOf` each event `mixes` has the sid of that recording and all its mixes, as in the list of them: at once, and whenever one has got on or is gone.',
  requestParams: {
    path: z.object({ appid: appidSchema }),
    query: z.object({
      mixesOf: sidSchema.optional().meta({ description: 'A recording whose mixes are told of as well.' }),
    }),
  },
  responses: {
    200: {
      description: 'Events, until the connection is closed.',
      content: { 'text/event-stream': { schema: z.string() } },
    },
    ...errors([...EVERYWHERE, 'request-invalid']),
  },
};

const session = { schema: sessionReplySchema };
const dashboardHeader = z.object({
  'X-Aircheck-Dashboard': z.string().meta({ description: 'Any value: a page of another origin cannot send it.' }),
});
const signIn: ZodOpenApiOperationObject = {
  operationId: 'signIn',
  tags: ['Server'],
  summary: 'Sign a browser in: its cookie stands for the credentials, for twelve hours',
  security: [],
  requestParams: { header: dashboardHeader },
  requestBody: { required: true, content: { 'application/json': { schema: signInSchema } } },
  responses: {
    200: success('It is signed in.', session),
    ...errors([...WITH_BODY, 'session-over', 'credentials-invalid', 'rate-limited', 'internal-error']),
  },
};
const signedIn: ZodOpenApiOperationObject = {
  operationId: 'signedIn',
  tags: ['Server'],
  summary: 'Ask who is signed in',
  security: [],
  responses: { 200: success('This customer.', session), ...errors(['session-over', 'internal-error']) },
};
const signOut: ZodOpenApiOperationObject = {
  operationId: 'signOut',
  tags: ['Server'],
  summary: 'Sign the browser out, at all nodes of a fleet',
  security: [],
  requestParams: { header: dashboardHeader },
  responses: {
    200: success('It is signed out.', { schema: z.object({}) }),
    ...errors(['session-over', 'internal-error']),
  },
};

export const dashboardPaths: ZodOpenApiPathsObject = {
  '/v1/apps/{appid}/aircheck/recordings': { servers, get: list },
  '/v1/apps/{appid}/aircheck/recordings/{sid}/files': { servers, get: files },
  '/v1/apps/{appid}/aircheck/recordings/{sid}/files/{name}': { servers, get: file },
  '/v1/apps/{appid}/aircheck/recordings/{sid}/files/{name}/link': { servers, post: link },
  '/v1/apps/{appid}/aircheck/recordings/{sid}/calls': { servers, get: calls },
  '/v1/apps/{appid}/aircheck/channels': { servers, get: channels },
  '/v1/apps/{appid}/aircheck/channels/{cname}/thumbnails/{uid}': { servers, get: thumbnail },
  '/v1/apps/{appid}/aircheck/changes': { servers, get: changes },
  '/v1/aircheck/session': { servers, post: signIn, get: signedIn, delete: signOut },
};
