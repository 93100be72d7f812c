/**
 * Plan: who takes part in a recording, over which network, and what they do when. The performance (perform.ts) plays
 * it, and the verifier (verify.ts) reads the same plan, with the times at which things were really done, to know what
 * must be seen.
 */
import type { VideoCodec } from '../../src/media/track.ts';
import type { Impairment } from '../support/impair/impairment.ts';
import type { Participant } from '../support/media/participants.ts';
import type { ClockStep, RtcPublishOptions } from '../support/publish/publisher.ts';
import type { Scene } from '../support/publish/scene.ts';

/**
 * `join` is for who was not there before; `lose` waits until the server counts someone as gone, whose network is dead;
 * `replace` publishes again with the same uid while the former session still stands; `restart` goes on within the
 * session with new SSRCs and timestamps; `show` changes what the camera's track carries; `stepClock` has one of the
 * sender's clocks show another time; `padUpperLayer` leaves nothing but padding of a simulcast's larger picture.
 */
type Action =
  | 'join'
  | 'leave'
  | 'rejoin'
  | 'lose'
  | 'replace'
  | 'restart'
  | 'muteAudio'
  | 'unmuteAudio'
  | 'muteVideo'
  | 'unmuteVideo'
  | 'show'
  | 'stepClock'
  | 'padUpperLayer'
  | 'fillUpperLayer';
export type MediaKind = 'audio' | 'video';
export type Deed =
  | { does: Exclude<Action, 'show' | 'stepClock'> }
  | { does: 'show'; scene: Scene }
  | ({ does: 'stepClock' } & ClockStep);
export type Size = { width: number; height: number };

export type Role = {
  uid: string;
  participant: Participant;
  codec: VideoCodec;
  /** The network on the way to the server; blackouts count from the recording's start. */
  toServer?: Impairment;
  toPublisher?: Impairment;
  /** In order of time; seconds from the recording's start. What is to happen at one time is begun together. */
  events?: readonly ({ atS: number } & Deed)[];
  /** Comes with a `join` only; all others are there before the recording. */
  absent?: boolean;
  /** Its picture, where that is not the one that all send. */
  picture?: Partial<typeof SOURCE>;
  /** Chromium publishes it from our page, in this hue, degrees; a made publisher does when left out. */
  page?: { hue: number };
  /** What else is special about how it publishes, of a made publisher. */
  sends?: Pick<
    RtcPublishOptions,
    | 'bFrames'
    | 'dtx'
    | 'level'
    | 'loop'
    | 'mutesStall'
    | 'neverResendsSound'
    | 'reportsAfterS'
    | 'simulcast'
    | 'skewPpm'
    | 'videoLateMs'
  >;
};

export type Plan = {
  /** Length of the recording, seconds. */
  seconds: number;
  /** Different plans with the same seed have the same luck. */
  seed: number;
  roles: readonly Role[];
  /** The picture that is recorded; `CANVAS` when left out. */
  canvas?: typeof CANVAS;
};

/** The pictures that all roles send, and the picture that is recorded. */
export const SOURCE = { width: 320, height: 180, fps: 30, bitrateKbps: 350 };
/**
 * Like browsers, senders make key frames when asked, and next to none by themselves: only what is asked for mends a
 * loss.
 */
export const GOP_S = 10;
export const CANVAS = { width: 640, height: 360, fps: 30 };

/** What was done: times in seconds from the performance's zero, from when it was begun until it was through. */
export type Step = { fromS: number; toS: number; uid: string } & Deed;

/** A layout by the contract's own name (§4.7). */
export type Layout = 'bestFit' | 'floating';
/** Another layout for all, in the course's time like a step. */
export type LayoutChange = { fromS: number; toS: number; layout: Layout };

/** A plan as it was played. */
export type Course = {
  plan: Plan;
  /** Wall time of the recording's start call, seconds since the Unix epoch: the zero of all times here. */
  zeroWallS: number;
  steps: readonly Step[];
  /** What came after best fit. */
  layouts?: readonly LayoutChange[];
  /** When nothing of anyone could be received, because no server was there. */
  outages?: readonly Edge[];
};

