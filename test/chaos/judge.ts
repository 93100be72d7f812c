/**
 * Judges what came of one recording of a show: its files second by second, as a player would read them, what a client
 * was answered meanwhile, and what it was told.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { noticeSchema } from '../../src/contract/webhook/notice.ts';
import { type Course, expectationAt, type MediaKind, type Role } from '../media/plan.ts';
import { lagOf, verify } from '../media/verify.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn } from '../support/judge/picture.ts';
import { judgePlaylist, type PlaylistVerdict, parsePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { hear, readAcross } from '../support/judge/user-streams.ts';
import { PICTURE } from './show.ts';
import type { Outcome } from './stage.ts';

/** A mark belongs to a second when it is this close to where that second lies. */
const REACH_S = 0.3;
const IN_STEP_MS = 80;
/** A picture that stands still for longer was lost. */
const FROZEN_S = 1;
/** A file's time begins this long after the start call at most. */
const BEGUN_WITHIN_S = 1;
/** The part of a recording that its recorder held in memory, or had not drawn yet, when it was lost for good. */
const UNWRITTEN_S = 3;

type Marks = { required: number; missing: number };
export type TakeVerdict = {
  flashes: Marks;
  beeps: Marks;
  discontinuities: number;
  worstOffsetMs: number;
  /** From each recorder's end until the recording was live again. */
  liveAfterMs: number[];
  /** What is wrong, in words; empty when all is well. */
  problems: string[];
};

/** Judges one recording. Never throws: what cannot be read is a problem. */
export function judgeTake(outcome: Outcome): TakeVerdict {
  const verdict: TakeVerdict = {
    ...{ flashes: { required: 0, missing: 0 }, beeps: { required: 0, missing: 0 }, discontinuities: 0 },
    ...{ worstOffsetMs: 0, liveAfterMs: [], problems: [...outcome.failures] },
  };
  const attempt = (what: string, judge: () => void) => {
    try {
      judge();
    } catch (error) {
      verdict.problems.push(`${what} cannot be judged: ${(error as Error).message}`);
    }
  };
  attempt('the answers', () => judgeAnswers(outcome, verdict));
  attempt('the events', () => judgeEvents(outcome, verdict));
  attempt('the files', () => (outcome.take.mode === 'mix' ? judgeMix : judgeIndividual)(outcome, verdict));
  const { cname, take, sid } = outcome;
  const harm = take.harm.map(({ does, atS }) => `${does} at ${atS.toFixed(1)} s`).join(', ');
  const who = `${cname} ${take.mode} ${sid.slice(0, 6)}${harm && ` (${harm})`}`;
  return { ...verdict, problems: verdict.problems.map((problem) => `${who}: ${problem}`) };
}

function judgeAnswers(outcome: Outcome, { problems, liveAfterMs }: TakeVerdict): void {
  const { take, badQueries, queries, stopped, takeovers } = outcome;
  const bad = take.ends ? badQueries.filter(({ atS }) => atS < lastMomentS(outcome)) : badQueries;
  const [first] = bad;
  if (first)
    problems.push(
      `${bad.length} of ${queries} queries failed, the first at ${first.atS.toFixed(1)} s: ${first.status} ${JSON.stringify(first.body)}`,
    );
  if (!take.ends) {
    const status = (stopped?.body['serverResponse'] as { uploadingStatus?: string } | undefined)?.uploadingStatus;
    // One that was told to stop without an answer may have ended when it is told again.
    const hasEnded = take.mayTimeOut && take.stopAtS !== undefined && stopped?.status === 404;
    if (!hasEnded && (stopped?.status !== 200 || status !== (take.stopAtS === undefined ? 'uploaded' : 'unknown')))
      problems.push(`stop answered ${stopped?.status}: ${JSON.stringify(stopped?.body)}`);
  }
  for (const { harm, liveAfterMs: ms, atWallS } of take.ends === 'lost' ? takeovers.slice(0, -1) : takeovers) {
    if (ms !== undefined) liveAfterMs.push(ms);
    // One that is stopped right after it need not come to life for that: its files say whether all is there.
    else if (outcome.stopCalledS - atWallS > 8)
      problems.push(`not live again after the ${harm.does} at ${harm.atS.toFixed(1)} s`);
  }
}

