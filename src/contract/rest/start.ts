/** start: what is recorded, how, and where it is stored (contract §1.2). */
import { z } from 'zod';
import { storageConfigSchema } from '../line/storage.ts';
import { problem } from '../problems.ts';
import { envelope, handleReplySchema, parseBody, parseNames } from './body.ts';
import { extensionServiceConfigSchema } from './extension-services.ts';
import type { Mode } from './fields.ts';
import {
  checkFileTypes,
  type FileTypeOptions,
  recordingFileConfigSchema,
  snapshotConfigSchema,
} from './files-config.ts';
import { overlayMembers } from './overlays.ts';
import { individualRecordingConfigSchema, MAX_BITRATE_KBPS, mixRecordingConfigSchema } from './recording-config.ts';
import { retentionMember } from './retention.ts';
import { stereoSchema } from './stereo.ts';

const token = z.string().max(4096).optional();
/** A start that lacks the MP4s its sender waits for would look like a good one until the recording is over. */
const NO_TRANSCODING =
  'combinationPolicy "postpone_transcoding" is not offered by this server; avFileType ["hls","mp4"] makes an MP4 of each user!';
const EXTENSION = 'What this server offers beyond the API it speaks.';
const startsOnhold = z
  .boolean()
  .optional()
  .meta({ description: 'Whether to begin on hold: nothing is recorded until update says otherwise.' });
const standby = z.boolean().optional().meta({
  description:
    'Whether a second recorder on another node of the fleet makes the same files, and goes on without a loss when the node of the first one dies. Left out: as the setting `standby` says.',
});
/** Members that mean nothing in this mode, whatever they hold. */
const without = z.unknown().optional();

const mixSchema = z.object({
  token,
  storageConfig: storageConfigSchema,
  recordingConfig: mixRecordingConfigSchema.prefault({}),
  recordingFileConfig: recordingFileConfigSchema.optional(),
  aircheck: z
    .object({
      ...{ onhold: startsOnhold, standby, stereo: stereoSchema.optional() },
      ...overlayMembers,
      ...retentionMember,
    })
    .optional()
    .meta({ description: EXTENSION }),
});

const individualSchema = z
  .object({
    token,
    storageConfig: storageConfigSchema,
    recordingConfig: individualRecordingConfigSchema.prefault({}),
    recordingFileConfig: recordingFileConfigSchema.optional(),
    snapshotConfig: snapshotConfigSchema.optional(),
    appsCollection: z
      .object({ combinationPolicy: z.enum(['default', 'postpone_transcoding']).optional() })
      .optional()
      .meta({ description: 'Withdrawn by the service this API comes from; "postpone_transcoding" is refused.' }),
    transcodeOptions: z.looseObject({}).optional().meta({ description: 'Withdrawn likewise; has no effect.' }),
    aircheck: z
      .object({
        mp4: z.boolean().default(false).meta({ description: 'One MP4 of each user, made when the recording ends.' }),
        speakers: z.boolean().default(false).meta({
          description:
            'One Matroska file of sound, in which every user who was heard has a track; made when the recording ends.',
        }),
        manifest: z
          .boolean()
          .default(false)
          .meta({ description: 'A JSON file that places every file on one timeline, for `aircheck mix`.' }),
        ...{ onhold: startsOnhold, standby },
        ...retentionMember,
      })
      .prefault({})
      .meta({ description: EXTENSION }),
  })
  .superRefine(({ recordingConfig, snapshotConfig, appsCollection }, context) => {
    if (appsCollection?.combinationPolicy === 'postpone_transcoding')
      context.addIssue({ code: 'custom', path: ['appsCollection', 'combinationPolicy'], message: NO_TRANSCODING });
    if (!snapshotConfig) return;
    const refuse = (field: string, message: string) =>
      context.addIssue({ code: 'custom', path: ['recordingConfig', field], message });
    if (recordingConfig.streamTypes === 0) refuse('streamTypes', 'streamTypes must be 1 or 2 for snapshots');
    const videos =
      recordingConfig.subscribeVideoUids ??
      recordingConfig.unSubscribeVideoUids ??
      recordingConfig.unsubscribeVideoUids;
    if (recordingConfig.subscribeAudioUids?.length && !videos?.length)
      refuse('subscribeVideoUids', 'subscribeVideoUids is required for snapshots when subscribeAudioUids is given');
  });

