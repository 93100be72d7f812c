/**
 * Facts: what a recorder tells the control process. Past tense, each with the wall time (Unix milliseconds) it happened at.
 */
import { z } from 'zod';
import { qualityReportSchema } from './quality-report.ts';

const kind = z.enum(['audio', 'video']);
const trackEvent = z.object({ kind, startUtcMs: z.number() });
const rotateEvent = z.object({
  width: z.int().positive(),
  height: z.int().positive(),
  rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
  utcMs: z.number(),
});

/** The schema of `media/segment.ts` Segment; also one line of a spool journal. */
export const segmentSchema = z.object({
  type: z.literal('slice'),
  name: z.string().regex(/^[^/\\]+$/),
  playlist: z.string().regex(/^[^/\\]+$/),
  index: z.int().min(0),
  startUtcMs: z.number(),
  durationUs: z.int().min(0),
  bytes: z.int().min(0),
  discontinuity: z.boolean(),
  starts: z.array(trackEvent),
  rotations: z.array(rotateEvent),
});

/** The schema of `media/segment.ts` WholeFile; also one line of a spool journal. */
export const wholeFileSchema = z.object({
  type: z.literal('mp4'),
  name: z.string().regex(/^[^/\\]+$/),
  index: z.int().min(0),
  startUtcMs: z.number(),
  durationUs: z.int().min(0),
  bytes: z.int().min(0),
});

/** The schema of `media/segment.ts` SpooledDocument; also one line of a spool journal. */
export const spooledDocumentSchema = z.object({
  type: z.literal('document'),
  name: z.string().regex(/^[^/\\]+$/),
  kind: z.literal('report'),
  startUtcMs: z.number(),
  durationUs: z.int().min(0),
  bytes: z.int().min(0),
});

export const spooledFileSchema = z.discriminatedUnion('type', [segmentSchema, wholeFileSchema, spooledDocumentSchema]);

/** Why a recorder ended by itself or was asked to. */
export const endReasonSchema = z.enum(['stopped', 'idle', 'feedLost', 'failed']);
export type EndReason = z.infer<typeof endReasonSchema>;

export const factSchema = z.discriminatedUnion('type', [
  /** The process is up and can take a `start`. */
  z.object({ type: z.literal('ready'), atMs: z.number() }),
  /** The feed is connected: the recorder is in the channel. */
  z.object({ type: z.literal('joined'), atMs: z.number() }),
  /** The first picture, or in a sound-only recording the first sound, went into the encoder. */
  z.object({ type: z.literal('firstFrameRecorded'), atMs: z.number(), recordingUs: z.number() }),
  /** A user's stream began (`receiving` true) or stopped arriving. */
  z.object({
    type: z.literal('streamStateChanged'),
    atMs: z.number(),
    uid: z.string(),
    kind,
    receiving: z.boolean(),
  }),
  /** A slice was begun. `discontinueUtcMs` is the end of the last good slice after an interruption, else the slice's own start. */
  z.object({
    type: z.literal('sliceStarted'),
    atMs: z.number(),
    startUtcMs: z.number(),
    discontinueUtcMs: z.number(),
    trackType: z.enum(['audio', 'video', 'audio_and_video']),
  }),
  /** A file lies finished and synced on the spool, and its journal line was written. */
  z.object({ type: z.literal('fileSpooled'), atMs: z.number(), file: spooledFileSchema }),
  /** Something was lost or slowed, in words, with how often it happened since the last such fact. */
  z.object({ type: z.literal('degraded'), atMs: z.number(), what: z.string(), count: z.int().min(1) }),
  /** The quality report so far, every few seconds. The last one is a file on the spool. */
  z.object({ type: z.literal('qualityMeasured'), atMs: z.number(), report: qualityReportSchema }),
  z.object({
    type: z.literal('pong'),
    atMs: z.number(),
    n: z.int(),
    rssBytes: z.number(),
    /** CPU time of the process since its start, microseconds, user and system. */
    cpuUs: z.number(),
    /** How far encoding lags behind its due time, microseconds. */
    lagUs: z.number(),
  }),
  /** The last fact. `recorded` is false when no user ever sent anything, so that no file was made. */
  z.object({
    type: z.literal('ended'),
    atMs: z.number(),
    reason: endReasonSchema,
    recorded: z.boolean(),
    message: z.string(),
  }),
]);
export type Fact = z.infer<typeof factSchema>;
