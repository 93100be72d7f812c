/**
 * Verifier: reads a recording and the course it was made of, and says, second by second, what is there that must be,
 * what is there that must not, and how well it goes together.
 */
import { clicksIn } from '../support/judge/clicks.ts';
import { median } from '../support/judge/offsets.ts';
import { flashesIn, frozenIn, isColour, lagsIn } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions, floatingRegions, type Rect } from '../support/judge/regions.ts';
import { beepsIn, type Heard, listen } from '../support/judge/sound.ts';
import { type Reading, type View, watch } from '../support/judge/watch.ts';
import { BLACK, WHITE } from '../support/media/participants.ts';
import {
  beginningsOf,
  CANVAS,
  type Course,
  expectationAt,
  hasPlace,
  isOn,
  isSending,
  isStamped,
  isWhole,
  type Layout,
  MAX_PLACES,
  type MediaKind,
  presentAt,
  type Role,
  type Size,
  type Step,
  type Stretch,
  sceneAt,
  stretchesOf,
} from './plan.ts';
import { type Measured, scoreOf } from './score.ts';

export type Tally = {
  required: number;
  there: number;
  /** Marks at seconds at which there must be none. */
  forbidden: number;
  /** Seconds of the recording at which one is missing. */
  missing: number[];
};

type RoleVerdict = {
  name: string;
  flashes: Tally;
  beeps: Tally;
  measured: Measured;
  /** The longest time that the picture stood still although it was sent and got through, seconds. */
  frozenS: number;
  /**
   * Where frames show neither the participant nor its flash while its picture is on (grey, green, black, smeared), or
   * anything else than black while it shows that; seconds of the recording.
   */
  wrongAtS: number[];
  /**
   * How much later picture or sound lies at the end than at the start, milliseconds; the larger of both, with its sign.
   */
  driftMs: number;
  /** Share of its frames whose stamp is where it has to be for the picture's size and turn. */
  uprightShare: number;
};

export type Verdict = {
  roles: RoleVerdict[];
  measured: Measured;
  /** 0 to 100 by the rubric (score.ts). */
  score: number;
  flashes: Tally;
  beeps: Tally;
  frozenS: number;
  wrongAtS: number[];
  driftMs: number;
  uprightShare: number;
  /** Where a wave is cut, seconds of the recording. */
  clicksAtS: number[];
  /** How far participants' content is apart in the file, milliseconds, by the median of each. */
  apartMs: number;
  /** Pictures and blocks of sound that a decoder refused. */
  damaged: number;
};

/** A mark belongs to a second when it is this close to where that second lies. */
const REACH_S = 0.3;
/** What is this close to the file's ends may be cut. */
const EDGE_S = 0.25;
/** Flash and beep that go together this well are in step. */
const IN_STEP_MS = 80;
/** A change of who is where, or what is on, is through after this long. */
const CHANGE_S = 1;

