/**
 * Verifier: reads a recording and the course it was made of, and says, second by second, what is there that must be, what is
 * there that must not, and how well it goes together.
 */
import { median } from '../support/judge/offsets.ts';
import { flashesIn, frozenIn, isColour, lagsIn } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, type Heard, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { WHITE } from '../support/media/participants.ts';
import {
  beginningsOf,
  CANVAS,
  type Course,
  expectationAt,
  isOn,
  isSending,
  type MediaKind,
  type Role,
  SOURCE,
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

export type RoleVerdict = {
  name: string;
  flashes: Tally;
  beeps: Tally;
  measured: Measured;
  /** The longest time that the picture stood still although it was sent and got through, seconds. */
  frozenS: number;
  /** Frames that show neither the participant nor its flash while its picture is on: grey, green, black, smeared. */
  wrongFrames: number;
};

export type Verdict = {
  roles: RoleVerdict[];
  measured: Measured;
  /** 0 to 100 by the rubric (score.ts). */
  score: number;
  flashes: Tally;
  beeps: Tally;
  frozenS: number;
  wrongFrames: number;
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

/** Judges the MP4 of a course. Throws an Error when it cannot be read, or nobody is seen in it. */
export function verify(mp4: string, course: Course): Verdict {
  const stretches = stretchesOf(course);
  const sizes = [...new Set(stretches.map((s) => s.present.length))].filter((n) => n > 0);
  const views = sizes.flatMap((n) => bestFitRegions(n).map((rect, i) => ({ key: `${n}/${i}`, rect, source: SOURCE })));
  const watched = watch(mp4, views);
  const readingsOf = new Map(views.map(({ key }, i) => [key, watched.views[i] as Reading[]]));
  const heard = listen(mp4);
  const endS = probeFile(mp4).video?.endS ?? 0;

  const lags = course.plan.roles.map((role, i) => {
    const first = stretches[0]?.toS ?? 0;
    const early = (readingsOf.get(`${course.plan.roles.length}/${i}`) ?? []).filter((r) => r.atS < first - CHANGE_S);
    return lagOf(role, early, course.zeroWallS);
  });
  const seen = lags.filter((lag) => lag !== undefined);
  if (seen.length === 0) throw new Error(`${mp4}: nobody is seen in it`);
  const roles = course.plan.roles.map((role, i) => {
    const lagS = lags[i] ?? median(seen);
    const readings = stretches.flatMap(({ fromS, toS, present }) => {
      const all = readingsOf.get(`${present.length}/${present.indexOf(role)}`) ?? [];
      return all.filter((r) => r.atS - lagS >= fromS && r.atS - lagS < toS);
    });
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
    wrongFrames: roles.reduce((total, r) => total + r.wrongFrames, 0),
    apartMs: (Math.max(...seen) - Math.min(...seen)) * 1000,
    damaged: watched.damaged + heard.damaged,
  };
}

/** The file's time less the course's, by the stamps in a participant's pictures, seconds. */
function lagOf(role: Role, readings: readonly Reading[], zeroWallS: number): number | undefined {
  const shown = readings.filter((r) => isColour(r, role.participant.colour));
  const lags = lagsIn(shown, zeroWallS * 1e6).map((l) => l.lagS);
  return lags.length > 0 ? median(lags) : undefined;
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
  const both = seconds.filter((s) => expected('video', s) === 'required' && expected('audio', s) === 'required');
  return {
    name,
    flashes: tally('video'),
    beeps: tally('audio'),
    measured: {
      offsetsMs: both.map((second) => offsetAt(found, second)).filter((ms) => !Number.isNaN(ms)),
      audioIntervalsMs: intervals(found.audio),
      videoIntervalsMs: intervals(found.video),
      stableS: Math.max(...beginningsOf(course, role).map(stableAfter)),
    },
    ...pictureFaults(course, role, readings, lagS),
  };
}

function pictureFaults(course: Course, role: Role, readings: readonly Reading[], lagS: number) {
  const { colour } = role.participant;
  const settled = (atS: number, holds: (atS: number) => boolean) =>
    [atS - CHANGE_S, atS, atS + CHANGE_S / 2].every((t) => holds(t)) &&
    !course.steps.some((step) => step.uid === role.uid && atS > step.fromS - CHANGE_S && atS < step.toS + CHANGE_S) &&
    !stretchesOf(course).some((s) => Math.abs(atS - s.fromS) < CHANGE_S || Math.abs(atS - s.toS) < CHANGE_S);
  const isOnAt = (atS: number) => isOn(course, role, 'video', Math.max(0, atS));
  const on = readings.filter((r) => settled(r.atS - lagS, isOnAt));
  const wrong = on.filter((r) => !isColour(r, colour) && !isColour(r, WHITE));
  // Only what the network let through counts: in a blackout the picture has to stand still.
  const frozen = frozenIn(readings).map((span) => {
    const frames = on.filter((r) => r.atS >= span.fromS && r.atS < span.toS);
    return frames.filter((r) => isSending(course, role, 'video', r.atS - lagS)).length / CANVAS.fps;
  });
  return { wrongFrames: wrong.length, frozenS: Math.max(0, ...frozen) };
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
