/**
 * Plan: everything a recorder must know to make one recording, settled before it starts. Made from a validated start
 * request.
 */
import { z } from 'zod';
import { overlaysSchema } from './overlays.ts';
import { stereoSchema } from './stereo.ts';

/** A region of the canvas, as fractions of its size with the origin at the top left (contract §4.7). */
const regionSchema = z.object({
  uid: z.string().optional(),
  x: z.number(),
  y: z.number(),
  width: z.number(),
  height: z.number(),
  alpha: z.number().min(0).max(1),
  /** `crop` fills the region and cuts what overhangs; `fit` shows the whole picture and leaves bars. */
  render: z.enum(['crop', 'fit']),
});
export type Region = z.infer<typeof regionSchema>;

/** How users are placed (contract §4.7). */
export const layoutSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('floating') }),
  z.object({ kind: z.literal('bestFit') }),
  z.object({ kind: z.literal('vertical'), maxResolutionUid: z.string().optional() }),
  z.object({ kind: z.literal('custom'), regions: z.array(regionSchema).max(17) }),
]);
export type Layout = z.infer<typeof layoutSchema>;

/** Images in a composite (contract §1.2.3). Their addresses may hold credentials. */
export const backgroundsSchema = z.object({
  /** Covers the canvas, under everybody. */
  canvas: z.string().optional(),
  /** Stands in the place of each user who shows no video and has no image of their own. */
  defaultUser: z.string().optional(),
  /** Stand in the places of these users while they show no video. */
  users: z.array(z.object({ uid: z.string(), url: z.string(), render: z.enum(['crop', 'fit']) })).max(17),
});
export type BackgroundImages = z.infer<typeof backgroundsSchema>;

/** Which users' streams of one kind are wanted. */
export const subscriptionSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('all') }),
  z.object({ kind: z.literal('none') }),
  z.object({ kind: z.literal('only'), uids: z.array(z.string()) }),
  z.object({ kind: z.literal('except'), uids: z.array(z.string()) }),
]);
export type Subscription = z.infer<typeof subscriptionSchema>;

export const videoPlanSchema = z.object({
  width: z.int().min(2).max(1920),
  height: z.int().min(2).max(1920),
  fps: z.int().min(1).max(60),
  bitrateKbps: z.int().min(1).max(6500),
  layout: layoutSchema,
  /** `#RRGGBB` */
  backgroundColor: z.string().regex(/^#[0-9a-fA-F]{6}$/),
  /** Absent when there are none. */
  backgrounds: backgroundsSchema.optional(),
  /** Absent when there are none. */
  overlays: overlaysSchema.optional(),
});
export type VideoPlan = z.infer<typeof videoPlanSchema>;

export const audioPlanSchema = z.object({
  channels: z.union([z.literal(1), z.literal(2)]),
  bitrateKbps: z.int().min(8).max(320),
});
export type AudioPlan = z.infer<typeof audioPlanSchema>;

const nameMembers = {
  sid: z.string().regex(/^[0-9a-f]{32}$/),
  /**
   * Every file name begins with this: `<sid>_<cname>`, with the characters replaced that names may not hold (contract
   * §4.1).
   */
  baseName: z.string().min(1).max(255),
  /**
   * Whether each run after the first has names and playlists of its own, `bak<n>_…` (contract §4.1). When absent or
   * false, a run goes on with those of the run before.
   */
  failoverNames: z.boolean().optional(),
};
const commonMembers = {
  ...nameMembers,
  subscribe: z.object({ audio: subscriptionSchema, video: subscriptionSchema }),
  /** The recording ends when nobody was in the channel for this long. */
  maxIdleMs: z.int().min(1),
  /**
   * Which of a sender's simulcast streams is recorded: 0, the default, the high one, 1 the low one (contract §1.2.2).
   */
  videoStreamType: z.union([z.literal(0), z.literal(1)]).optional(),
  /** Whether the recording begins on hold, or is on hold now; absent in a recording that was never put on hold. */
  onhold: z.boolean().optional(),
};

/** An MP4 is ended, and the next begun, when it reaches either. */
const mp4LimitSchema = z.object({ durationMs: z.int().min(1000), bytes: z.int().min(1_000_000) });
const fileMembers = {
  files: z.object({ hls: z.boolean(), mp4: z.boolean() }),
  mp4Limit: mp4LimitSchema,
};

/** All users in one picture and one sound. */
export const mixPlanSchema = z.object({
  mode: z.literal('mix'),
  ...commonMembers,
  /** Absent when the recording has no picture (streamTypes 0). */
  video: videoPlanSchema.optional(),
  /** Absent when the recording has no sound (streamTypes 1). */
  audio: audioPlanSchema.optional(),
  /** Who is heard on which side; when absent everybody is heard on both. */
  stereo: stereoSchema.optional(),
  ...fileMembers,
});
export type MixPlan = z.infer<typeof mixPlanSchema>;

/** Every user separately: streams as they came, or snapshots of them, or both. */
const individualPlanSchema = z.object({
  mode: z.literal('individual'),
  ...commonMembers,
  /** The kinds of stream that are recorded (streamTypes). */
  records: z.object({ audio: z.boolean(), video: z.boolean() }),
  /** What is made of them (contract §4.4); `none` when only snapshots are. */
  streamMode: z.enum(['default', 'standard', 'original', 'none']),
  /** Absent without snapshots. */
  snapshots: z.object({ intervalMs: z.int().min(1000) }).optional(),
  /** How many users may be recorded at once (subscribeUidGroup). */
  maxUsers: z.int().min(1),
  /**
   * What is made at the end beyond the contract: an MP4 of each user, one file with every speaker, and a manifest of
   * all files.
   */
  extras: z.object({
    mp4: z.boolean(),
    /** Absent in recordings of earlier versions, whose MP4s of single users had none. */
    mp4Limit: mp4LimitSchema.optional(),
    /** Absent means false. */
    speakers: z.boolean().optional(),
    manifest: z.boolean(),
  }),
});
export type IndividualPlan = z.infer<typeof individualPlanSchema>;

/** Which page is recorded, and how it is opened. Kept apart from the plan, because an address may hold credentials. */
export const pageSchema = z.object({
  url: z.string().min(1),
  /** Whether the page is told that it is on a telephone. */
  mobile: z.boolean(),
  /** How long the page may take to call `navigator.notifyReady()`; 0 does not wait for it. */
  readyTimeoutMs: z.int().min(0),
});
export type PageAddress = z.infer<typeof pageSchema>;

/** A web page, recorded as somebody would see and hear it. */
const webPlanSchema = z.object({
  mode: z.literal('web'),
  ...nameMembers,
  video: videoPlanSchema.pick({ width: true, height: true, fps: true }).extend({
    bitrateKbps: z.int().min(50).max(8000),
  }),
  audio: audioPlanSchema,
  ...fileMembers,
  /** The recording ends at this age (maxRecordingHour). */
  maxAgeMs: z.int().min(1),
  /** Whether nothing is recorded for now. */
  onhold: z.boolean(),
  /** Whether it is also pushed live, to whatever address; that takes one more process. */
  pushed: z.boolean().optional(),
});
export type WebPlan = z.infer<typeof webPlanSchema>;

export const planSchema = z.discriminatedUnion('mode', [mixPlanSchema, individualPlanSchema, webPlanSchema]);
export type Plan = z.infer<typeof planSchema>;