/** Judges the MP4 or the playlist of a course. Throws an Error when it cannot be read, or nobody is seen in it. */
export function verify(path: string, course: Course): Verdict {
  const stretches = stretchesOf(course);
  const views = viewsOf(course, stretches);
  const watched = watch(path, views);
  const readingsOf = new Map(views.map(({ key }, i) => [key, watched.views[i] as Reading[]]));
  const heard = listen(path);
  const endS = probeFile(path).video?.endS ?? 0;

  const initial = presentAt(course, Number.NEGATIVE_INFINITY);
  const lags = course.plan.roles.map((role) => {
    const first = stretches[0]?.toS ?? 0;
    const all =
      readingsOf.get(keyOf('bestFit', initial.length, initial.indexOf(role), sceneAt(course, role, -1))) ?? [];
    const before = all.filter((r) => r.atS < first - CHANGE_S);
    return isStamped(role) ? lagOf(role, before, course.zeroWallS) : undefined;
  });
  const seen = lags.filter((lag) => lag !== undefined);
  if (seen.length === 0) throw new Error(`${path}: nobody is seen in it`);
  const roles = course.plan.roles.map((role, i) => {
    const lagS = lags[i] ?? median(seen);
    const readings = stretches.flatMap(({ fromS, toS, present, layout }) =>
      scenesOf(course, role, fromS, toS).flatMap((span) => {
        const all = readingsOf.get(keyOf(layout, present.length, present.indexOf(role), span.scene)) ?? [];
        return all.filter((r) => r.atS - lagS >= span.fromS && r.atS - lagS < span.toS);
      }),
    );
    return verifyRole(course, role, { readings, heard, lagS, endS });
  });

  const measured: Measured = {
    offsetsMs: roles.flatMap((r) => r.measured.offsetsMs),
    audioIntervalsMs: roles.flatMap((r) => r.measured.audioIntervalsMs),
    videoIntervalsMs: roles.flatMap((r) => r.measured.videoIntervalsMs),
    stableS: Math.max(...roles.map((r) => r.measured.stableS)),
  };
  return {
    roles,
    measured,
    score: scoreOf(measured),
    flashes: sum(roles.map((r) => r.flashes)),
    beeps: sum(roles.map((r) => r.beeps)),
    frozenS: Math.max(...roles.map((r) => r.frozenS)),
    wrongAtS: roles.flatMap((r) => r.wrongAtS).sort((a, b) => a - b),
    driftMs: roles.reduce((most, { driftMs }) => (Math.abs(driftMs) > Math.abs(most) ? driftMs : most), 0),
    uprightShare: Math.min(...roles.map((r) => r.uprightShare)),
    clicksAtS: clicksIn(heard),
    apartMs: (Math.max(...seen) - Math.min(...seen)) * 1000,
    damaged: watched.damaged + heard.damaged,
  };
}

type Place = View & { key: string };

const REGIONS: Record<Layout, (count: number) => Rect[]> = { bestFit: bestFitRegions, floating: floatingRegions };

/** Everywhere that someone is to be seen, once for each size of picture that is shown there. */
function viewsOf(course: Course, stretches: readonly Stretch[]): Place[] {
  const views = new Map<string, Place>();
  for (const { fromS, toS, present, layout } of stretches) {
    present.slice(0, MAX_PLACES).forEach((role, i) => {
      const rect = REGIONS[layout](Math.min(present.length, MAX_PLACES))[i] as Rect;
      for (const { scene } of scenesOf(course, role, fromS, toS)) {
        const key = keyOf(layout, present.length, i, scene);
        views.set(key, { key, rect, source: scene });
      }
    });
  }
  return [...views.values()];
}

function keyOf(layout: Layout, count: number, place: number, { width, height }: Size): string {
  return `${layout} ${count}/${place} ${width}x${height}`;
}

/** What a role's camera shows in a stretch of the course, piece by piece. */
function scenesOf(course: Course, role: Role, fromS: number, toS: number) {
  const cuts = course.steps.filter((s) => s.does === 'show' && s.uid === role.uid).map((s) => s.toS);
  const edges = [fromS, ...cuts.filter((atS) => atS > fromS && atS < toS), toS];
  return edges
    .slice(0, -1)
    .map((edge, i) => ({ fromS: edge, toS: edges[i + 1] as number, scene: sceneAt(course, role, edge) }));
}

/** The file's time less the course's, by the stamps in a participant's pictures, seconds. */
export function lagOf(role: Role, readings: readonly Reading[], zeroWallS: number): number | undefined {
  const lags = lagsIn(freshIn(readings, role), zeroWallS * 1e6).map((l) => l.lagS);
  return lags.length > 0 ? median(lags) : undefined;
}

/**
 * Frames that show a moment of the participant for the first time: a picture that is held tells nothing of when it
 * belongs.
 */
function freshIn(readings: readonly Reading[], role: Role): Reading[] {
  const shown = readings.filter((r) => isColour(r, role.participant.colour));
  return shown.filter((r, i) => r.stamp !== shown[i - 1]?.stamp);
}

