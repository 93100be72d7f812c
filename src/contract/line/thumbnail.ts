/**
 * What the process that makes thumbnails is told, one key frame at a time, and what it answers. Both sides are of one
 * installation.
 */
import { z } from 'zod';
import { videoFormatSchema } from './feed.ts';

/** The longer side of a thumbnail, pixels; one of a smaller picture is as large as the picture. */
export const THUMBNAIL_SIDE = 240;

/** RTP packets of one key frame in order, base64, behind what its decoding needs besides. */
export const thumbnailJobSchema = z.object({ format: videoFormatSchema, packets: z.array(z.string()) });
export type ThumbnailJob = z.infer<typeof thumbnailJobSchema>;

/** The JPEG file, base64; or why there is none. */
export const thumbnailReplySchema = z.union([z.object({ jpeg: z.base64() }), z.object({ error: z.string() })]);
export type ThumbnailReply = z.infer<typeof thumbnailReplySchema>;