/**
 * Numbered without a hole from 0, each once; all of them delivered, signed and in order; 12 for each recorder that was
 * replaced.
 */
function judgeEvents(
  { take, events, delivered, unsigned, takeovers, course, killedFromStop }: Outcome,
  { problems }: TakeVerdict,
): void {
  const numbers = events.map(({ payload }) => payload.sequence);
  if (numbers.some((number, i) => number !== i)) problems.push(`events are numbered ${numbers.join(' ')}`);
  for (const event of events) {
    const parsed = noticeSchema.safeParse(event);
    if (!parsed.success) problems.push(`event ${event.payload.sequence} is malformed: ${parsed.error.message}`);
  }
  if (unsigned > 0) problems.push(`${unsigned} webhooks are not signed as they should be`);
  const arrived = [...new Map(delivered.map((notice) => [notice.noticeId, notice.payload.sequence])).values()];
  if (arrived.some((number, i) => number !== i) || arrived.length !== events.length)
    problems.push(`of events ${numbers.join(' ')} webhooks brought ${arrived.join(' ')}`);
  const count = (type: number) => events.filter(({ eventType }) => eventType === type).length;
  const lost = take.ends === 'lost' ? takeovers.length - 1 : takeovers.length;
  // A server that comes back may count its own return as well, and what is lost after a stop is not always a recorder.
  const [least, most] = [lost, lost + (course.outages?.length ?? 0) + killedFromStop];
  if (count(12) < least || count(12) > most) problems.push(`event 12 came ${count(12)} times for ${lost} takeovers`);
  const last = events.at(-1);
  const exit = take.ends === 'lost' ? 1 : 0;
  if (last?.eventType !== 11 || last.payload.details['exitStatus'] !== exit)
    problems.push(`the last event is ${last?.eventType}: ${JSON.stringify(last?.payload.details)}`);
  if (count(11) !== 1) problems.push(`event 11 came ${count(11)} times`);
  if (count(31) !== 1) problems.push(`event 31 came ${count(31)} times`);
  const fatal = events.filter(isFatal);
  if (fatal.length !== exit)
    problems.push(`errors that end a recording: ${JSON.stringify(fatal.map((f) => f.payload))}`);
}

const isFatal = ({ eventType, payload }: Notice) => eventType === 1 && payload.details['errorLevel'] === 5;

function judgeMix(outcome: Outcome, verdict: TakeVerdict): void {
  const { sid, cname, dir, course } = outcome;
  const { problems } = verdict;
  const base = `${sid}_${cname}`;
  const names = filesOf(outcome);
  judgeOnePlaylist(outcome, [`${base}.m3u8`], verdict);
  const playlist = join(dir, `${base}.m3u8`);
  judgeMarks('HLS', playlist, course, verdict);
  const mp4s = names.filter((name) => name.endsWith('.mp4')).sort();
  const expected = mp4s.map((_, i) => `${base}_${i}.mp4`);
  if (mp4s.length === 0 || mp4s.join() !== expected.join())
    problems.push(`its MP4s are ${mp4s.join(', ') || 'missing'}`);
  const lengths = mp4s.map((name) => probeFile(join(dir, name)).video?.endS ?? 0);
  const [mp4S, hlsS] = [lengths.reduce((sum, s) => sum + s, 0), probeFile(playlist).video?.endS ?? 0];
  if (Math.abs(mp4S - hlsS) > 0.5) problems.push(`MP4s hold ${mp4S.toFixed(2)} s, the playlist ${hlsS.toFixed(2)} s`);
  if (mp4s.length === 1) judgeMarks('MP4', join(dir, mp4s[0] as string), course, verdict);
  const leastS = leastEndS(outcome) - BEGUN_WITHIN_S;
  if (!(hlsS >= leastS)) problems.push(`it lasts ${hlsS.toFixed(2)} s and should last ${leastS.toFixed(2)} s`);
}

