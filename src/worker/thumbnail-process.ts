/**
 * The process that makes thumbnails: it gets one key frame at a time as a message, and answers with a small JPEG. It
 * ends when the server lets go of it. What a publisher sends is decoded here and not in the server, which a broken
 * stream could take down with it.
 */
import { type ThumbnailReply, thumbnailJobSchema } from '../contract/line/thumbnail.ts';
import { messageOf } from '../kernel/fault.ts';
import { drawThumbnail } from '../pipeline/thumbnail/draw-thumbnail.ts';

/** Resolves with the process's exit code. */
export function runThumbnails(): Promise<number> {
  return new Promise((exit) => {
    if (!process.connected) {
      process.stderr.write('aircheck thumbnails: this command is started by `aircheck serve`, not by people\n');
      exit(1);
      return;
    }
    process.on('message', async (message) => {
      const reply = await answer(message);
      if (process.connected) process.send?.(reply);
    });
    process.once('disconnect', () => exit(0));
  });
}

async function answer(message: unknown): Promise<ThumbnailReply> {
  try {
    const { format, packets } = thumbnailJobSchema.parse(message);
    const datagrams = packets.map((packet) => Buffer.from(packet, 'base64'));
    return { jpeg: (await drawThumbnail(format, datagrams)).toString('base64') };
  } catch (error) {
    return { error: messageOf(error) };
  }
}
