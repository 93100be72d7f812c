/**
 * Plan: who takes part in a recording, over which network, and what they do when. The performance (perform.ts) plays it, and
 * the verifier (verify.ts) reads the same plan, with the times at which things were really done, to know what must be seen.
 */
import type { VideoCodec } from '../../src/media/track.ts';
import type { Impairment } from '../support/impair/impairment.ts';
import type { Participant } from '../support/media/participants.ts';

export type Action = 'leave' | 'rejoin' | 'muteAudio' | 'unmuteAudio' | 'muteVideo' | 'unmuteVideo';
export type MediaKind = 'audio' | 'video';

export type Role = {
  uid: string;
  participant: Participant;
  codec: VideoCodec;
  /** The network on the way to the server; blackouts count from the recording's start. */
  toServer?: Impairment;
  toPublisher?: Impairment;
  /** In order of time; seconds from the recording's start. All roles are there before it. */
  events?: readonly { atS: number; does: Action }[];
};

export type Plan = {
  /** Length of the recording, seconds. */
  seconds: number;
  /** Different plans with the same seed have the same luck. */
  seed: number;
  roles: readonly Role[];
};

/** The pictures that all roles send, and the picture that is recorded. */
export const SOURCE = { width: 320, height: 180, fps: 30, bitrateKbps: 350 };
/** Like browsers, senders make key frames when asked, and next to none by themselves: only what is asked for mends a loss. */
export const GOP_S = 10;
export const CANVAS = { width: 640, height: 360, fps: 30 };

/** What was done: times in seconds from the performance's zero, from when it was begun until it was through. */
export type Step = { fromS: number; toS: number; uid: string; does: Action };

/** A plan as it was played. */
export type Course = {
  plan: Plan;
  /** Wall time of the recording's start call, seconds since the Unix epoch: the zero of all times here. */
  zeroWallS: number;
  steps: readonly Step[];
};

/** What a mark of a full second must be in the file. */
export type Expectation = 'required' | 'optional' | 'forbidden';

/** Marks this close to something that was done, or to a blackout, may be there or not. */
const MARGIN_S = 1;
/** What was sent before the end of a blackout may be asked for again while a reception waits for it. */
const RECOVERABLE_S = 2;

type Edge = { fromS: number; toS: number };

/** Who was in the channel at `atS`, in the order in which they came. */
export function presentAt(course: Course, atS: number): Role[] {
  let present = [...course.plan.roles];
  for (const step of course.steps) {
    const middleS = (step.fromS + step.toS) / 2;
    if (middleS > atS) continue;
    if (step.does === 'leave') present = present.filter((role) => role.uid !== step.uid);
    if (step.does === 'rejoin') present.push(...course.plan.roles.filter((role) => role.uid === step.uid));
  }
  return present;
}

/** Whether `role` sent this kind at `atS`, and the network let it through. */
export function isSending(course: Course, role: Role, kind: MediaKind, atS: number): boolean {
  if (blackoutsOf(role).some(({ fromS, toS }) => atS >= fromS && atS < toS)) return false;
  return isOn(course, role, kind, atS);
}

/** Whether `role` was there with this kind switched on, whatever the network did. */
export function isOn(course: Course, role: Role, kind: MediaKind, atS: number): boolean {
  if (!presentAt(course, atS).includes(role)) return false;
  const [mute, unmute] = kind === 'audio' ? ['muteAudio', 'unmuteAudio'] : ['muteVideo', 'unmuteVideo'];
  let on = true;
  for (const step of course.steps) {
    if (step.uid !== role.uid || step.fromS > atS) continue;
    if (step.does === mute) on = false;
    // Who comes back begins with everything on.
    if (step.does === unmute || step.does === 'rejoin') on = true;
  }
  return on;
}

/** What the file must hold of `role`'s flash or beep at `atS`. */
export function expectationAt(course: Course, role: Role, kind: MediaKind, atS: number): Expectation {
  const near = (edge: Edge) => atS > edge.fromS - MARGIN_S && atS < edge.toS + MARGIN_S;
  if (stepsFor(course, role, kind).some(near)) return 'optional';
  for (const { fromS, toS } of blackoutsOf(role)) {
    if (near({ fromS, toS: fromS })) return 'optional';
    if (atS > toS - RECOVERABLE_S && atS < toS + MARGIN_S) return 'optional';
  }
  return isSending(course, role, kind, atS) ? 'required' : 'forbidden';
}

/** The stretches between changes of who is there, during which everyone has one place. The last is open ended. */
export function stretchesOf(course: Course): { fromS: number; toS: number; present: Role[] }[] {
  const changes = course.steps.filter((step) => step.does === 'leave' || step.does === 'rejoin');
  return [...changes, undefined].map((change, i) => {
    const before = changes[i - 1];
    const fromS = before ? before.toS : Number.NEGATIVE_INFINITY;
    return {
      fromS,
      toS: change?.fromS ?? Number.POSITIVE_INFINITY,
      present: presentAt(course, before ? before.toS : -1),
    };
  });
}

/** Seconds at which something begins for `role` that takes a moment to be stable: the start, and each return of it. */
export function beginningsOf(course: Course, role: Role): number[] {
  return [0, ...course.steps.filter((s) => s.uid === role.uid && s.does === 'rejoin').map((s) => s.toS)];
}

/** Steps that touch what is seen or heard of `role`: its own, and, for its place in the picture, others' coming and going. */
function stepsFor(course: Course, role: Role, kind: MediaKind): Edge[] {
  return course.steps.filter(({ uid, does }) => {
    const isChange = does === 'leave' || does === 'rejoin';
    if (uid !== role.uid) return kind === 'video' && isChange;
    return isChange || does.endsWith(kind === 'audio' ? 'Audio' : 'Video');
  });
}

function blackoutsOf(role: Role): readonly Edge[] {
  return role.toServer?.blackouts ?? [];
}
