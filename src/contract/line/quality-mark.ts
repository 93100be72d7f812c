/**
 * What a list says of a quality report in one word, and how long its files are. Pure; docs/guide/quality-report.md
 * tells where the bounds are.
 */
import type { QualityReport } from './quality-report.ts';

/** `good`: under 1 % of what was sent was spoilt; `fair`: under 5 %, or a recorder was lost; `poor`: more. */
export const QUALITY_MARKS = ['good', 'fair', 'poor'] as const;
export type QualityMark = (typeof QUALITY_MARKS)[number];

const FAIR_FROM = 0.01;
const POOR_FROM = 0.05;
/** Gaps of a sender that paused, or went, are nobody's fault. */
const SPOILING_GAPS = new Set(['networkLoss', 'delayed', 'restarted']);
/** A picture that stands still because none was sent is as it was. */
const SPOILING_FREEZES = new Set(['loss', 'damage']);

type TrackReport = QualityReport['participants'][number]['tracks'][number];
type Span = { durationMs: number; why: string };

/** Null where there was nothing to judge. */
export function qualityMark(report: QualityReport): QualityMark | null {
  const tracks = report.participants.flatMap((participant) => participant.tracks);
  const trackedMs = tracks.map((track) => Math.max(0, (track.endedMs ?? report.measuredMs) - track.startedMs));
  const totalMs = trackedMs.reduce((sum, ms) => sum + ms, 0);
  const filesMs = lengthMs(report) ?? 0;
  if (totalMs === 0 && filesMs === 0) return null;
  const spoiltMs = tracks.reduce((sum, track, index) => sum + Math.min(spoiltOf(track), trackedMs[index] ?? 0), 0);
  // Time is taken from the whole picture there, and not from one track.
  const degraded = filesMs > 0 ? (report.overload?.degradedMs ?? 0) / filesMs : 0;
  const share = Math.max(totalMs > 0 ? spoiltMs / totalMs : 0, degraded);
  if (share >= POOR_FROM) return 'poor';
  const lost = report.state === 'partial' || (report.runs ?? []).some(({ lastKnownMs }) => lastKnownMs !== null);
  return share >= FAIR_FROM || lost ? 'fair' : 'good';
}

/** How much the files hold so far; undefined before they begin. */
export function lengthMs(report: QualityReport): number | undefined {
  const { filesFromMs, endedMs, measuredMs, heldMs = 0 } = report;
  if (filesFromMs === null) return undefined;
  return Math.max(0, Math.round((endedMs ?? measuredMs) - filesFromMs - heldMs));
}

/** A frozen picture and the gap that froze it are one thing, so the longer of both counts. */
function spoiltOf({ gaps, video, audio }: TrackReport): number {
  const gapMs = sumOf(gaps, SPOILING_GAPS);
  if (video) return Math.max(gapMs, sumOf(video.frozen, SPOILING_FREEZES));
  return audio ? Math.max(gapMs, audio.concealedMs + audio.lostMs) : gapMs;
}

function sumOf(spans: readonly Span[], whys: ReadonlySet<string>): number {
  return spans.reduce((sum, { durationMs, why }) => (whys.has(why) ? sum + durationMs : sum), 0);
}