/** What a mark of a full second must be in the file. */
export type Expectation = 'required' | 'optional' | 'forbidden';

/** A mark lasts a tenth of a second, and some of it may still be on its way; what ends meanwhile cuts it off. */
const MARK_S = 0.15;
/** What is switched on begins with its next frame or block. */
const BLOCK_S = 0.05;
/** Marks this close to something that was done, or to a blackout, may be there or not. */
const MARGIN_S = 1;
/** So long after a clock's step its marks may be lost. */
const STEP_S = 3;
/** What was sent before the end of a blackout may be asked for again while a reception waits for it. */
const RECOVERABLE_S = 2;

const COMING: ReadonlySet<Action> = new Set(['join', 'rejoin']);
const GOING: ReadonlySet<Action> = new Set(['leave', 'lose']);
/** What has to become stable anew though nobody came or went. */
const BEGINNING: ReadonlySet<Action> = new Set(['replace', 'restart']);
/** A composite shows no more (contract §4.7). */
export const MAX_PLACES = 17;

type Edge = { fromS: number; toS: number };

/** Who was in the channel at `atS`, in the order in which they came. */
export function presentAt(course: Course, atS: number): Role[] {
  let present = course.plan.roles.filter((role) => !role.absent);
  for (const step of course.steps) {
    const middleS = (step.fromS + step.toS) / 2;
    if (middleS > atS) continue;
    if (GOING.has(step.does)) present = present.filter((role) => role.uid !== step.uid);
    if (COMING.has(step.does)) present.push(...course.plan.roles.filter((role) => role.uid === step.uid));
  }
  return present;
}

/** What `role`'s camera showed at `atS`; without a step of its own that is what it began with. */
export function sceneAt(course: Course, role: Role, atS: number): Scene {
  const shown = course.steps.findLast((s) => s.does === 'show' && s.uid === role.uid && s.fromS <= atS);
  return shown?.does === 'show' ? shown.scene : { ...SOURCE, ...role.picture };
}

/**
 * Whether a role's pictures tell when they were taken. A loop's tell when it was made, and a page's tell nothing.
 */
export function isStamped({ sends, page }: Role): boolean {
  return !sends?.loop && page === undefined;
}

/** Whether there was a place for `role` in the picture at `atS`. */
export function hasPlace(course: Course, role: Role, atS: number): boolean {
  return presentAt(course, atS).indexOf(role) < MAX_PLACES;
}

/** Whether `role` sent this kind at `atS`, and the network let it through. */
export function isSending(course: Course, role: Role, kind: MediaKind, atS: number): boolean {
  const lost = [...blackoutsOf(role), ...(course.outages ?? [])];
  if (lost.some(({ fromS, toS }) => atS >= fromS && atS < toS)) return false;
  return isOn(course, role, kind, atS);
}

/** Whether `role` was there with this kind switched on, whatever the network did. */
export function isOn(course: Course, role: Role, kind: MediaKind, atS: number): boolean {
  if (!presentAt(course, atS).includes(role)) return false;
  if (kind === 'video' && sceneAt(course, role, atS).black) return false;
  const [mute, unmute] = kind === 'audio' ? ['muteAudio', 'unmuteAudio'] : ['muteVideo', 'unmuteVideo'];
  let on = true;
  for (const step of course.steps) {
    if (step.uid !== role.uid || step.fromS > atS) continue;
    if (step.does === mute) on = false;
    // Who comes back begins with everything on.
    if (step.does === unmute || COMING.has(step.does) || step.does === 'replace') on = true;
  }
  return on;
}

