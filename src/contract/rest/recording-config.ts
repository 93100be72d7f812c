/**
 * `recordingConfig` of start, in individual and composite mode (contract §1.2.2, §1.2.3).
 */
import { z } from 'zod';
import { oneOf, uidListSchema, whole } from './fields.ts';
import { checkRegions, layoutMembers } from './layout.ts';

export const MAX_BITRATE_KBPS = 6500;

export const transcodingConfigSchema = z
  .object({
    width: whole(1, 1920).default(360),
    height: whole(1, 1920).default(640),
    fps: z.number().default(15).meta({ description: '1, 7, 10, 15, 24, 30 or 60; any other is taken for 15.' }),
    bitrate: whole(1, MAX_BITRATE_KBPS).default(500),
    ...layoutMembers,
  })
  .superRefine((config, context) => {
    if (config.width * config.height > 1920 * 1080)
      context.addIssue({ code: 'custom', path: ['width'], message: 'width x height must not be over 1920 x 1080' });
    checkRegions(config, context);
  });
export type TranscodingConfig = z.output<typeof transcodingConfigSchema>;

/** Encryption modes; some of them need a salt. */
const ENCRYPTED = [1, 2, 3, 4, 5, 6, 7, 8] as const;
const SALTED = [7, 8];

const sharedMembers = {
  channelType: oneOf(0, 1).default(0),
  streamTypes: oneOf(0, 1, 2).default(2),
  decryptionMode: oneOf(0, ...ENCRYPTED).default(0),
  secret: z.string().optional(),
  salt: z.string().optional(),
  maxIdleTime: whole(5, 2_592_000).default(30),
  videoStreamType: oneOf(0, 1).default(0),
  subscribeAudioUids: uidListSchema.optional(),
  unSubscribeAudioUids: uidListSchema.optional(),
  unsubscribeAudioUids: uidListSchema.optional().meta({ description: 'Another spelling of unSubscribeAudioUids.' }),
  subscribeVideoUids: uidListSchema.optional(),
  unSubscribeVideoUids: uidListSchema.optional(),
  unsubscribeVideoUids: uidListSchema.optional().meta({ description: 'Another spelling of unSubscribeVideoUids.' }),
  privateParams: z.string().optional().meta({ description: 'JSON as text; {"correctEXTINF":true} is understood.' }),
};
const sharedSchema = z.object(sharedMembers);
type SharedConfig = z.output<typeof sharedSchema>;

export const mixRecordingConfigSchema = z
  .object({
    ...sharedMembers,
    audioProfile: oneOf(0, 1, 2).default(0),
    transcodingConfig: transcodingConfigSchema.optional(),
  })
  .superRefine(checkShared);

export const individualRecordingConfigSchema = z
  .object({
    ...sharedMembers,
    // Clients in languages without a word for "not given" send an empty text.
    streamMode: z.preprocess(
      (value) => (value === '' ? undefined : value),
      z.enum(['default', 'standard', 'original'], 'must be "default", "standard" or "original"').default('default'),
    ),
    subscribeUidGroup: oneOf(0, 1, 2, 3, 4, 5).default(0),
  })
  .superRefine(checkShared);

export type Lists = Pick<
  SharedConfig,
  | 'subscribeAudioUids'
  | 'unSubscribeAudioUids'
  | 'unsubscribeAudioUids'
  | 'subscribeVideoUids'
  | 'unSubscribeVideoUids'
  | 'unsubscribeVideoUids'
>;

function checkShared(config: SharedConfig, context: z.RefinementCtx): void {
  const refuse = (field: string, message: string) => context.addIssue({ code: 'custom', path: [field], message });
  for (const kind of ['Audio', 'Video'] as const) {
    const un = config[`unSubscribe${kind}Uids`] ?? config[`unsubscribe${kind}Uids`];
    if (config[`subscribe${kind}Uids`]?.length && un?.length)
      refuse(`subscribe${kind}Uids`, `subscribe${kind}Uids and unSubscribe${kind}Uids exclude each other`);
  }
  if (config.decryptionMode === 0) return;
  if (!config.secret) refuse('secret', 'secret is required when decryptionMode is not 0');
  else if (SALTED.includes(config.decryptionMode) && !isSalt(config.salt))
    refuse('salt', 'salt must be the base64 of 32 bytes when decryptionMode is 7 or 8');
  // Nothing is ever recorded that cannot be decrypted.
  else
    refuse(
      'decryptionMode',
      'decryptionMode other than 0 is not supported: this server records channels it serves itself',
    );
}

function isSalt(text: string | undefined): boolean {
  return text !== undefined && /^[A-Za-z0-9+/]{43}=$/.test(text);
}
