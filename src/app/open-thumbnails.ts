/** openThumbnails: thumbnails of publishers, drawn by a process that is forked as recorders are. */
import type { Rooms } from '../channel/room/rooms.ts';
import { Thumbnails } from '../channel/thumbnail/thumbnails.ts';
import { Thumbnailer, type ThumbnailerOptions } from '../worker/thumbnailer.ts';

export type OpenThumbnails = Omit<ThumbnailerOptions, 'args'> & { rooms: Pick<Rooms, 'publicationsOf'> };

/** Call `close` of what it returns; that resolves when no process works any more. */
export function openThumbnails({ rooms, ...options }: OpenThumbnails) {
  const { clock } = options;
  const thumbnailer = new Thumbnailer({ ...options, args: ['thumbnails'] });
  const thumbnails = new Thumbnails({ clock, rooms, draw: (keyFrame) => thumbnailer.draw(keyFrame) });
  return { thumbnails, closeThumbnails: () => thumbnailer.close() };
}