/** Marks in one file, of everyone. What is missing in one of several files of a recording is missing. */
function judgeMarks(what: string, path: string, course: Course, verdict: TakeVerdict): void {
  const { problems } = verdict;
  const judged = verify(path, course);
  for (const kind of ['flashes', 'beeps'] as const) {
    const { required, there, forbidden, missing } = judged[kind];
    verdict[kind].required += required;
    verdict[kind].missing += required - there;
    if (missing.length > 0)
      problems.push(`${what}: ${missing.length} of ${required} ${kind} are missing, at ${list(missing)}`);
    if (forbidden > 0) problems.push(`${what}: ${forbidden} ${kind} of someone who was not there`);
  }
  const worst = judged.measured.offsetsMs.reduce((most, ms) => (Math.abs(ms) > Math.abs(most) ? ms : most), 0);
  if (Math.abs(worst) > Math.abs(verdict.worstOffsetMs)) verdict.worstOffsetMs = worst;
  if (Math.abs(worst) > IN_STEP_MS) problems.push(`${what}: a beep is ${worst.toFixed(0)} ms off its flash`);
  if (judged.wrongAtS.length > 0) problems.push(`${what}: wrong pictures at ${list(judged.wrongAtS)}`);
  if (judged.frozenS > FROZEN_S) problems.push(`${what}: a picture stands still for ${judged.frozenS.toFixed(2)} s`);
  if (judged.damaged > 0) problems.push(`${what}: ${judged.damaged} pictures or blocks of sound are damaged`);
}

/** Each user's own playlists, on the recording's own time. */
function judgeIndividual(outcome: Outcome, verdict: TakeVerdict): void {
  const { sid, cname, dir, course } = outcome;
  const of = (uid: string, kind: MediaKind) => `${sid}_${cname}__uid_s_${uid}__uid_e_${kind}.m3u8`;
  const { roles } = course.plan;
  judgeOnePlaylist(
    outcome,
    roles.flatMap(({ uid }) => [of(uid, 'audio'), of(uid, 'video')]),
    verdict,
  );
  for (const role of roles) {
    const { participant, uid } = role;
    const readings = readAcross(slicesIn(dir, of(uid, 'video')), PICTURE);
    // The recording begins some time after its call; the stamps in the pictures say when.
    const lagS = lagOf(role, readings, course.zeroWallS);
    if (lagS === undefined) {
      verdict.problems.push(`${participant.name} is not seen`);
      continue;
    }
    const flashes = flashesIn(readings).map(({ atS }) => atS - lagS);
    const beeps = hear(join(dir, of(uid, 'audio')), participant).beeps.map((atS) => atS - lagS);
    // Others' coming and going is nothing to files of one's own.
    const own = {
      ...course,
      steps: course.steps.filter((step) => step.uid === uid),
      plan: { ...course.plan, roles: [role] },
    };
    const endS = leastEndS(outcome);
    tally(
      `${participant.name}'s flashes`,
      flashes,
      { course: own, role, kind: 'video', endS },
      verdict.flashes,
      verdict,
    );
    tally(`${participant.name}'s beeps`, beeps, { course: own, role, kind: 'audio', endS }, verdict.beeps, verdict);
    // A file begins with what its first key frame showed, however long ago that was.
    const beginS = (readings[0]?.atS ?? 0) - lagS;
    const { worstMs } = avOffsets(
      flashes.slice(1, -1).filter((atS) => atS > beginS + REACH_S),
      beeps,
    );
    if (Math.abs(worstMs) > Math.abs(verdict.worstOffsetMs)) verdict.worstOffsetMs = worstMs;
    if (Math.abs(worstMs) > IN_STEP_MS)
      verdict.problems.push(`${participant.name}: a beep is ${worstMs.toFixed(0)} ms off its flash`);
  }
}

type Line = { course: Course; role: Role; kind: MediaKind; endS: number };