const webSchema = z.object({
  token: without,
  storageConfig: storageConfigSchema,
  recordingConfig: without,
  recordingFileConfig: recordingFileConfigSchema.optional(),
  extensionServiceConfig: extensionServiceConfigSchema,
  aircheck: z.object(retentionMember).optional().meta({ description: EXTENSION }),
});

export const startRequestSchemas = {
  individual: envelope(individualSchema),
  mix: envelope(mixSchema),
  web: envelope(webSchema),
} as const;
const startReplySchema = handleReplySchema;
export type StartReply = z.infer<typeof startReplySchema>;

export type MixStart = z.output<typeof mixSchema>;
export type IndividualStart = z.output<typeof individualSchema>;
export type WebStart = z.output<typeof webSchema>;
export type StartClientRequest =
  | ({ mode: 'mix' } & MixStart)
  | ({ mode: 'individual' } & IndividualStart)
  | ({ mode: 'web' } & WebStart);

export type StartOptions = FileTypeOptions & {
  /** Lowers a bitrate that is too high to the highest allowed one, instead of refusing it (contract §7). */
  clampBitrate?: boolean;
  /** Refuses individual mode without a subscribeUidGroup, as contract §1.2.2 says, instead of taking 0. */
  requireUidGroup?: boolean;
};

const SERVICES = [
  'storageConfig',
  'recordingConfig',
  'recordingFileConfig',
  'snapshotConfig',
  'extensionServiceConfig',
];

/** What a start cannot be without. */
const NEEDED: Record<Mode, string> = {
  individual: 'storageConfig',
  mix: 'storageConfig',
  web: 'extensionServiceConfig with a web_recorder_service',
};

/** Reads the whole start request of the given mode. Throws `request-invalid` with the documented reason. */
export function parseStart(mode: Mode, body: unknown, options: StartOptions = {}): StartClientRequest {
  const { cname, uid, clientRequest } = parseNames('start', body);
  if (!SERVICES.some((name) => clientRequest[name] !== undefined) || (mode === 'web' && !hasServices(clientRequest)))
    throw problem('request-invalid', `services not selected! mode ${mode} needs ${NEEDED[mode]}`);
  const { requireUidGroup, clampBitrate } = options;
  if (requireUidGroup && mode === 'individual' && !isObject(clientRequest['recordingConfig'], 'subscribeUidGroup'))
    throw problem('request-invalid', 'start: subscribeUidGroup type mismatch or missing under single mode!');
  if (mode === 'mix' && clientRequest['storageConfig'] === undefined && hasServices(clientRequest))
    throw problem(
      'request-invalid',
      'start: storageConfig is missing, and this server offers no extension service in mix mode!',
    );
  const wanted = {
    cname,
    uid,
    clientRequest: clampBitrate ? withClampedBitrate(clientRequest) : clientRequest,
  };
  const request = parseOf(mode, wanted);
  checkFileTypes(mode, request.recordingFileConfig?.avFileType ?? ['hls'], options);
  return request;
}

function parseOf(mode: Mode, body: unknown): StartClientRequest {
  switch (mode) {
    case 'mix':
      return { mode, ...parseBody('start', startRequestSchemas.mix, body).clientRequest };
    case 'individual':
      return { mode, ...parseBody('start', startRequestSchemas.individual, body).clientRequest };
    case 'web':
      return { mode, ...parseBody('start', startRequestSchemas.web, body).clientRequest };
  }
}

function hasServices({ extensionServiceConfig: config }: Record<string, unknown>): boolean {
  if (!isObject(config, 'extensionServices')) return false;
  const services = config['extensionServices'];
  return !Array.isArray(services) || services.length > 0;
}

function isObject(value: unknown, member: string): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && (value as Record<string, unknown>)[member] !== undefined;
}

function withClampedBitrate(clientRequest: Record<string, unknown>): Record<string, unknown> {
  const config = clientRequest['recordingConfig'];
  if (!isObject(config, 'transcodingConfig')) return clientRequest;
  const transcoding = config['transcodingConfig'];
  if (!isObject(transcoding, 'bitrate')) return clientRequest;
  const bitrate = transcoding['bitrate'];
  if (typeof bitrate !== 'number' || bitrate <= MAX_BITRATE_KBPS) return clientRequest;
  const transcodingConfig = { ...transcoding, bitrate: MAX_BITRATE_KBPS };
  return { ...clientRequest, recordingConfig: { ...config, transcodingConfig } };
}