/** What the file must hold of `role`'s flash or beep at `atS`. */
export function expectationAt(course: Course, role: Role, kind: MediaKind, atS: number): Expectation {
  const near = (edge: Edge) => atS > edge.fromS - MARGIN_S && atS < edge.toS + MARGIN_S;
  if (stepsFor(course, role, kind).some(near)) return 'optional';
  if (kind === 'video' && course.layouts?.some(near)) return 'optional';
  if (course.outages?.some(({ fromS, toS }) => atS > fromS - MARK_S && atS < toS + MARGIN_S)) return 'optional';
  for (const { fromS, toS } of blackoutsOf(role)) {
    if (near({ fromS, toS: fromS })) return 'optional';
    if (atS > toS - RECOVERABLE_S && atS < toS + MARGIN_S) return 'optional';
  }
  if (kind === 'video' && !hasPlace(course, role, atS)) return 'optional';
  return isSending(course, role, kind, atS) ? 'required' : 'forbidden';
}

/** Whether `role` sent all of its mark of `atS`: a switch of its own meanwhile leaves a part, which tells no time. */
export function isWhole(course: Course, role: Role, kind: MediaKind, atS: number): boolean {
  const switches = kind === 'audio' ? /^(un)?muteAudio$/ : /^(un)?muteVideo$/;
  return !course.steps.some(
    ({ uid, does, fromS, toS }) =>
      uid === role.uid && switches.test(does) && fromS < atS + MARK_S && toS > atS - BLOCK_S,
  );
}

/** A time during which everyone has one place. The last is open ended. */
export type Stretch = { fromS: number; toS: number; present: Role[]; layout: Layout };

/** The stretches between changes of who is there, and of the layout. */
export function stretchesOf(course: Course): Stretch[] {
  const moves = course.steps.filter(({ does }) => GOING.has(does) || COMING.has(does));
  const changes: Edge[] = [...moves, ...(course.layouts ?? [])].sort((a, b) => a.fromS - b.fromS);
  return [...changes, undefined].map((change, i) => {
    const before = changes[i - 1];
    const fromS = before ? before.toS : Number.NEGATIVE_INFINITY;
    return {
      fromS,
      toS: change?.fromS ?? Number.POSITIVE_INFINITY,
      present: presentAt(course, before ? before.toS : -1),
      layout: course.layouts?.findLast((each) => each.toS <= fromS)?.layout ?? 'bestFit',
    };
  });
}

/** Seconds at which something begins for `role` that takes a moment to be stable: the start, and each return of it. */
export function beginningsOf(course: Course, role: Role): number[] {
  const own = course.steps.filter((s) => s.uid === role.uid && (COMING.has(s.does) || BEGINNING.has(s.does)));
  return [...(role.absent ? [] : [0]), ...own.map((s) => s.toS)];
}

/**
 * Steps that touch what is seen or heard of `role`: its own, and, for its place in the picture, others' coming and
 * going.
 */
function stepsFor(course: Course, role: Role, kind: MediaKind): Edge[] {
  const clock = kind === 'audio' ? 'microphone' : 'camera';
  const clockSteps = course.steps.flatMap((step) =>
    step.uid === role.uid && step.does === 'stepClock' && (step.clock === clock || step.clock === 'wall')
      ? { fromS: step.fromS, toS: step.toS + STEP_S - MARGIN_S }
      : [],
  );
  const others = course.steps.filter((step, i) => {
    const { uid, does } = step;
    const isChange = GOING.has(does) || COMING.has(does);
    if (uid !== role.uid) return kind === 'video' && isChange;
    if (step.does === 'show') {
      // Another size, or another side up, may cost nothing; only black is a change of what must be seen.
      const before = course.steps.slice(0, i).findLast((s) => s.does === 'show' && s.uid === uid);
      const wasBlack = before?.does === 'show' && before.scene.black;
      return kind === 'video' && (step.scene.black || wasBlack);
    }
    return isChange || BEGINNING.has(does) || does.endsWith(kind === 'audio' ? 'Audio' : 'Video');
  });
  return [...clockSteps, ...others];
}

function blackoutsOf(role: Role): readonly Edge[] {
  return role.toServer?.blackouts ?? [];
}
