/**
 * update: other subscriptions, fresh credentials of the store, a web page on hold (contract §1.3); and, beyond the
 * contract, a channel's recording on hold and who is heard on which side of a composite.
 */
import { z } from 'zod';
import { storageConfigSchema } from '../line/storage.ts';
import { envelope, parseBody } from './body.ts';
import { rtmpOutputsSchema } from './extension-services.ts';
import { type Mode, uidListSchema } from './fields.ts';
import { overlayChangeMembers } from './overlays.ts';
import type { Lists } from './recording-config.ts';
import { stereoSchema } from './stereo.ts';

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

const onhold = z.boolean().optional().meta({
  description: 'Whether nothing is recorded from now on. Files go on after a hold as if no time had passed.',
});
const EXTENSION = 'What this server offers beyond the API it speaks.';

const channelMembers = {
  streamSubscribe: z
    .object({ audioUidList: audioListSchema.optional(), videoUidList: videoListSchema.optional() })
    .optional(),
  storageConfig: storageConfigSchema.optional(),
};
const individualSchema = z.object({
  ...channelMembers,
  aircheck: z.object({ onhold }).optional().meta({ description: EXTENSION }),
});
const mixSchema = z.object({
  ...channelMembers,
  aircheck: z
    .object({ onhold, stereo: stereoSchema.optional(), ...overlayChangeMembers })
    .optional()
    .meta({ description: EXTENSION }),
});

const webSchema = z.object({
  webRecordingConfig: z.object({ onhold: z.boolean().default(false) }).optional(),
  rtmpPublishConfig: z.object({ outputs: rtmpOutputsSchema }).optional(),
  storageConfig: storageConfigSchema.optional(),
});

export const updateRequestSchemas = {
  individual: envelope(individualSchema),
  mix: envelope(mixSchema),
  web: envelope(webSchema),
} as const;

type UpdateClientRequest =
  | ({ mode: 'individual' } & z.output<typeof individualSchema>)
  | ({ mode: 'mix' } & z.output<typeof mixSchema>)
  | ({ mode: 'web' } & z.output<typeof webSchema>);

export type UpdateRequest = { cname: string; uid: string; clientRequest: UpdateClientRequest };

/** Reads an update body of the given mode. Throws `request-invalid`. */
export function parseUpdate(mode: Mode, body: unknown): UpdateRequest {
  switch (mode) {
    case 'web': {
      const { clientRequest, ...names } = parseBody('update', updateRequestSchemas.web, body);
      return { ...names, clientRequest: { mode, ...clientRequest } };
    }
    case 'mix': {
      const { clientRequest, ...names } = parseBody('update', updateRequestSchemas.mix, body);
      return { ...names, clientRequest: { mode, ...clientRequest } };
    }
    case 'individual': {
      const { clientRequest, ...names } = parseBody('update', updateRequestSchemas.individual, body);
      return { ...names, clientRequest: { mode, ...clientRequest } };
    }
  }
}

/**
 * The lists of an update in the form that start has; undefined when it names none, which leaves subscriptions
 * unchanged.
 */
export function listsOf({ streamSubscribe }: z.output<typeof individualSchema>): Lists | undefined {
  const lists = { ...streamSubscribe?.audioUidList, ...streamSubscribe?.videoUidList };
  return Object.values(lists).some((list) => list !== undefined) ? lists : undefined;
}
