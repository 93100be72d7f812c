/** openThumbnails: thumbnails of publishers, drawn by a process that is forked as recorders are. */
import type { Rooms } from '../channel/room/rooms.ts';
import { Thumbnails } from '../channel/thumbnail/thumbnails.ts';
import { problem } from '../contract/problems.ts';
import type { ThumbnailsApi } from '../http/thumbnails.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Thumbnailer, type ThumbnailerOptions } from '../worker/thumbnailer.ts';

export type OpenThumbnails = Omit<ThumbnailerOptions, 'args' | 'onOutcome'> & {
  /** Whether anybody may look. */
  isOn: boolean;
  rooms: Pick<Rooms, 'publicationsOf'>;
  metrics: Pick<Metrics, 'thumbnailAsked'>;
};
type Opened = { thumbnails: ThumbnailsApi; closeThumbnails(): Promise<void> };

/** Call `closeThumbnails` of what it returns; that resolves when no process works any more. */
export function openThumbnails({ isOn, rooms, metrics, ...options }: OpenThumbnails): Opened {
  if (!isOn) {
    const none = async () => {
      throw problem('thumbnail-unknown', 'this server gives no thumbnails: its setting thumbnails is off');
    };
    return { thumbnails: { of: none }, closeThumbnails: async () => {} };
  }
  const { clock } = options;
  const onOutcome = metrics.thumbnailAsked.bind(metrics);
  const thumbnailer = new Thumbnailer({ ...options, onOutcome, args: ['thumbnails'] });
  const thumbnails = new Thumbnails({ clock, rooms, draw: (keyFrame) => thumbnailer.draw(keyFrame) });
  return { thumbnails, closeThumbnails: () => thumbnailer.close() };
}
