/**
 * The quality report over several runs of one recording: each run keeps its own in its folder as it grows, and the next
 * run's continues the newest one.
 */
import { z } from 'zod';
import { type QualityReport, qualityReportSchema } from '../../contract/line/quality-report.ts';
import { readNotes, writeNotes } from '../checkpoint/checkpoint-file.ts';
import { MOST_SPANS } from './kept.ts';
import { joinOverloads } from './overload-watch.ts';
import { joinPages } from './page-report.ts';
import { MOST_PUSHES } from './quality-collector.ts';

const NAME = 'quality.json';

/** Keeps what is known so far in the run's folder. Throws a Fault when it cannot be written. */
export function keepReport(dir: string, report: QualityReport): Promise<void> {
  return writeNotes(dir, NAME, report);
}

/** The last report of the runs in `dirs`, oldest first; undefined when none kept one. */
export async function readEarlierReport(dirs: readonly string[]): Promise<QualityReport | undefined> {
  return (await readNotes(dirs, NAME, z.looseObject(qualityReportSchema.shape))).notes as QualityReport | undefined;
}

/** `report`, of the newest run, completed with what the runs before it knew. */
export function goOnFrom(earlier: QualityReport, report: QualityReport): QualityReport {
  const lostMs = earlier.measuredMs;
  const now = new Map(report.participants.map((participant) => [participant.uid, participant]));
  const participants = earlier.participants.map((before) => {
    const after = now.get(before.uid);
    now.delete(before.uid);
    return after ? joinParticipant(before, after, lostMs) : joinParticipant(before, { ...before, ...NOTHING }, lostMs);
  });
  const { machine } = report;
  const takeovers = [...(earlier.takeovers ?? []), ...(report.takeovers ?? [])];
  const overload = joinOverloads(earlier.overload, report.overload);
  const pushes = [
    ...(earlier.pushes ?? []).map((push) => ({ ...push, endedMs: push.endedMs ?? lostMs })),
    ...(report.pushes ?? []),
  ].slice(0, MOST_PUSHES);
  return {
    ...report,
    filesFromMs: earlier.filesFromMs ?? report.filesFromMs,
    participants: [...participants, ...now.values()],
    ...(takeovers.length > 0 && { takeovers }),
    ...holdsOf(earlier, report),
    moreParticipants: Math.max(earlier.moreParticipants, report.moreParticipants),
    ...(pushes.length > 0 && { pushes }),
    ...(report.page && earlier.page && { page: joinPages(earlier.page, report.page) }),
    ...(overload && { overload }),
    ...limited('degraded', 'moreDegraded', [...earlier.degraded, ...report.degraded], {
      most: 2 * MOST_SPANS,
      more: earlier.moreDegraded + report.moreDegraded,
    }),
    runs: [...(earlier.runs ?? []), ...(report.runs ?? [])].map((run, n, all) =>
      n === all.length - 1 ? run : { ...run, lastKnownMs: run.lastKnownMs ?? lostMs },
    ),
    machine: machine && {
      cpuMs: machine.cpuMs + (earlier.machine?.cpuMs ?? 0),
      peakRssBytes: Math.max(machine.peakRssBytes, earlier.machine?.peakRssBytes ?? 0),
      worstLagMs: Math.max(machine.worstLagMs, earlier.machine?.worstLagMs ?? 0),
    },
  };
}

/** A hold whose end the earlier run did not see is the same as the one that the newest run knows. */
function holdsOf(earlier: QualityReport, report: QualityReport): Pick<QualityReport, 'holds' | 'moreHolds' | 'heldMs'> {
  const holds = [...(earlier.holds ?? [])];
  for (const hold of report.holds ?? []) {
    const last = holds.at(-1);
    const untilMs = hold.durationMs === null ? Number.POSITIVE_INFINITY : hold.fromMs + hold.durationMs;
    const isOpen = last !== undefined && last.durationMs === null;
    // The next run is told of the latest holds again.
    if (last && untilMs <= last.fromMs + (last.durationMs ?? 0)) continue;
    if (!isOpen) holds.push(hold);
    else if (Number.isFinite(untilMs)) holds[holds.length - 1] = { ...last, durationMs: untilMs - last.fromMs };
  }
  const nowMs = report.endedMs ?? report.measuredMs;
  const heldMs = holds.reduce((sum, { fromMs, durationMs }) => sum + (durationMs ?? Math.max(0, nowMs - fromMs)), 0);
  return {
    ...limited('holds', 'moreHolds', holds, {
      most: 2 * MOST_SPANS,
      more: (earlier.moreHolds ?? 0) + (report.moreHolds ?? 0),
    }),
    heldMs,
  };
}

type Participant = QualityReport['participants'][number];

/** Stands for a participant of whom the newest run knows nothing. */
const NOTHING = { presence: [], morePresence: 0, codecs: [], sync: null, tracks: [], moreTracks: 0 };

/** A stay that goes on is one stay; one whose end nobody saw ended at the last moment that is known of it. */
function joinParticipant(before: Participant, after: Participant, lostMs: number): Participant {
  const known = new Set(after.presence.map(({ joinedMs }) => joinedMs));
  const stays = before.presence
    .filter(({ joinedMs }) => !known.has(joinedMs))
    .map((stay) =>
      stay.leftMs === null
        ? { ...stay, leftMs: lostMs, leftUtcMs: stay.joinedUtcMs + Math.round(lostMs - stay.joinedMs) }
        : stay,
    );
  const tracks = before.tracks.map((track) => (track.endedMs === null ? { ...track, endedMs: lostMs } : track));
  return {
    uid: before.uid,
    ...limited('presence', 'morePresence', [...stays, ...after.presence], {
      most: MOST_SPANS,
      more: before.morePresence + after.morePresence,
    }),
    codecs: [...before.codecs, ...after.codecs].slice(0, MOST_SPANS),
    sync: after.sync ?? before.sync,
    ...limited('tracks', 'moreTracks', [...tracks, ...after.tracks], {
      most: MOST_SPANS,
      more: before.moreTracks + after.moreTracks,
    }),
  };
}

/** The first `most` of a list, and how many more there were, under the names that the report has for them. */
function limited<K extends string, M extends string, T>(
  name: K,
  moreName: M,
  items: T[],
  { most, more }: { most: number; more: number },
): Record<K, T[]> & Record<M, number> {
  const kept = { [name]: items.slice(0, most), [moreName]: more + Math.max(0, items.length - most) };
  return kept as Record<K, T[]> & Record<M, number>;
}
