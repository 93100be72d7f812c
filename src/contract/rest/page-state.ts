/**
 * The `extensionServiceState` of query and stop in web mode (contract §1.5 Q4, §1.6 S4, stop.txt): exactly these
 * members, as a client library refuses any other, and the page's own first. Pure.
 */
import { z } from 'zod';
import { PUSH_STATUSES } from '../line/push.ts';
import type { ListedRecording } from './file-list.ts';

const pageFileSchema = z.strictObject({
  filename: z.string(),
  sliceStartTime: z.int().meta({ description: 'Unix seconds; milliseconds where the server is set so.' }),
});
export type PageFile = z.infer<typeof pageFileSchema>;

const serviceStateSchema = z
  .enum(['init', 'inProgress', 'exit'])
  .meta({ description: 'init: the page is being opened; inProgress: it is open; exit: it is closed.' });
type ServiceState = z.infer<typeof serviceStateSchema>;

export const webRecorderStateSchema = z.strictObject({
  serviceName: z.literal('web_recorder_service'),
  payload: z.strictObject({ fileList: z.array(pageFileSchema), onhold: z.boolean(), state: serviceStateSchema }),
});
export type WebRecorderState = z.infer<typeof webRecorderStateSchema>;

/** In query alone (contract §1.5 Q5): stop.txt has no such member. */
export const rtmpPublishStateSchema = z.strictObject({
  serviceName: z.literal('rtmp_publish_service'),
  payload: z.strictObject({
    outputs: z.array(z.strictObject({ rtmpUrl: z.string(), status: z.enum(PUSH_STATUSES) })),
    state: serviceStateSchema,
  }),
});
export type RtmpPublishState = z.infer<typeof rtmpPublishStateSchema>;

/** The state of a page's recording, apart from its files. */
export type PageStanding = { onhold: boolean; state: ServiceState };

export function toWebRecorderState(
  recording: ListedRecording,
  standing: PageStanding,
  unit: 's' | 'ms',
): WebRecorderState {
  return {
    serviceName: 'web_recorder_service',
    payload: { fileList: toPageFiles(recording, unit), ...standing },
  };
}

/** All stored files of a recording, playlists first. */
export function toPageFiles({ playlists, mp4s }: ListedRecording, unit: 's' | 'ms'): PageFile[] {
  return [...playlists, ...mp4s].map(({ key, startUtcMs }) => ({
    filename: key,
    // Typed clients take only whole numbers.
    sliceStartTime: Math.floor(unit === 's' ? startUtcMs / 1000 : startUtcMs),
  }));
}
