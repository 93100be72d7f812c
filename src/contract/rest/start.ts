/**
 * start: what is to be recorded, how, and to where (contract §1.2).
 */
import { z } from 'zod';
import { storageConfigSchema } from '../line/storage.ts';
import { problem } from '../problems.ts';
import { envelope, isUid, type Mode, parseBody, uidSchema } from './body.ts';

const oneOf = <const T extends readonly number[]>(...values: T) =>
  z.number().refine((value): value is T[number] => values.includes(value), `must be one of ${values.join(', ')}`);
const whole = (min: number, max: number) => {
  const words = `must be a whole number from ${min} to ${max}`;
  return z.number().refine((value) => Number.isInteger(value) && value >= min && value <= max, words);
};
const fraction = () =>
  z
    .number()
    .min(-1e-6)
    .max(1 + 1e-6);

/** Either everything, or a list of users; an empty list counts as none given. */
const uidListSchema = z
  .array(z.string())
  .max(32, 'may name at most 32 users')
  .refine((uids) => uids.every((uid) => isUid(uid)) || (uids.length === 1 && uids[0] === '#allstream#'), {
    message: 'must list uids (strings holding whole numbers from 1 to 4294967295), or be ["#allstream#"]',
  })
  .optional();

const layoutRegionSchema = z
  .object({
    uid: z.union([z.literal(''), uidSchema]).optional(),
    x_axis: fraction(),
    y_axis: fraction(),
    width: fraction(),
    height: fraction(),
    alpha: z.number().min(0).max(1).default(1),
    render_mode: oneOf(0, 1).default(0),
  })
  // Client libraries send float32, whose sums may pass 1 by some 1e-7 (contract §6.15).
  .refine((region) => region.x_axis + region.width <= 1 + 1e-6, {
    path: ['width'],
    message: 'x_axis + width is over 1',
  })
  .refine((region) => region.y_axis + region.height <= 1 + 1e-6, {
    path: ['height'],
    message: 'y_axis + height is over 1',
  });

const backgroundSchema = z.object({ uid: z.string(), image_url: z.string(), render_mode: oneOf(0, 1).default(0) });

