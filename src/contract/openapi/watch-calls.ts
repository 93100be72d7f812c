/** The calls in the document that let recordings be watched while they are recorded. */
import { z } from 'zod';
import type { ZodOpenApiOperationObject, ZodOpenApiPathsObject, ZodOpenApiResponsesObject } from 'zod-openapi';
import { watchReplySchema, watchRequestSchema } from '../rest/watch.ts';
import { appidSchema, sidSchema } from './recording-calls.ts';
import { EVERYWHERE, errors, success, WITH_BODY } from './responses.ts';

const servers = [{ url: '/' }];
const recordingPath = z.object({ appid: appidSchema, sid: sidSchema });
const token = z.string().meta({ description: 'As the watch call gave it.' });
const HERE = ['no-route', 'internal-error', 'watch-token-invalid', 'watch-token-over'] as const;
const NOTHING = ['recording-unknown', 'live-file-unknown', 'watch-impossible', 'watch-refused'] as const;
const media = (description: string, type: string): ZodOpenApiResponsesObject['200'] => ({
  description,
  content: { [type]: { schema: { type: 'string', ...(type !== PLAYLIST && { format: 'binary' }) } } },
});
const PLAYLIST = 'application/vnd.apple.mpegurl';

const watch: ZodOpenApiOperationObject = {
  operationId: 'watch',
  tags: ['Recording'],
  summary: 'Give out an address by which a recording can be watched, also while it is recorded',
  description:
    'The address is of low-latency HLS (RFC 8216bis) from the recording’s first slice on, and needs no credentials until its time is over. Where every user is recorded alone there is one for each user, and none of all.',
  requestParams: { path: recordingPath },
  requestBody: { required: false, content: { 'application/json': { schema: watchRequestSchema } } },
  responses: {
    200: success('The address.', { schema: watchReplySchema }),
    ...errors([...EVERYWHERE, ...WITH_BODY, 'recording-unknown', 'watch-refused']),
  },
};

const playlist: ZodOpenApiOperationObject = {
  operationId: 'livePlaylist',
  tags: ['Recording'],
  summary: 'Play a recording, also while it is recorded',
  description:
    'A media playlist of segments that begin with key frames, with parts of at most a second, which ends once the recording has ended. Of a user who is recorded alone it is one that names picture and sound, unless `kind` chooses. A version that does not come in time is answered with the newest there is.',
  security: [],
  requestParams: {
    path: recordingPath,
    query: z.object({
      token,
      again: z.string().optional().meta({ description: 'How often a player was sent here again.' }),
      uid: z.string().optional().meta({ description: 'Whom, where every user is recorded alone.' }),
      kind: z.enum(['audio', 'video']).optional().meta({ description: 'Which of a user’s streams.' }),
      _HLS_msn: z.int().min(0).optional().meta({ description: 'Wait for this segment (RFC 8216bis §6.2.5.2).' }),
      _HLS_part: z.int().min(0).optional().meta({ description: 'Wait for this part of it.' }),
      _HLS_skip: z
        .enum(['YES', 'v2'])
        .optional()
        .meta({ description: 'Leave out what a player knows that had an earlier version (§6.2.5.1).' }),
    }),
  },
  responses: {
    200: media('The playlist.', PLAYLIST)!,
    307: { description: 'No segment is whole yet: the same address once more. At most twice.' },
    ...errors([...HERE, ...NOTHING, 'request-invalid', 'live-version-unknown', 'request-timeout']),
  },
};

const file: ZodOpenApiOperationObject = {
  operationId: 'liveFile',
  tags: ['Recording'],
  summary: 'Fetch a segment that a live playlist names, or a part of one',
  description: 'The part that a playlist announces is waited for.',
  security: [],
  requestParams: {
    path: recordingPath.extend({ row: z.string(), file: z.string().meta({ description: 'As the playlist has it.' }) }),
    query: z.object({ token }),
    header: z.object({ Range: z.string().optional().meta({ description: 'As `bytes=0-999999`.' }) }),
  },
  responses: {
    200: media('The segment or part.', 'video/mp2t')!,
    206: media('A span of it.', 'video/mp2t')!,
    ...errors([...HERE, ...NOTHING, 'range-invalid', 'request-timeout']),
  },
};

const ROOT = '/v1/apps/{appid}/aircheck/recordings/{sid}';
export const watchPaths: ZodOpenApiPathsObject = {
  [`${ROOT}/watch`]: { servers, post: watch },
  [`${ROOT}/live.m3u8`]: { servers, get: playlist },
  [`${ROOT}/live/{row}/{file}`]: { servers, get: file },
};
