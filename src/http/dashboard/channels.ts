/**
 * GET /v1/apps/{appid}/aircheck/channels: the channels that somebody publishes to, or whose home a node of the fleet
 * is. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';

export type ChannelsApi = {
  channels(appid: string): Promise<string[]>;
  /** Whether there are thumbnails of who publishes there. */
  hasThumbnails: boolean;
};

export function channelsRoute(app: FastifyInstance, { channels, hasThumbnails }: ChannelsApi): void {
  app.get<{ Params: { appid: string } }>('/channels', async ({ params }) => ({
    channels: (await channels(params.appid)).map((cname) => ({ cname })),
    thumbnails: hasThumbnails,
  }));
}
