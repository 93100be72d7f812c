/**
 * The quality report of a recording that several nodes had, completed with what only one of them knew. Whoever takes a
 * recording over goes on from the report that was kept last; what the former node noted after that, until its
 * publishers had moved or until it was lost, comes with what it brings back.
 */
import type { QualityReport } from '../../contract/line/quality-report.ts';
import { MOST_SPANS } from './kept.ts';

type Participant = QualityReport['participants'][number];
type Stay = Participant['presence'][number];

/**
 * @param report of the whole recording, which went on from `left`
 * @param brought the last report of a node that had the recording before
 * @param left the report of that node that was kept last; undefined where none was
 */
export function withBrought(
  report: QualityReport,
  brought: QualityReport,
  left: QualityReport | undefined,
): QualityReport {
  if (left && brought.measuredMs <= left.measuredMs) return report;
  const { participants, moreParticipants } = participantsOf(report, brought);
  const begins = [report.filesFromMs, brought.filesFromMs].filter((ms) => ms !== null);
  const overload = overloadOf(report, brought, left);
  return {
    ...report,
    filesFromMs: begins.length > 0 ? Math.min(...begins) : null,
    runs: runsOf(report, brought),
    participants,
    moreParticipants,
    ...(overload && { overload }),
    ...degradedOf(report, brought),
    machine: machineOf(report, brought, left),
  };
}

function participantsOf(
  report: QualityReport,
  brought: QualityReport,
): Pick<QualityReport, 'participants' | 'moreParticipants'> {
  const theirs = new Map(brought.participants.map((participant) => [participant.uid, participant]));
  const known = report.participants.map((own) => {
    const other = theirs.get(own.uid);
    theirs.delete(own.uid);
    return other ? joined(own, other, brought.measuredMs) : own;
  });
  const others = [...theirs.values()].map((other) => joined({ ...other, ...NOTHING }, other, brought.measuredMs));
  const moreParticipants = Math.max(report.moreParticipants, brought.moreParticipants);
  return { participants: [...known, ...others], moreParticipants };
}

/** Stands for what the report has of a participant of whom only the other node knew. */
const NOTHING = { presence: [], codecs: [], tracks: [] };

function joined(own: Participant, other: Participant, lastMs: number): Participant {
  const tracks = united(own.tracks, other.tracks, ({ kind, track, startedMs }) => `${kind} ${track} ${startedMs}`)
    .map((track) => (track.endedMs === null && other.tracks.includes(track) ? { ...track, endedMs: lastMs } : track))
    .sort((a, b) => a.startedMs - b.startedMs);
  const codecs = united(own.codecs, other.codecs, ({ atMs, kind, codec }) => `${atMs} ${kind} ${codec}`);
  const presence = staysOf(own, other, lastMs);
  return {
    ...own,
    presence: presence.slice(0, MOST_SPANS),
    morePresence: own.morePresence + Math.max(0, presence.length - MOST_SPANS),
    codecs: codecs.sort((a, b) => a.atMs - b.atMs).slice(0, MOST_SPANS),
    sync: own.sync ?? other.sync,
    tracks: tracks.slice(0, MOST_SPANS),
    moreTracks: own.moreTracks + Math.max(0, tracks.length - MOST_SPANS),
  };
}

/** Who is at two nodes at once, or moves from one to the other, is there once. */
function staysOf(own: Participant, other: Participant, lastMs: number): Stay[] {
  const theirs = other.presence.map((stay) =>
    stay.leftMs === null
      ? { ...stay, leftMs: lastMs, leftUtcMs: stay.joinedUtcMs + Math.round(lastMs - stay.joinedMs) }
      : stay,
  );
  const stays: Stay[] = [];
  for (const stay of [...own.presence, ...theirs].sort((a, b) => a.joinedMs - b.joinedMs)) {
    const before = stays.at(-1);
    if (!before || stay.joinedMs > leftOf(before)) stays.push(stay);
    else if (leftOf(stay) > leftOf(before))
      stays[stays.length - 1] = { ...before, leftMs: stay.leftMs, leftUtcMs: stay.leftUtcMs };
  }
  return stays;
}

function leftOf({ leftMs }: Stay): number {
  return leftMs ?? Number.POSITIVE_INFINITY;
}

/** Runs that ended in order were not lost. */
function runsOf(report: QualityReport, brought: QualityReport): NonNullable<QualityReport['runs']> {
  const theirs = (brought.runs ?? []).map((run, n, all) =>
    n === all.length - 1 && brought.state !== 'final' ? { ...run, lastKnownMs: brought.measuredMs } : run,
  );
  return united(report.runs ?? [], theirs, ({ generation }) => `${generation}`).sort(
    (a, b) => a.generation - b.generation,
  );
}

function overloadOf(
  { overload: own }: QualityReport,
  { overload: other }: QualityReport,
  left: QualityReport | undefined,
): QualityReport['overload'] {
  if (!other) return own;
  const before = left?.overload ?? { degradedMs: 0, leftOutFrames: 0, moreSteps: 0 };
  const { rung = 'full', steps = [], moreSteps = 0, degradedMs = 0, leftOutFrames = 0 } = own ?? {};
  const all = united(steps, other.steps, (step) => `${step.atMs} ${step.rung}`).sort((a, b) => a.atMs - b.atMs);
  return {
    rung,
    steps: all.slice(0, 2 * MOST_SPANS),
    moreSteps: moreSteps + Math.max(0, other.moreSteps - before.moreSteps) + Math.max(0, all.length - 2 * MOST_SPANS),
    degradedMs: degradedMs + Math.max(0, other.degradedMs - before.degradedMs),
    leftOutFrames: leftOutFrames + Math.max(0, other.leftOutFrames - before.leftOutFrames),
  };
}

function degradedOf(report: QualityReport, brought: QualityReport): Pick<QualityReport, 'degraded' | 'moreDegraded'> {
  const all = united(report.degraded, brought.degraded, ({ atMs, what }) => `${atMs} ${what}`);
  const degraded = all.sort((a, b) => a.atMs - b.atMs);
  const beyond = Math.max(0, degraded.length - 2 * MOST_SPANS);
  return { degraded: degraded.slice(0, 2 * MOST_SPANS), moreDegraded: report.moreDegraded + beyond };
}

function machineOf(
  { machine: own }: QualityReport,
  { machine: other }: QualityReport,
  left: QualityReport | undefined,
): QualityReport['machine'] {
  if (!own || !other) return own ?? other;
  return {
    cpuMs: own.cpuMs + Math.max(0, other.cpuMs - (left?.machine?.cpuMs ?? 0)),
    peakRssBytes: Math.max(own.peakRssBytes, other.peakRssBytes),
    worstLagMs: Math.max(own.worstLagMs, other.worstLagMs),
  };
}

/** What is in either; of what is in both, as the node that brought it knows it. */
function united<T>(own: readonly T[], other: readonly T[], keyOf: (item: T) => string): T[] {
  const all = new Map(own.map((item) => [keyOf(item), item]));
  for (const item of other) all.set(keyOf(item), item);
  return [...all.values()];
}
