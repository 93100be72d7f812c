/**
 * The calls that mix a recording of single users into one MP4 afterwards, and what is told of a mix. Aircheck's own,
 * not part of the contract; layouts are those of start (contract §1.2.3, §4.7).
 */
import { z } from 'zod';
import type { AudioPlan, VideoPlan } from '../line/plan.ts';
import type { Stereo } from '../line/stereo.ts';
import { parseBody } from './body.ts';
import { momentSchema } from './cut.ts';
import { oneOf, uidSchema, unixMs, whole } from './fields.ts';
import { checkRegions, type LayoutMembers, layoutMembers } from './layout.ts';
import { AUDIO_PROFILES } from './media-values.ts';
import { MAX_BITRATE_KBPS } from './recording-config.ts';
import { inStereo, stereoSchema, toStereo } from './stereo.ts';
import { storeKeysSchema } from './store-keys.ts';
import { toLayout } from './to-layout.ts';

/** What the picture of a mix may be. */
export const MIX_PICTURE = { mostSide: 1920, mostPixels: 1920 * 1080, mostFps: 60 } as const;
/** Bit rate of the picture when none is asked for: about what the contract's own table has for a canvas. */
const BITS_PER_PIXEL = 0.1;
const MIN_BITRATE_KBPS = 100;
/** So many may be named. */
const MOST_USERS = 1000;
/** Members of a layout that name images: nothing is fetched when a recording is mixed afterwards. */
const IMAGES = ['backgroundImage', 'defaultUserBackgroundImage', 'backgroundConfig'] as const;

const canvasSchema = z
  .object({
    width: whole(2, MIX_PICTURE.mostSide).default(1280).meta({ description: 'Even.' }),
    height: whole(2, MIX_PICTURE.mostSide).default(720).meta({ description: 'Even.' }),
    fps: whole(1, MIX_PICTURE.mostFps).default(30),
    bitrate: whole(1, MAX_BITRATE_KBPS)
      .optional()
      .meta({ description: 'Of the picture, kbit/s. Without it, a tenth of a bit for each pixel.' }),
    ...layoutMembers,
  })
  .superRefine((config, context) => {
    const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
    if (config.width * config.height > MIX_PICTURE.mostPixels)
      refuse('width', 'width x height must not be over 1920 x 1080');
    if (config.width % 2) refuse('width', 'width must be even');
    if (config.height % 2) refuse('height', 'height must be even');
    checkRegions(config, context);
  });

export const mixRequestSchema = z.object({
  users: z
    .array(uidSchema)
    .min(1, 'users must name somebody')
    .max(MOST_USERS, `users may name at most ${MOST_USERS}`)
    .optional()
    .meta({ description: 'Only these; the others take no place. Without it, all.' }),
  from: momentSchema.optional().meta({
    description:
      'Where the mix begins: seconds of the recording as it plays (without its holds), or a moment with its time zone. Without it, with the first sound or picture.',
  }),
  to: momentSchema
    .optional()
    .meta({ description: 'Where it ends, likewise. Without it, when the last of the users left.' }),
  streamTypes: oneOf(0, 1, 2).default(2).meta({ description: '0: sound alone; 1: picture alone; 2: both.' }),
  audioProfile: oneOf(0, 1, 2)
    .default(1)
    .meta({ description: '0: 48 kbit/s mono; 1: 128 kbit/s mono; 2: 192 kbit/s stereo.' }),
  stereo: stereoSchema.optional(),
  transcodingConfig: canvasSchema
    .optional()
    .meta({ description: 'Size, rate and layout, as in start. Images that it names are not fetched.' }),
  keys: storeKeysSchema.optional().meta({
    description:
      'What opens the store of a recording whose keys the server has forgotten; kept sealed until the mix is done. Not needed for vendor 1000.',
  }),
});
export type MixRequest = z.output<typeof mixRequestSchema>;
/** As it is kept and told: what opens the store is not. */
export type KeptMixRequest = Omit<MixRequest, 'keys'>;

const MIX_STATES = ['queued', 'running', 'done', 'failed'] as const;
export type MixState = (typeof MIX_STATES)[number];

export const mixReplySchema = z.object({
  mixId: z.string(),
  sid: z.string(),
  state: z.enum(MIX_STATES),
  progress: z.number().min(0).max(1).meta({ description: 'How much of it is made, 0 to 1.' }),
  users: z.array(z.string()).meta({ description: 'Whose sound and pictures are in it, in order of joining.' }),
  from: z.number().meta({ description: 'Seconds of the recording as it plays.' }),
  to: z.number().meta({ description: 'Likewise.' }),
  request: z.looseObject({}).meta({ description: 'What was asked for, with what was left out; without keys.' }),
  attempts: z.int().meta({ description: 'How often it was begun: anew when its process or its server ended.' }),
  createdMs: unixMs('When it was asked for.'),
  endedMs: unixMs('When it was done, or failed; null before.').nullable(),
  bytes: z.int().nullable().meta({ description: 'Size of the MP4; null before it is done.' }),
  file: z.string().nullable().meta({ description: 'Path of the MP4 on this server; null before it is done.' }),
  error: z.string().nullable().meta({ description: 'Why it failed, or was begun anew, in words.' }),
  warnings: z
    .array(z.string())
    .meta({ description: 'What it lacks, and what of the request has no effect, in words.' }),
  expiresMs: unixMs('When the MP4 is removed; null before it is done, and under a legal hold.').nullable(),
});
export type MixReply = z.output<typeof mixReplySchema>;

export const mixListSchema = z.object({
  mixes: z.array(mixReplySchema).meta({ description: 'The newest first.' }),
});
export type MixListReply = z.output<typeof mixListSchema>;

/** Throws `request-invalid`. */
export function parseMix(body: unknown): MixRequest {
  return parseBody('mix', mixRequestSchema, body ?? {});
}

/** The bit rate of a picture when none is asked for, kbit/s. */
export function usualBitrateKbps({ width, height, fps }: Pick<VideoPlan, 'width' | 'height' | 'fps'>): number {
  const usual = Math.round((width * height * fps * BITS_PER_PIXEL) / 1000);
  return Math.min(MAX_BITRATE_KBPS, Math.max(MIN_BITRATE_KBPS, usual));
}

/** Members of a layout that have no effect in a mix. */
export function withoutEffect(config: LayoutMembers): string[] {
  return IMAGES.filter((name) => config[name]?.length);
}

export type MixMedia = { video: VideoPlan | undefined; audio: AudioPlan | undefined; stereo: Stereo | undefined };

/** How a mix is drawn, heard and encoded. */
export function mediaOf({ streamTypes, audioProfile, stereo, transcodingConfig }: KeptMixRequest): MixMedia {
  const { width, height, fps, bitrate, ...config } = transcodingConfig ?? canvasSchema.parse({});
  // Nothing is fetched: see `withoutEffect`.
  const { layout, backgroundColor } = toLayout(config);
  const profile = AUDIO_PROFILES[audioProfile];
  const bitrateKbps = bitrate ?? usualBitrateKbps({ width, height, fps });
  return {
    video: streamTypes === 0 ? undefined : { width, height, fps, bitrateKbps, layout, backgroundColor },
    audio: streamTypes === 1 ? undefined : stereo ? inStereo(profile) : profile,
    stereo: streamTypes === 1 ? undefined : stereo && toStereo(stereo),
  };
}
