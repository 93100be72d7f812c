/**
 * Manifest: where every file of a recording of single users lies on one timeline, so that tools can mix them later.
 * Written as `<sid>_<cname>_manifest.json` at the end of such a recording when it is asked for, and read by `aircheck
 * mix`.
 */
import { z } from 'zod';

/** Microseconds from the recording's zero, `zeroUtcMs`. */
const timeUs = z.number();
const fileName = z.string().regex(/^[^/\\]+$/);
const fileSchema = z.object({
  /** Bare name; the file lies beside the manifest. */
  name: fileName,
  uid: z.string().regex(/^\d{1,10}$/),
  trackType: z.enum(['audio', 'video', 'audio_and_video']),
  startUs: timeUs,
  durationUs: z.number().min(0),
  bytes: z.int().min(0),
});

/**
 * A slice's own timestamps are the recording's time to the tick: in MPEG-TS 1.4 s above it, in WebM and fMP4 equal to
 * it.
 */
const manifestSliceSchema = fileSchema.extend({
  playlist: fileName,
  index: z.int().min(0),
  audioCodec: z.enum(['aac', 'opus', 'pcmu', 'pcma']).optional(),
  videoCodec: z.enum(['h264', 'vp8', 'vp9', 'av1']).optional(),
  /**
   * Size and rotation (anticlockwise degrees) of the picture from `atUs` on: at the slice's beginning and at each
   * change.
   */
  shapes: z.array(
    z.object({
      atUs: timeUs,
      width: z.int().positive(),
      height: z.int().positive(),
      rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
    }),
  ),
});
export type ManifestSlice = z.infer<typeof manifestSliceSchema>;

export const manifestSchema = z.object({
  version: z.literal(1),
  sid: z.string().regex(/^[0-9a-f]{32}$/),
  cname: z.string(),
  /** UTC of the timeline's zero, Unix milliseconds. */
  zeroUtcMs: z.number(),
  /** Where the recording ended. */
  endUs: timeUs,
  /** Who was in the channel, in order of joining, and when. `leftUs` equals `endUs` for those who stayed. */
  users: z.array(z.object({ uid: z.string(), stays: z.array(z.object({ joinedUs: timeUs, leftUs: timeUs })) })),
  /**
   * When the recording was on hold, in order: no file holds anything of that time, and what is made of the whole goes
   * on as if no time had passed. Absent in manifests of earlier versions, which had no holds.
   */
  holds: z.array(z.object({ fromUs: timeUs, untilUs: timeUs })).default([]),
  slices: z.array(manifestSliceSchema),
  mp4s: z.array(fileSchema),
  /**
   * One file with the sound of every speaker, one track each in the order of `uids`. It begins at the recording's zero
   * and leaves holds out. Absent when it was not asked for, or when nobody was heard.
   */
  speakers: fileSchema
    .pick({ name: true, startUs: true, durationUs: true, bytes: true })
    .extend({ uids: z.array(z.string()) })
    .optional(),
  snapshots: z.array(z.object({ name: fileName, uid: z.string(), atUs: timeUs, bytes: z.int().min(0) })),
});
export type Manifest = z.infer<typeof manifestSchema>;