type Evidence = { readings: readonly Reading[]; heard: Heard; lagS: number; endS: number };

function verifyRole(course: Course, role: Role, { readings, heard, lagS, endS }: Evidence): RoleVerdict {
  const { name, toneHz } = role.participant;
  const found = {
    video: marksBySecond(
      flashesIn(readings).map((f) => f.atS - lagS),
      course.zeroWallS,
    ),
    audio: marksBySecond(
      beepsIn(heard, { toneHz }).map((b) => b.atS - lagS),
      course.zeroWallS,
    ),
  };
  const seconds = secondsBetween(EDGE_S - lagS, endS - EDGE_S - lagS, course.zeroWallS);
  const expected = (kind: MediaKind, second: number) => expectationAt(course, role, kind, second - course.zeroWallS);
  const tally = (kind: MediaKind): Tally => {
    const of = (expectation: string) => seconds.filter((second) => expected(kind, second) === expectation);
    const missing = of('required').filter((second) => !found[kind].has(second));
    return {
      required: of('required').length,
      there: of('required').length - missing.length,
      forbidden: of('forbidden').filter((second) => found[kind].has(second)).length,
      missing: missing.map((second) => second - course.zeroWallS + lagS),
    };
  };

  const isGood = (second: number) => Math.abs(offsetAt(found, second)) <= IN_STEP_MS;
  const stableAfter = (beginS: number) => {
    const fromS = Math.max(beginS, -lagS);
    const second = seconds.find((s) => s - course.zeroWallS >= fromS && isGood(s) && isGood(s + 1));
    return second === undefined ? Number.POSITIVE_INFINITY : second - course.zeroWallS - fromS;
  };
  const whole = (kind: MediaKind) =>
    new Map([...found[kind]].filter(([second]) => isWhole(course, role, kind, second - course.zeroWallS)));
  const both = seconds.filter((s) => expected('video', s) === 'required' && expected('audio', s) === 'required');
  return {
    name,
    flashes: tally('video'),
    beeps: tally('audio'),
    measured: {
      offsetsMs: both.map((second) => offsetAt(found, second)).filter((ms) => !Number.isNaN(ms)),
      audioIntervalsMs: intervals(whole('audio')),
      videoIntervalsMs: intervals(whole('video')),
      // Nobody can tell of one who has no place whether it is in step.
      stableS: Math.max(
        0,
        ...beginningsOf(course, role)
          .filter((atS) => hasPlace(course, role, atS))
          .map(stableAfter),
      ),
    },
    driftMs: driftOf(course, role, found.audio, readings),
    ...pictureFaults(course, role, readings, lagS),
  };
}

/**
 * What moves from the first fifth of the course to its last, of sound by beeps and of picture by stamps, milliseconds.
 */
function driftOf(course: Course, role: Role, beeps: Map<number, number>, readings: readonly Reading[]): number {
  const { zeroWallS, plan } = course;
  const stamped = isStamped(role) ? lagsIn(freshIn(readings, role), zeroWallS * 1e6) : [];
  const lines = [
    [...beeps].map(([second, atS]) => ({ atS: second - zeroWallS, lagS: atS - second })),
    stamped.map(({ atS, lagS }) => ({ atS, lagS })),
  ];
  const drifts = lines.map((line) => {
    const early = line.filter(({ atS }) => atS < plan.seconds / 5).map(({ lagS }) => lagS);
    const late = line.filter(({ atS }) => atS > (plan.seconds * 4) / 5).map(({ lagS }) => lagS);
    return early.length > 0 && late.length > 0 ? (median(late) - median(early)) * 1000 : 0;
  });
  return drifts.reduce((most, ms) => (Math.abs(ms) > Math.abs(most) ? ms : most), 0);
}

