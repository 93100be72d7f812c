/**
 * What a recorder has found out about its senders' times, in a form that can be kept in a file: a run that goes on with
 * another's recording begins with it, and places media as the first run would have. All times are microseconds.
 */
import { z } from 'zod';

const time = z.number();

/** The lowest values within a window, rising in time and in value. */
const slidingMinimumStateSchema = z.array(z.object({ value: z.number(), atUs: time }));

const clockSkewStateSchema = z.object({
  spanUs: z.number().positive(),
  points: z.array(z.object({ span: z.int(), atUs: time, offsetUs: z.number() })),
});

/** A stream's timestamps as they would be if the sender had never stopped counting. */
const mediaLineStateSchema = z.object({
  /** `shiftUs` is added to media from `fromUs` on. */
  steps: z.array(z.object({ fromUs: time, shiftUs: z.number() })),
  /** Runs of packets that have all been late since a certain one. */
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
  /** Packets that have all come earlier than any before the first of them. */
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
  /** NTP time minus media time, by the latest reports. */
  mappings: z.array(z.number()),
  doubtful: z.number().optional(),
  confirmed: z.boolean(),
  setUs: z.number(),
  named: z.object({ ntpUs: z.number(), lineUs: z.number() }).optional(),
});

const streamClockStateSchema = z.object({
  /** The recorder's name for the stream. */
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
 * How one track's RTP timestamps lie on one growing line. A packet that arrived from an epoch's `fromUs` on lies at its
 * timestamp plus `shift`; of the many moments that a 32-bit timestamp can mean, the one closest to `raw` counts. In
 * ticks, except for times.
 */
const rtpTimelineStateSchema = z.object({
  epochs: z.array(z.object({ fromUs: time, raw: z.int(), shift: z.int() })),
  /** Arrival time minus time on the line. */
  offsets: slidingMinimumStateSchema,
  highest: z.int().optional(),
  /** The last packet, and when the first of its timestamp came in. */
  last: z.object({ rtpTime: z.int(), arrivalUs: time, sinceUs: time.optional() }).optional(),
  firstUs: time.optional(),
  step: z.int().optional(),
  /** When the last packet came in that this state knows of. */
  untilUs: time.optional(),
});

/** What the reception of one track must know of packets before the first that it is given. */
export const receptionStateSchema = z.object({
  timeline: rtpTimelineStateSchema,
  /** What decoding needs besides the pictures, as it was last sent, in base64: parameter sets, a sequence header. */
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
