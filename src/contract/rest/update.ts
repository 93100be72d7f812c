/**
 * update: other subscriptions, fresh credentials of the store, a web page on hold (contract §1.3), or, beyond the
 * contract, a channel's recording on hold.
 */
import { z } from 'zod';
import { storageConfigSchema } from '../line/storage.ts';
import { envelope, parseBody } from './body.ts';
import { rtmpOutputsSchema } from './extension-services.ts';
import { type Mode, uidListSchema } from './fields.ts';
import type { Lists } from './recording-config.ts';

const listSchema = uidListSchema.min(1, 'must not be empty').optional();

const audioListSchema = z
  .object({ subscribeAudioUids: listSchema, unSubscribeAudioUids: listSchema, unsubscribeAudioUids: listSchema })
  .refine((lists) => !lists.subscribeAudioUids || !(lists.unSubscribeAudioUids ?? lists.unsubscribeAudioUids), {
    path: ['subscribeAudioUids'],
    message: 'subscribeAudioUids and unSubscribeAudioUids exclude each other',
  });
const videoListSchema = z
  .object({ subscribeVideoUids: listSchema, unSubscribeVideoUids: listSchema, unsubscribeVideoUids: listSchema })
  .refine((lists) => !lists.subscribeVideoUids || !(lists.unSubscribeVideoUids ?? lists.unsubscribeVideoUids), {
    path: ['subscribeVideoUids'],
    message: 'subscribeVideoUids and unSubscribeVideoUids exclude each other',
  });

const channelSchema = z.object({
  streamSubscribe: z
    .object({ audioUidList: audioListSchema.optional(), videoUidList: videoListSchema.optional() })
    .optional(),
  storageConfig: storageConfigSchema.optional(),
  aircheck: z
    .object({
      onhold: z.boolean().optional().meta({
        description: 'Whether nothing is recorded from now on. Files go on after a hold as if no time had passed.',
      }),
    })
    .optional()
    .meta({ description: 'What this server offers beyond the API it speaks.' }),
});

const webSchema = z.object({
  webRecordingConfig: z.object({ onhold: z.boolean().default(false) }).optional(),
  rtmpPublishConfig: z.object({ outputs: rtmpOutputsSchema }).optional(),
  storageConfig: storageConfigSchema.optional(),
});

export const updateRequestSchemas = {
  individual: envelope(channelSchema),
  mix: envelope(channelSchema),
  web: envelope(webSchema),
} as const;

export type ChannelUpdate = z.output<typeof channelSchema>;
type UpdateClientRequest =
  | ({ mode: 'individual' | 'mix' } & ChannelUpdate)
  | ({ mode: 'web' } & z.output<typeof webSchema>);

export type UpdateRequest = { cname: string; uid: string; clientRequest: UpdateClientRequest };

/** Reads an update body of the given mode. Throws `request-invalid`. */
export function parseUpdate(mode: Mode, body: unknown): UpdateRequest {
  if (mode === 'web') {
    const { clientRequest, ...names } = parseBody('update', updateRequestSchemas.web, body);
    return { ...names, clientRequest: { mode, ...clientRequest } };
  }
  const { clientRequest, ...names } = parseBody('update', updateRequestSchemas[mode], body);
  return { ...names, clientRequest: { mode, ...clientRequest } };
}

/** The lists of an update as start has them; undefined when it names none, which leaves subscriptions as they are. */
export function listsOf({ streamSubscribe }: ChannelUpdate): Lists | undefined {
  const lists = { ...streamSubscribe?.audioUidList, ...streamSubscribe?.videoUidList };
  return Object.values(lists).some((list) => list !== undefined) ? lists : undefined;
}