function pictureFaults(course: Course, role: Role, readings: readonly Reading[], lagS: number) {
  const { colour } = role.participant;
  const settled = (atS: number, holds: (atS: number) => boolean) =>
    [atS - CHANGE_S, atS, atS + CHANGE_S / 2].every((t) => holds(t)) &&
    !course.steps.some((step) => isCut(step, role) && atS > step.fromS - CHANGE_S && atS < step.toS + CHANGE_S) &&
    !stretchesOf(course).some((s) => Math.abs(atS - s.fromS) < CHANGE_S || Math.abs(atS - s.toS) < CHANGE_S);
  const isOnAt = (atS: number) => isOn(course, role, 'video', Math.max(0, atS));
  const isBlackAt = (atS: number) => presentAt(course, atS).includes(role) && sceneAt(course, role, atS).black === true;
  const on = readings.filter((r) => settled(r.atS - lagS, isOnAt));
  const wrong = [
    ...on.filter((r) => !isColour(r, colour) && !isColour(r, WHITE)),
    ...readings.filter((r) => settled(r.atS - lagS, isBlackAt) && !isColour(r, BLACK)),
  ];
  const plain = on.filter((r) => isColour(r, colour));
  // Only what the network let through counts: in a blackout or an outage the picture has to stand still.
  const frozen = frozenIn(readings).map((span) => {
    const frames = on.filter((r) => r.atS >= span.fromS && r.atS < span.toS);
    return (
      frames.filter((r) => isSending(course, role, 'video', r.atS - lagS)).length / (course.plan.canvas ?? CANVAS).fps
    );
  });
  return {
    wrongAtS: wrong.map((r) => r.atS),
    frozenS: Math.max(0, ...frozen),
    uprightShare: plain.length > 0 ? plain.filter((r) => r.stamp !== undefined).length / plain.length : 1,
  };
}

/** Steps that leave the picture as it is: it must neither stand still nor be another's. */
const SEAMLESS: ReadonlySet<Step['does']> = new Set(['stepClock', 'padUpperLayer', 'fillUpperLayer']);

/** Whether a step of the role's own changes what colour is seen of it; another size or turn does not. */
function isCut(step: Step, role: Role): boolean {
  if (step.uid !== role.uid || SEAMLESS.has(step.does)) return false;
  return step.does !== 'show' || step.scene.black === true;
}

/** Full seconds of wall time in a stretch of the course's time. */
function secondsBetween(fromS: number, toS: number, zeroWallS: number): number[] {
  const first = Math.ceil(fromS + zeroWallS);
  const last = Math.floor(toS + zeroWallS);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
}

/** The mark nearest to each full second, seconds of wall time; marks far from any are left out. */
function marksBySecond(marks: readonly number[], zeroWallS: number): Map<number, number> {
  const bySecond = new Map<number, number>();
  for (const mark of marks) {
    const wallS = mark + zeroWallS;
    const second = Math.round(wallS);
    const held = bySecond.get(second);
    if (Math.abs(wallS - second) > REACH_S) continue;
    if (held === undefined || Math.abs(wallS - second) < Math.abs(held - second)) bySecond.set(second, wallS);
  }
  return bySecond;
}

/** Beep minus flash, milliseconds; NaN unless both are there. */
function offsetAt(found: Record<MediaKind, Map<number, number>>, second: number): number {
  return ((found.audio.get(second) ?? Number.NaN) - (found.video.get(second) ?? Number.NaN)) * 1000;
}

/** How far marks of neighbouring seconds are from one second apart, milliseconds. */
function intervals(bySecond: Map<number, number>): number[] {
  return [...bySecond].flatMap(([second, atS]) => {
    const next = bySecond.get(second + 1);
    return next === undefined ? [] : [Math.abs(next - atS - 1) * 1000];
  });
}

function sum(tallies: readonly Tally[]): Tally {
  return {
    required: tallies.reduce((total, t) => total + t.required, 0),
    there: tallies.reduce((total, t) => total + t.there, 0),
    forbidden: tallies.reduce((total, t) => total + t.forbidden, 0),
    missing: tallies.flatMap((t) => t.missing).sort((a, b) => a - b),
  };
}