function tally(what: string, marks: readonly number[], line: Line, sum: Marks, { problems }: TakeVerdict): void {
  const { course, role, kind, endS } = line;
  const first = Math.ceil(course.zeroWallS + 1);
  const seconds = Array.from(
    { length: Math.max(0, Math.floor(course.zeroWallS + endS) - first + 1) },
    (_, i) => first + i,
  );
  const due = seconds.map((second) => ({
    atS: second - course.zeroWallS,
    expected: expectationAt(course, role, kind, second - course.zeroWallS),
  }));
  const isThere = (atS: number) => marks.some((mark) => Math.abs(mark - atS) <= REACH_S);
  const required = due.filter(({ expected }) => expected === 'required');
  const missing = required.filter(({ atS }) => !isThere(atS)).map(({ atS }) => atS);
  const forbidden = due.filter(({ atS, expected }) => expected === 'forbidden' && isThere(atS));
  sum.required += required.length;
  sum.missing += missing.length;
  if (missing.length > 0)
    problems.push(`${what}: ${missing.length} of ${required.length} are missing, at ${list(missing)}`);
  if (forbidden.length > 0) problems.push(`${what}: ${forbidden.length} where there are to be none`);
}

/**
 * Exactly these playlists, each right by itself, that name every slice there is once, with a break per takeover at
 * most.
 */
function judgeOnePlaylist(outcome: Outcome, expected: readonly string[], verdict: TakeVerdict): void {
  const { dir, takeovers } = outcome;
  const { problems } = verdict;
  const names = filesOf(outcome);
  const playlists = names.filter((name) => name.endsWith('.m3u8'));
  if (playlists.toSorted().join() !== expected.toSorted().join())
    problems.push(`its playlists are ${playlists.join(', ') || 'missing'} instead of ${expected.join(', ')}`);
  const judged = playlists.map((name): [string, PlaylistVerdict] => [
    name,
    judgePlaylist(dir, name, { video: !name.endsWith('_audio.m3u8'), audio: !name.endsWith('_video.m3u8') }),
  ]);
  const named = judged.flatMap(([, { playlist }]) => playlist.slices.map((slice) => slice.name));
  const doubled = named.filter((name, i) => named.indexOf(name) !== i);
  const unnamed = names.filter(
    (name) => /\.(ts|webm|mp4)$/.test(name) && !/_\d\.mp4$/.test(name) && !named.includes(name),
  );
  if (doubled.length > 0) problems.push(`named twice: ${doubled.join(', ')}`);
  if (unnamed.length > 0) problems.push(`stored and named nowhere: ${unnamed.join(', ')}`);
  for (const [name, { problems: own, playlist }] of judged) {
    problems.push(...own.map((problem) => `${name}: ${problem}`));
    const breaks = playlist.slices.slice(1).filter(({ discontinuity }) => discontinuity).length;
    verdict.discontinuities = Math.max(verdict.discontinuities, breaks);
    const allowed =
      takeovers.length +
      outcome.killedFromStop +
      (outcome.course.outages?.length ?? 0) +
      comebacks(outcome.course, name);
    if (breaks > allowed) problems.push(`${name} has ${breaks} discontinuities for ${takeovers.length} takeovers`);
  }
}

/** How often one user of individual files began anew; composites have one line whoever comes. */
function comebacks({ steps }: Course, playlist: string): number {
  const uid = /_uid_s_(\d+)_/.exec(playlist)?.[1];
  return steps.filter((step) => step.uid === uid && ['rejoin', 'replace', 'restart'].includes(step.does)).length;
}

/** What was recorded reaches at least to here, seconds. */
function leastEndS(outcome: Outcome): number {
  return lastMomentS(outcome) - (outcome.take.ends === 'lost' ? UNWRITTEN_S : 0.3);
}

/** When it was stopped, or ended by itself, seconds. */
function lastMomentS({ take, stopCalledS, course, takeovers }: Outcome): number {
  if (take.ends === 'lost') return (takeovers.at(-1)?.atWallS ?? Number.NaN) - course.zeroWallS;
  if (take.ends === 'shutdown') return course.outages?.[0]?.fromS ?? Number.NaN;
  return stopCalledS - course.zeroWallS;
}

function filesOf({ dir, sid }: Outcome): string[] {
  return readdirSync(dir).filter((name) => name.startsWith(sid));
}

function slicesIn(dir: string, playlist: string): string[] {
  return parsePlaylist(readFileSync(join(dir, playlist), 'utf8')).slices.map(({ name }) => join(dir, name));
}

function list(times: readonly number[]): string {
  const shown = times.slice(0, 6).map((atS) => `${atS.toFixed(2)} s`);
  return `${shown.join(', ')}${times.length > 6 ? ` and ${times.length - 6} more` : ''}`;
}
