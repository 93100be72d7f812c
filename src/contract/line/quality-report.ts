/**
 * The quality report of a recording: who was there, what of theirs came, what did not and why. A file beside the
 * recording's and a member of the answer about it. Times `…Ms` count from the recording's zero;
 * docs/guide/quality-report.md tells more.
 */
import { z } from 'zod';
import { rungSchema } from './rungs.ts';

const at = () =>
  z.number().meta({ description: 'Milliseconds from the zero of the recording; below zero: before it.' });
const utc = (description: string) => z.number().meta({ description: `${description} Unix milliseconds.` });
const count = (description: string) => z.int().min(0).meta({ description });
const ms = (description: string) =>
  z
    .number()
    .min(0)
    .meta({ description: `${description} Milliseconds.` });
const more = () => count('How many there were beyond those listed.');

/** Why nothing of a track came for a while. */
const GAP_REASONS = ['notSent', 'networkLoss', 'delayed', 'restarted', 'left', 'ended', 'open'] as const;
export type GapReason = (typeof GAP_REASONS)[number];
const gapSchema = z.object({
  fromMs: at(),
  durationMs: z.number().min(0),
  why: z.enum(GAP_REASONS).meta({
    description:
      'notSent: the sender paused (muted); networkLoss: it sent, and it was lost; delayed: it came late; restarted: the sender began anew; left, ended: user or track went without sending more; open: it goes on, or nothing more came.',
  }),
});

/** Why a picture stood still. */
const FREEZE_REASONS = ['loss', 'damage', 'nothingSent'] as const;
export type FreezeReason = (typeof FREEZE_REASONS)[number];
const freezeSchema = z.object({
  fromMs: at(),
  durationMs: z.number().min(0),
  why: z.enum(FREEZE_REASONS).meta({
    description:
      'loss: packets were lost, and the next key frame waited for; damage: the same, after a frame that could not be decoded; nothingSent: no picture came.',
  }),
});

const pictureSchema = z.object({
  atMs: at(),
  width: z.int(),
  height: z.int(),
  turn: z.literal([0, 90, 180, 270]).meta({ description: 'Degrees clockwise that it was turned by to be shown.' }),
  flip: z.boolean(),
});

const receptionSchema = z.object({
  packets: count('Packets that came, of whatever use.'),
  lost: count('Packets that never came, or too late to be used.'),
  recovered: count('Packets that were missing long enough to be asked for again, and came in time.'),
  reordered: count('Packets that came after later ones, too soon for having been asked for again.'),
  late: count('Packets that came after they had been given up.'),
  duplicates: count('Packets that came more than once.'),
  overflowed: count('Packets left out because too many waited.'),
  otherPayloadTypes: count('Packets of a payload type that was not agreed on, left out.'),
  restarts: count('How often the sender began anew, with another SSRC or other numbers.'),
  frames: count('Frames put together whole and passed on: pictures, or packets of sound.'),
  damaged: count('Frames left out because a part of them was lost or malformed.'),
  withheld: count('Whole pictures left out because they build on one that was lost.'),
});

const clockSchema = z.object({
  source: z.enum(['senderReports', 'arrival']).meta({ description: 'What places the track in the recording.' }),
  skewPpm: z.number().nullable().meta({
    description: 'How much faster than this server the sender counts, parts per million. Null before 15 s.',
  }),
  observedMs: ms('How much of the track the skew is estimated from.'),
});

const videoSchema = z.object({
  keyFrameWaits: z.object({
    count: count('How often a key frame was waited for, the first one included.'),
    longestMs: ms('The longest wait.'),
    totalMs: ms('All waits together.'),
  }),
  frozen: z.array(freezeSchema),
  moreFrozen: more(),
  frozenMs: ms('All frozen spans together.'),
  pictures: z.array(pictureSchema).meta({ description: 'Size and orientation: the first, and each change.' }),
  morePictures: more(),
});

