/**
 * What a recorder has found out about its senders' times, in a form that can be kept in a file: a recorder that goes on
 * with another's recording begins with it, and places media as the first one would have. All times are microseconds.
 */
import { z } from 'zod';

const time = z.number();

/** The lowest values of a while, rising in time and in value. */
const slidingMinimumStateSchema = z.array(z.object({ value: z.number(), atUs: time }));

const clockSkewStateSchema = z.object({
  spanUs: z.number().positive(),
  points: z.array(z.object({ span: z.int(), atUs: time, offsetUs: z.number() })),
});

/** A stream's timestamps as they would be had the sender never stopped counting. */
const mediaLineStateSchema = z.object({
  /** What is added from `fromUs` of the media on. */
  steps: z.array(z.object({ fromUs: time, shiftUs: z.number() })),
  /** Packets that have all been late since one. */
  runs: z.array(
    z.object({
      fromUs: time,
      sinceUs: time,
      floorUs: z.number(),
      leastUs: z.number(),
      packets: z.int(),
      sudden: z.boolean(),
      denied: z.boolean(),
    }),
  ),
  /** Packets that have all come sooner than any before the first of them. */
  fall: z
    .object({
      fromUs: time,
      sinceUs: time,
      floorUs: z.number(),
      leastUs: z.number(),
      packets: z.int(),
      sudden: z.boolean(),
    })
    .optional(),
  last: z.object({ mediaUs: time, offsetUs: z.number() }).optional(),
});

/** What a stream's sender reports say of its wall clock. */
const wallClockStateSchema = z.object({
  /** NTP time less media time, by the latest reports. */
  mappings: z.array(z.number()),
  doubtful: z.number().optional(),
  confirmed: z.boolean(),
  setUs: z.number(),
  named: z.object({ ntpUs: z.number(), lineUs: z.number() }).optional(),
});

const streamClockStateSchema = z.object({
  /** What the recorder calls the stream. */
  name: z.string(),
  clockRate: z.number().positive(),
  line: mediaLineStateSchema.optional(),
  wall: wallClockStateSchema.optional(),
  offsets: slidingMinimumStateSchema,
  skew: clockSkewStateSchema.optional(),
  highestUs: time.optional(),
  firstArrivalUs: time.optional(),
  firstReportUs: time.optional(),
  lastReportUs: time.optional(),
  lastSeenUs: time.optional(),
  newestUs: time.optional(),
  onTimeUs: time.optional(),
  provenUs: z.number().optional(),
  settling: z.boolean(),
  correctionUs: z.number().optional(),
  /** The newest media that was used, and where it was placed. */
  latest: z.object({ mediaUs: time, localUs: time }).optional(),
});

/** The clocks of one user's streams. */
export const participantClockStateSchema = z.object({
  nowUs: time.optional(),
  streams: z.array(streamClockStateSchema),
});

/**
 * How one track's RTP timestamps lie on one growing line. What arrived from an epoch's `fromUs` on lies at its
 * timestamp plus `shift`, where the timestamp, of the many moments that 32 bits can mean, is the one closest to `raw`.
 * In ticks but the times.
 */
const rtpTimelineStateSchema = z.object({
  epochs: z.array(z.object({ fromUs: time, raw: z.int(), shift: z.int() })),
  /** Arrival less time on the line. */
  offsets: slidingMinimumStateSchema,
  highest: z.int().optional(),
  last: z.object({ rtpTime: z.int(), arrivalUs: time }).optional(),
  firstUs: time.optional(),
  step: z.int().optional(),
  /** When the last packet that this knows of came in. */
  untilUs: time.optional(),
});

/** What the reception of one track has to know of the packets before those it is given. */
export const receptionStateSchema = z.object({
  timeline: rtpTimelineStateSchema,
  /** What decoding needs beside the pictures, as it was last sent, in base64: parameter sets, a sequence header. */
  sets: z.array(z.base64()).optional(),
});

export type SlidingMinimumState = z.infer<typeof slidingMinimumStateSchema>;
export type ClockSkewState = z.infer<typeof clockSkewStateSchema>;
export type MediaLineState = z.infer<typeof mediaLineStateSchema>;
export type WallClockState = z.infer<typeof wallClockStateSchema>;
export type StreamClockState = z.infer<typeof streamClockStateSchema>;
export type ParticipantClockState = z.infer<typeof participantClockStateSchema>;
export type RtpTimelineState = z.infer<typeof rtpTimelineStateSchema>;
export type ReceptionState = z.infer<typeof receptionStateSchema>;
