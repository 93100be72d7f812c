/**
 * Commands: what the control process tells a recorder. Sent as JSON over the child's IPC channel.
 */

import { z } from 'zod';
import type { HostUs } from '../../kernel/time.ts';
import { overlaysSchema } from './overlays.ts';
import { pageLimitsSchema } from './page-limits.ts';
import { backgroundsSchema, layoutSchema, pageSchema, planSchema, subscriptionSchema } from './plan.ts';
import { pushTargetSchema } from './push.ts';
import { rungSchema } from './rungs.ts';
import { stereoSchema } from './stereo.ts';

/** Monotonic time of the host that the recorder runs on. */
const hostUs: z.ZodType<HostUs> = z.number();

const changeLayoutSchema = z.object({
  type: z.literal('changeLayout'),
  atMonoUs: hostUs,
  layout: layoutSchema,
  /** `#RRGGBB` */
  backgroundColor: z.string().regex(/^#[0-9a-fA-F]{6}$/),
  /** Absent when there are none. */
  backgrounds: backgroundsSchema.optional(),
});
/** For composites. The layout and the overlays change separately. */
const changeOverlaysSchema = z.object({
  type: z.literal('changeOverlays'),
  atMonoUs: hostUs,
  overlays: overlaysSchema,
});
const changeSubscriptionSchema = z.object({
  type: z.literal('changeSubscription'),
  atMonoUs: hostUs,
  subscribe: z.object({ audio: subscriptionSchema, video: subscriptionSchema }),
});

/** Who is heard on which side of a composite in stereo. */
const changeStereoSchema = z.object({ type: z.literal('changeStereo'), atMonoUs: hostUs, stereo: stereoSchema });

/** Puts the recording on hold, or ends the hold. */
const changeHoldSchema = z.object({ type: z.literal('changeHold'), atMonoUs: hostUs, onhold: z.boolean() });

/**
 * A web page is pushed to these addresses and no others. It takes effect at once, because a live stream has no earlier
 * moment.
 */
const changePushesSchema = z.object({
  type: z.literal('changePushes'),
  atMonoUs: hostUs,
  targets: z.array(pushTargetSchema),
});

/**
 * Changes of a running recording, which hold from the frame at `atMonoUs` on. Each replaces the whole of what it names.
 */
const changeCommandSchema = z.discriminatedUnion('type', [
  changeLayoutSchema,
  changeOverlaysSchema,
  changeSubscriptionSchema,
  changeStereoSchema,
  changeHoldSchema,
  changePushesSchema,
]);
/** A change as it is kept, before it has its moment. */
export const changeSchema = z.discriminatedUnion('type', [
  changeLayoutSchema.omit({ atMonoUs: true }),
  changeOverlaysSchema.omit({ atMonoUs: true }),
  changeSubscriptionSchema.omit({ atMonoUs: true }),
  changeStereoSchema.omit({ atMonoUs: true }),
  changeHoldSchema.omit({ atMonoUs: true }),
]);
export type Change = z.infer<typeof changeSchema>;
export type ChangeCommand = z.infer<typeof changeCommandSchema>;

/**
 * What keeps a page from networks that are closed to it: a network namespace of its own, a user of its own with
 * firewall rules, or nothing but the settings of its browser.
 */
export const pageGuardSchema = z.enum(['namespace', 'user', 'trust-the-browser']);
export type PageGuard = z.infer<typeof pageGuardSchema>;

/** Where the programs run that show and play a page. */
const pagePlaceSchema = z.object({
  /** Folder in which the run makes one of its own for as long as it lasts. Exists already. */
  root: z.string().min(1),
  /** Folders that a page must not see; they exist. */
  hidden: z.array(z.string().min(1)),
  /** The user that the page runs as; absent where that is the server's own user, who has no rights to give up. */
  user: z.object({ uid: z.int().min(1), gid: z.int().min(1) }).optional(),
  guard: pageGuardSchema,
  /** Whether Chromium's own sandbox works here. */
  sandboxed: z.boolean(),
  /** Addresses and ranges that pages may reach besides public ones. */
  networks: z.array(z.string()),
  limits: pageLimitsSchema,
});
export type PagePlace = z.infer<typeof pagePlaceSchema>;

/** What a run reads (ADR 0012). */
const sourceSchema = z.discriminatedUnion('kind', [
  /** `path` of the unix socket that serves the recording's feed (`feed.ts`), to one run after the other. */
  z.object({ kind: z.literal('feed'), path: z.string().min(1) }),
  /** A web page, on a screen and a speaker of its own (ADR 0016). */
  z.object({
    kind: z.literal('page'),
    ...pageSchema.shape,
    ...pagePlaceSchema.shape,
  }),
]);
export type Source = z.infer<typeof sourceSchema>;

const startCommandSchema = z.object({
  type: z.literal('start'),
  plan: planSchema,
  /** Which run of the recording this is, from 1 on. */
  generation: z.int().min(1),
  source: sourceSchema,
  /** Where a web page is pushed. */
  pushes: z
    .object({
      targets: z.array(pushTargetSchema),
      /** Addresses and ranges that may be pushed to besides public ones. */
      networks: z.array(z.string()),
    })
    .optional(),
  /** Folder that this run owns: finished files, the journal, its checkpoint and nothing else. Exists already. */
  spoolDir: z.string().min(1),
  /** Folders of the runs before this one, oldest first. They are read and never written. */
  earlierDirs: z.array(z.string().min(1)),
  /**
   * Another run makes the same files at the same time, on another node: where those begin, microseconds of the
   * recording, and a frame of them that a slice begins with, or without a picture a block of sound. Of a composite this
   * run begins with one of the next slices (ADR 0037); of single users with any packet, and the frame says nothing (ADR
   * 0042).
   */
  follows: z.object({ originUs: z.number(), sliceFrame: z.int().min(0) }).optional(),
  /**
   * Runs on two nodes make the recording: sound of single users is encoded in blocks that begin at the same samples,
   * counted from the recording's zero, whoever encodes them.
   */
  isTwin: z.literal(true).optional(),
  /** Changes that were made before this run began, in order; the plan is as it was before them. */
  changes: z.array(changeCommandSchema),
  /** Networks that images may be fetched from besides the public internet, as EndpointGuard takes them. */
  imageNetworks: z.array(z.string()).optional(),
  /** How much may be taken from the picture where the machine is too slow; all there is when absent. */
  lowestRung: rungSchema.optional(),
  /** The recording's zero, as wall time (Unix milliseconds) and as the host's monotonic time (microseconds). */
  zeroUtcMs: z.number(),
  zeroMonoUs: hostUs,
  /**
   * Other runs may be in the same process, before, beside and after this one: it ends when its server lets go of it.
   * Otherwise the process is this run's alone and ends with it (ADR 0024).
   */
  shared: z.literal(true).optional(),
});

/** Which run a Command is meant for; another one ignores it. */
const ofRun = { sid: planSchema.options[0].shape.sid, generation: z.int().min(1) };

/** Comes before `start`: make a browser ready for the page that is to come. */
const prepareCommandSchema = z.object({ type: z.literal('prepare'), place: pagePlaceSchema });
export type PrepareCommand = z.infer<typeof prepareCommandSchema>;

export const commandSchema = z.discriminatedUnion('type', [
  startCommandSchema,
  prepareCommandSchema,
  changeLayoutSchema.extend(ofRun),
  changeOverlaysSchema.extend(ofRun),
  changeSubscriptionSchema.extend(ofRun),
  changeStereoSchema.extend(ofRun),
  changeHoldSchema.extend(ofRun),
  changePushesSchema.extend(ofRun),
  /** Leave the channel, finish the files, send `ended`. */
  z.object({ type: z.literal('stop'), atMonoUs: hostUs, ...ofRun }),
  /** Give up a run that shares its process: finish no file, and send `ended` once nothing is written any more. */
  z.object({ type: z.literal('abort'), why: z.string(), ...ofRun }),
  /** Answered by a `pong` of the same number. */
  z.object({ type: z.literal('ping'), n: z.int(), ...ofRun }),
]);
export type Command = z.infer<typeof commandSchema>;
export type StartCommand = z.infer<typeof startCommandSchema>;