const audioSchema = z.object({
  concealedMs: ms('Sound made up in place of lost or undecodable packets.'),
  silenceMs: ms('Silence in the place of sound that did not come in time, for whatever reason.'),
  lostMs: ms('The part of it that was lost, or came too late.'),
  dtx: z
    .object({ count: count('How often.'), totalMs: ms('The part of the silence it makes.') })
    .meta({ description: 'Short pauses in which the sender sent nothing on purpose (discontinuous transmission).' }),
});

const trackReportSchema = z.object({
  track: z.int().meta({ description: 'A number of its own in the recording.' }),
  kind: z.enum(['audio', 'video']),
  codec: z.string(),
  startedMs: at(),
  endedMs: at().nullable(),
  endedBy: z.enum(['left', 'ended', 'unsubscribed']).nullable(),
  reception: receptionSchema,
  clock: clockSchema,
  gaps: z.array(gapSchema).meta({ description: 'Stretches of 1.5 s and more in which nothing came.' }),
  moreGaps: more(),
  gapMs: ms('All gaps together.'),
  video: videoSchema.optional(),
  audio: audioSchema.optional(),
});
export type TrackReportData = z.infer<typeof trackReportSchema>;

const presenceSchema = z.object({
  joinedMs: at(),
  joinedUtcMs: utc('When the user came.'),
  leftMs: at().nullable(),
  leftUtcMs: utc('When the user went; null while there.').nullable(),
});

const syncSchema = z.object({
  measuredMs: at(),
  arrivalOffsetMs: z.number().meta({
    description: 'How far pictures arrive behind their sound; placed by arrival, they would be off by this.',
  }),
  recordedOffsetMs: z.number().meta({
    description: 'How far pictures are placed behind their sound in the recording, by what the sender reports.',
  }),
  worstRecordedOffsetMs: z.number().meta({ description: 'The largest of those measured, with its sign.' }),
});

const participantReportSchema = z.object({
  uid: z.string(),
  presence: z.array(presenceSchema),
  morePresence: more(),
  codecs: z
    .array(z.object({ atMs: at(), kind: z.enum(['audio', 'video']), codec: z.string() }))
    .meta({ description: 'The first codec of each kind, and each change.' }),
  sync: syncSchema.nullable().meta({ description: 'Null until sound and picture both have sender reports.' }),
  tracks: z.array(trackReportSchema),
  moreTracks: more(),
});

const pushReportSchema = z.object({
  address: z.string().meta({ description: 'Where to, without the key of the stream.' }),
  startedMs: at(),
  endedMs: at().nullable(),
  firstPublishedMs: at().nullable().meta({ description: 'When its server took the stream first; null before.' }),
  publishedMs: ms('All the time in which its server had the stream.'),
  connections: count('How often its server took the stream: each after the first is a reconnection.'),
  sentBytes: count('Sound and picture that went to it.'),
  droppedBytes: count('Sound and picture that did not, because it was away or too slow.'),
  lastFailure: z.string().nullable().meta({ description: 'Why it was disconnected last.' }),
});
export type PushReport = z.infer<typeof pushReportSchema>;

const overloadReportSchema = z.object({
  rung: rungSchema.meta({ description: 'The rung of the ladder that the recording is on, or ended on.' }),
  steps: z
    .array(
      z.object({
        atMs: at(),
        rung: rungSchema,
        lagMs: z.number().meta({ description: 'How late encoding was then.' }),
      }),
    )
    .meta({ description: 'Each change, and the rung that a run began with where that is not the whole picture.' }),
  moreSteps: more(),
  degradedMs: ms('All the time in which something was taken from the picture.'),
  leftOutFrames: count('Frames that were not made.'),
});
export type OverloadReport = z.infer<typeof overloadReportSchema>;

