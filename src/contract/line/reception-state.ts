/**
 * What a recorder has found out about its senders' times, in a form that can be kept in a file: a recorder that goes on with
 * another's recording begins with it, and places media as the first one would have. All times are microseconds.
 */
import { z } from 'zod';

const time = z.number();

/** The lowest values of a while, rising in time and in value. */
export const slidingMinimumStateSchema = z.array(z.object({ value: z.number(), atUs: time }));

export const clockSkewStateSchema = z.object({
  spanUs: z.number().positive(),
  points: z.array(z.object({ span: z.int(), atUs: time, offsetUs: z.number() })),
});

export const streamClockStateSchema = z.object({
  /** What the recorder calls the stream. */
  name: z.string(),
  clockRate: z.number().positive(),
  offsets: slidingMinimumStateSchema,
  skew: clockSkewStateSchema.optional(),
  highestUs: time.optional(),
  /** NTP time less media time, by the latest reports. */
  mappings: z.array(z.number()),
  doubtful: z.number().optional(),
  firstArrivalUs: time.optional(),
  firstReportUs: time.optional(),
  lastSeenUs: time.optional(),
  settling: z.boolean(),
  /** Stretches of timestamps; one without `fromUs` has no beginning, one without `lastUs` was not used yet. */
  pieces: z.array(z.object({ fromUs: time.optional(), correctionUs: z.number().optional(), lastUs: time.optional() })),
  /** The newest media that was used, and where it was placed. */
  latest: z.object({ mediaUs: time, localUs: time }).optional(),
});

/** The clocks of one user's streams. */
export const participantClockStateSchema = z.object({
  nowUs: time.optional(),
  streams: z.array(streamClockStateSchema),
});

/**
 * Which of the many moments that one 32-bit RTP timestamp can mean was taken. One entry for each beginning of a sender's
 * timestamps, the oldest first: what arrived from `fromUs` on lies around `rtpTime`.
 */
export const rtpTimelineStateSchema = z.object({
  epochs: z.array(z.object({ fromUs: time, rtpTime: z.int() })),
  highestRtpTime: z.int().optional(),
  /** When the last packet that this knows of came in. */
  untilUs: time.optional(),
});

/** What the reception of one track has to know of the packets before those it is given. */
export const receptionStateSchema = z.object({ timeline: rtpTimelineStateSchema });

export type SlidingMinimumState = z.infer<typeof slidingMinimumStateSchema>;
export type ClockSkewState = z.infer<typeof clockSkewStateSchema>;
export type StreamClockState = z.infer<typeof streamClockStateSchema>;
export type ParticipantClockState = z.infer<typeof participantClockStateSchema>;
export type RtpTimelineState = z.infer<typeof rtpTimelineStateSchema>;
export type ReceptionState = z.infer<typeof receptionStateSchema>;
