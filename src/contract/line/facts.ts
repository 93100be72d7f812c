/**
 * Facts: what a recorder tells the control process. Past tense, each with the wall time (Unix milliseconds) it happened
 * at.
 */
import { z } from 'zod';
import { PUSH_STATUSES } from './push.ts';
import { qualityReportSchema } from './quality-report.ts';
import { rungSchema } from './rungs.ts';

const kind = z.enum(['audio', 'video']);
const trackEvent = z.object({ kind, startUtcMs: z.number() });
const rotateEvent = z.object({
  width: z.int().positive(),
  height: z.int().positive(),
  rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
  utcMs: z.number(),
});

const fileName = z.string().regex(/^[^/\\]+$/);
const owner = z.object({ uid: z.string(), trackType: z.enum(['audio', 'video', 'audio_and_video']) });
const placed = { startUtcMs: z.number(), durationUs: z.int().min(0), bytes: z.int().min(0) };

/** The schema of `media/segment.ts` Segment; also one line of a spool journal. */
const segmentSchema = z.object({
  type: z.literal('slice'),
  name: fileName,
  playlist: fileName,
  index: z.int().min(0),
  ...placed,
  heldUs: z.number().optional(),
  discontinuity: z.boolean(),
  starts: z.array(trackEvent),
  rotations: z.array(rotateEvent),
  owner: owner.optional(),
  codecs: z
    .object({
      audio: z.enum(['aac', 'opus', 'pcmu', 'pcma']).optional(),
      video: z.enum(['h264', 'vp8', 'vp9', 'av1']).optional(),
    })
    .optional(),
  mpd: fileName.optional(),
  startUs: z.number().optional(),
  headBytes: z.int().positive().optional(),
  entryPoints: z.array(z.object({ atByte: z.int().positive(), atUs: z.int().positive() })).optional(),
});

/** The schema of `media/segment.ts` WholeFile; also one line of a spool journal. */
const wholeFileSchema = z.object({
  type: z.literal('mp4'),
  name: fileName,
  index: z.int().min(0),
  ...placed,
  heldUs: z.number().optional(),
  owner: owner.optional(),
});

/** The schemas of `media/segment.ts` Snapshot and SpooledDocument; also lines of a spool journal. */
const snapshotSchema = z.object({
  type: z.literal('snapshot'),
  name: fileName,
  uid: z.string(),
  ...placed,
  durationUs: z.literal(0),
});
const documentSchema = z.object({
  type: z.literal('document'),
  kind: z.enum(['report', 'manifest']),
  name: fileName,
  ...placed,
});

/** The schema of `media/segment.ts` SpeakersFile; also a line of a spool journal. */
const speakersSchema = z.object({
  type: z.literal('speakers'),
  name: fileName,
  ...placed,
  uids: z.array(z.string()),
});

export const spooledFileSchema = z.discriminatedUnion('type', [
  segmentSchema,
  wholeFileSchema,
  snapshotSchema,
  documentSchema,
  speakersSchema,
]);

/**
 * Why a recorder ended. Only for web pages: `aged` it reached its longest time, `pageLate` the page was never ready,
 * `pageUnreachable` there is nothing to record at its address.
 */
const endReasonSchema = z.enum(['stopped', 'idle', 'feedLost', 'failed', 'aged', 'pageLate', 'pageUnreachable']);
export type EndReason = z.infer<typeof endReasonSchema>;

/** Why a web page was loaded again. */
const pageReloadSchema = z.enum(['loadTimeout', 'audioSilence', 'crashed', 'hung', 'failed']);
export type PageReload = z.infer<typeof pageReloadSchema>;

/** In every Fact. */
const told = {
  atMs: z.number(),
  /** The recording and run that it is about; absent and 0 before the process has a `start`. */
  sid: z.string().optional(),
  generation: z.int().min(0),
};

export const factSchema = z.discriminatedUnion('type', [
  /** The process has started and can take a `start`. */
  z.object({ type: z.literal('ready'), ...told }),
  /** What was to be made ready for the coming recording is ready. */
  z.object({ type: z.literal('prepared'), ...told }),
  /** The feed is connected: the recorder is in the channel. */
  z.object({ type: z.literal('joined'), ...told }),
  /** The first picture, or in a sound-only recording the first sound, went into the encoder. */
  z.object({ type: z.literal('firstFrameRecorded'), ...told, recordingUs: z.number() }),
  /** A user's stream began (`receiving` true) or stopped arriving. */
  z.object({
    type: z.literal('streamStateChanged'),
    ...told,
    uid: z.string(),
    kind,
    receiving: z.boolean(),
  }),
  /**
   * A slice was begun. After an interruption `discontinueUtcMs` is the end of the last good slice, else the slice's own
   * start.
   */
  z.object({
    type: z.literal('sliceStarted'),
    ...told,
    startUtcMs: z.number(),
    discontinueUtcMs: z.number(),
    trackType: z.enum(['audio', 'video', 'audio_and_video']),
    /** Whose slice it is; absent when it is everybody's. */
    uid: z.string().optional(),
  }),
  /** A file lies finished and synced on the spool, and its journal line was written. */
  z.object({ type: z.literal('fileSpooled'), ...told, file: spooledFileSchema }),
  /** A web page was loaded again; `message` says why, in words. */
  z.object({ type: z.literal('pageReloaded'), ...told, reason: pageReloadSchema, message: z.string() }),
  /** The status of a push has changed; `address` is its address without the stream key. */
  z.object({
    type: z.literal('pushChanged'),
    ...told,
    id: z.string(),
    address: z.string(),
    status: z.enum(PUSH_STATUSES),
  }),
  /** Something was lost or slowed, in words, with how often it happened since the last such fact. */
  z.object({ type: z.literal('degraded'), ...told, what: z.string(), count: z.int().min(1) }),
  /**
   * The machine is too slow for the whole picture, or no longer: the picture is made on another rung (ADR 0023). A run
   * after the first tells the rung that it begins on. `lagMs` is how late the recording was.
   */
  z.object({ type: z.literal('rungChanged'), ...told, rung: rungSchema, lagMs: z.number() }),
  /**
   * For the first time something of an output (the slices, the MP4, a user's files) could not be written; the others go
   * on.
   */
  z.object({ type: z.literal('outputFailed'), ...told, what: z.string() }),
  /** The quality report so far, every few seconds. The last one is a file on the spool. */
  z.object({ type: z.literal('qualityMeasured'), ...told, report: qualityReportSchema }),
  z.object({
    type: z.literal('pong'),
    ...told,
    n: z.int(),
    /**
     * Memory of the process, and its CPU time since its start in microseconds, user and system. Of a process that runs
     * share: this run's part of both.
     */
    rssBytes: z.number(),
    cpuUs: z.number(),
    /** How far encoding lags behind its due time, microseconds. */
    lagUs: z.number(),
    /** What is taken from the picture; absent where none is encoded. */
    rung: rungSchema.optional(),
    /**
     * Only for a web page: what its browser, screen and sound take, in the same units; absent until it was measured.
     */
    programs: z.object({ memoryBytes: z.number(), cpuUs: z.number() }).optional(),
  }),
  /** The last fact of a run. `recorded` is false when nobody ever sent anything, so that no file was made. */
  z.object({
    type: z.literal('ended'),
    ...told,
    reason: endReasonSchema,
    recorded: z.boolean(),
    message: z.string(),
  }),
]);
export type Fact = z.infer<typeof factSchema>;