const spanSchema = z.object({ fromMs: at(), durationMs: z.number().min(0) });
const pageReportSchema = z.object({
  pictureLatenessMs: z.number().nullable().meta({
    description: 'How long pictures take from the page’s script to the screen; it is taken off their time.',
  }),
  latenessMeasured: z.boolean().meta({ description: 'False when the usual lateness was taken instead.' }),
  frames: count('Frames that were written.'),
  distinctFrames: count('Those that differ from the picture before.'),
  leftOutFrames: count('Places in the files for which no picture came in time.'),
  distinctFramesPerS: z.number().min(0).meta({ description: 'Distinct frames per second of the files.' }),
  frozen: z.array(spanSchema).meta({ description: 'Stretches of 2 s and more in which no pixel changed.' }),
  moreFrozen: more(),
  frozenMs: ms('All of them together.'),
  silent: z.array(spanSchema).meta({ description: 'Stretches of 2 s and more below −80 dBFS.' }),
  moreSilent: more(),
  silentMs: ms('All of them together.'),
  errors: z
    .array(z.object({ atMs: at(), kind: z.enum(['script', 'console']), text: z.string(), count: z.int().min(1) }))
    .meta({ description: 'Errors of the page’s scripts that nobody caught, and those it put on its console.' }),
  moreErrors: more(),
  machine: z
    .object({
      cpuMs: ms('CPU time of the browser, its screen and its sound.'),
      peakMemoryBytes: count('Most memory they had together; what they share is counted once (PSS).'),
      peakProcesses: count('Most processes they were.'),
    })
    .nullable(),
});
export type PageReportData = z.infer<typeof pageReportSchema>;

const takeoverSchema = z.object({
  node: z.string().meta({ description: 'The name of the node that had stood by, and went on.' }),
  sinceMs: utc('Since when it had stood by.'),
  protectedMs: utc('Since when it had all that the store had not; null where that had not come yet.').nullable(),
  fromMs: at().meta({ description: 'From where on files of its second recorder are in the recording.' }),
  untilMs: at().meta({ description: 'When it took over: from there on its own recorder made the files.' }),
});
export type Takeover = z.infer<typeof takeoverSchema>;

export const qualityReportSchema = z.object({
  version: z.literal(1),
  sid: z.string(),
  mode: z.string(),
  state: z.enum(['recording', 'final', 'partial']).meta({
    description: 'recording: so far; final; partial: the last that was known of a recorder that was lost.',
  }),
  zeroUtcMs: utc('The zero that times count from: the start call.'),
  filesFromMs: at().nullable().meta({ description: 'Where the files begin; null before.' }),
  measuredMs: at(),
  endedMs: at().nullable(),
  endReason: z.string().nullable(),
  runs: z
    .array(
      z.object({
        generation: z.int().min(1),
        startedMs: at(),
        filesFromMs: at().nullable().meta({ description: 'Where the files of this run begin; null before.' }),
        lastKnownMs: at()
          .nullable()
          .meta({ description: 'Up to when a run that was lost told what happened; else null.' }),
      }),
    )
    .optional()
    .meta({ description: 'The processes that made the recording, one after the other.' }),
  takeovers: z.array(takeoverSchema).optional().meta({
    description: 'Each time that a node was lost and its hot standby filled the gap; absent where that never was.',
  }),
  holds: z
    .array(
      z.object({
        fromMs: at(),
        durationMs: z.number().min(0).nullable().meta({ description: 'Null while it goes on, and at the end.' }),
      }),
    )
    .optional()
    .meta({ description: 'When the recording was on hold: what came then is in no file, and what did not, no gap.' }),
  moreHolds: more().optional(),
  heldMs: ms('All holds together.').optional(),
  participants: z.array(participantReportSchema),
  moreParticipants: more(),
  pushes: z.array(pushReportSchema).optional().meta({ description: 'Of a web page: where it was pushed to.' }),
  page: pageReportSchema.optional().meta({ description: 'Of a web page.' }),
  overload: overloadReportSchema.optional().meta({
    description: 'What was taken from the picture because the machine was too slow; absent where nothing was.',
  }),
  degraded: z.array(z.object({ atMs: at(), what: z.string(), count: z.int().min(1) })),
  moreDegraded: more(),
  machine: z
    .object({
      cpuMs: ms('CPU time of the recorder process, user and system.'),
      peakRssBytes: count('Most memory it had.'),
      worstLagMs: ms('How late encoding was at worst, of what was measured.'),
    })
    .nullable(),
});
export type QualityReport = z.infer<typeof qualityReportSchema>;