export const transcodingConfigSchema = z
  .object({
    width: whole(1, 1920).default(360),
    height: whole(1, 1920).default(640),
    fps: z.number().default(15),
    bitrate: whole(1, 6500).default(500),
    maxResolutionUid: z.union([z.literal(''), uidSchema]).optional(),
    mixedVideoLayout: oneOf(0, 1, 2, 3).default(0),
    backgroundColor: z
      .string()
      .regex(/^#[0-9a-fA-F]{6}$/, 'must be "#RRGGBB"')
      .default('#000000'),
    backgroundImage: z.string().optional(),
    defaultUserBackgroundImage: z.string().optional(),
    layoutConfig: z.array(layoutRegionSchema).max(17, 'may have at most 17 entries').optional(),
    backgroundConfig: z.array(backgroundSchema).optional(),
  })
  .superRefine((config, context) => {
    const refuse = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (config.width * config.height > 1920 * 1080) refuse('width', 'width x height must not be over 1920 x 1080');
    if (config.mixedVideoLayout === 3 && !config.layoutConfig?.length)
      refuse('layoutConfig', 'layoutConfig is required when mixedVideoLayout is 3');
  });

const recordingConfigSchema = z
  .object({
    channelType: oneOf(0, 1).default(0),
    streamTypes: oneOf(0, 1, 2).default(2),
    streamMode: z.enum(['default', 'standard', 'original'], 'must be "default", "standard" or "original"').optional(),
    decryptionMode: z
      .literal(0, 'decryptionMode other than 0 is not supported: this server records channels it serves itself')
      .default(0),
    secret: z.string().optional(),
    salt: z.string().optional(),
    maxIdleTime: whole(5, 2_592_000).default(30),
    videoStreamType: oneOf(0, 1).default(0),
    subscribeAudioUids: uidListSchema,
    unSubscribeAudioUids: uidListSchema,
    unsubscribeAudioUids: uidListSchema,
    subscribeVideoUids: uidListSchema,
    unSubscribeVideoUids: uidListSchema,
    unsubscribeVideoUids: uidListSchema,
    subscribeUidGroup: oneOf(0, 1, 2, 3, 4, 5).optional(),
    audioProfile: oneOf(0, 1, 2).default(0),
    transcodingConfig: transcodingConfigSchema.optional(),
    privateParams: z.string().optional(),
  })
  .superRefine((config, context) => {
    for (const kind of ['Audio', 'Video'] as const) {
      const un = config[`unSubscribe${kind}Uids`] ?? config[`unsubscribe${kind}Uids`];
      if (config[`subscribe${kind}Uids`]?.length && un?.length)
        context.addIssue({
          code: 'custom',
          path: [`subscribe${kind}Uids`],
          message: `subscribe${kind}Uids and unSubscribe${kind}Uids exclude each other`,
        });
    }
  });

const clientRequestSchema = z.object({
  token: z.string().optional(),
  storageConfig: storageConfigSchema,
  recordingConfig: recordingConfigSchema.prefault({}),
  recordingFileConfig: z
    .object({ avFileType: z.array(z.string()).min(1, 'must name at least one file type').default(['hls']) })
    .optional(),
  snapshotConfig: z.looseObject({}).optional(),
  extensionServiceConfig: z.looseObject({}).optional(),
});
export type RecordingConfig = z.output<typeof recordingConfigSchema>;
export type TranscodingConfig = z.output<typeof transcodingConfigSchema>;
export type StartClientRequest = z.output<typeof clientRequestSchema>;

const namesSchema = envelope(z.looseObject({}));
const startSchema = envelope(clientRequestSchema);

export type StartReply = { cname: string; uid: string; resourceId: string; sid: string };

/** `cname`, `uid` and the raw `clientRequest`, before anything else is judged (contract §2.4). Throws `request-invalid`. */
export function parseNames(endpoint: string, body: unknown): { cname: string; uid: string; clientRequest: object } {
  return parseBody(endpoint, namesSchema, body);
}

const SERVICES = [
  'storageConfig',
  'recordingConfig',
  'recordingFileConfig',
  'snapshotConfig',
  'extensionServiceConfig',
];

/** The whole start request of the given mode. Throws `request-invalid` with the documented reason. */
export function parseStart(mode: Mode, body: unknown): StartClientRequest {
  const { clientRequest } = parseNames('start', body);
  const given = (name: string) => (clientRequest as Record<string, unknown>)[name] != null;
  if (!SERVICES.some(given) || (mode === 'web' && !given('extensionServiceConfig')))
    throw problem('request-invalid', 'services not selected!');
  if (mode === 'individual' && !isObjectWith(clientRequest, 'recordingConfig', 'subscribeUidGroup'))
    throw problem('request-invalid', 'start: subscribeUidGroup type mismatch or missing under single mode!');
  const request = parseBody('start', startSchema, body).clientRequest;
  checkFileTypes(mode, request.recordingFileConfig?.avFileType ?? ['hls']);
  return request;
}

function isObjectWith(holder: object, member: string, inner: string): boolean {
  const object = (holder as Record<string, unknown>)[member];
  return typeof object === 'object' && object !== null && (object as Record<string, unknown>)[inner] != null;
}

function checkFileTypes(mode: Mode, types: string[]): void {
  const others = types.filter((type) => type !== 'hls');
  if (mode === 'individual' && others.length > 0)
    throw problem('request-invalid', 'mp4, mp3, fmp4 or hls-fmp4 in avFileType is not supported by individual mode');
  if (others.some((type) => type !== 'mp4') || !types.includes('hls') || new Set(types).size !== types.length)
    throw problem('request-invalid', 'start: avFileType must be ["hls"] or ["hls","mp4"]');
}
