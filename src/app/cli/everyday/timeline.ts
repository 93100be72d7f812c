/**
 * The timeline of a recording as text, from its quality report: a row for each track, with what came, what did not and
 * why; and what happened, in order. Pure.
 */
import type { FreezeReason, GapReason, QualityReport, TrackReportData } from '../../../contract/line/quality-report.ts';
import { placeOf, shown } from './words.ts';

/** What a place of a row shows; of several that fall into one place the last of these counts. */
export const SIGNS = {
  absent: ' ',
  came: '█',
  held: '‖',
  muted: '·',
  late: '~',
  frozen: '▒',
  lost: 'x',
} as const;
type Sign = keyof typeof SIGNS;
const RANK = Object.keys(SIGNS) as Sign[];

const OF_GAP: Record<GapReason, Sign> = {
  ...{ notSent: 'muted', networkLoss: 'lost', delayed: 'late', restarted: 'late' },
  ...{ left: 'absent', ended: 'absent', open: 'muted' },
};
const OF_FREEZE: Record<FreezeReason, Sign> = { loss: 'frozen', damage: 'frozen', nothingSent: 'muted' };
const GAP_WORDS: Record<GapReason, string> = {
  ...{ notSent: 'sent nothing', networkLoss: 'was lost on the network', delayed: 'came late', restarted: 'began anew' },
  ...{ left: 'had ended: the user left', ended: 'had ended', open: 'does not come' },
};
const FREEZE_WORDS: Record<FreezeReason, string> = {
  ...{ loss: 'packets were lost', damage: 'it was damaged', nothingSent: 'nothing was sent' },
};

type Timeline = { rows: { title: string; places: string }[]; incidents: { atMs: number; text: string }[] };

/** @param width places of a row */
export function timelineOf(report: QualityReport, width: number): Timeline {
  const fromMs = Math.min(0, report.filesFromMs ?? 0);
  const endMs = Math.max(fromMs + 1, report.endedMs ?? report.measuredMs);
  const place = (ms: number) =>
    Math.min(width - 1, Math.max(0, Math.floor(((ms - fromMs) / (endMs - fromMs)) * width)));
  const holds = (report.holds ?? []).map((hold) => ({ ...hold, durationMs: hold.durationMs ?? endMs - hold.fromMs }));
  const rowOf = (track: TrackReportData) => {
    const cells: Sign[] = new Array(width).fill('absent');
    const paint = (startMs: number, durationMs: number, sign: Sign, over: boolean) => {
      const last = place(Math.max(startMs, startMs + durationMs - 1));
      for (let n = place(startMs); n <= last; n++)
        if (over || RANK.indexOf(sign) > RANK.indexOf(cells[n] ?? 'absent')) cells[n] = sign;
    };
    paint(track.startedMs, (track.endedMs ?? endMs) - track.startedMs, 'came', true);
    // A gap that fills a place is shown as such; a short one still shows in its place.
    for (const { fromMs: at, durationMs, why } of track.gaps) paint(at, durationMs, OF_GAP[why], true);
    for (const { fromMs: at, durationMs, why } of track.video?.frozen ?? [])
      paint(at, durationMs, OF_FREEZE[why], false);
    for (const { fromMs: at, durationMs } of holds) paint(at, durationMs, 'held', true);
    return cells.map((sign) => SIGNS[sign]).join('');
  };
  const rows = report.participants.flatMap(({ uid, tracks }) =>
    tracks.map((track) => ({ title: `${uid} ${track.kind} ${track.codec}`, places: rowOf(track) })),
  );
  return { rows, incidents: incidentsOf(report).sort((a, b) => a.atMs - b.atMs) };
}

function incidentsOf(report: QualityReport): Timeline['incidents'] {
  const lasted = (ms: number) => `${(ms / 1000).toFixed(1)} s`;
  const ofTrack = (uid: string, { kind, gaps, video }: TrackReportData) => [
    ...gaps.map(({ fromMs, durationMs, why }) => ({
      atMs: fromMs,
      text: `${uid}: ${kind} for ${lasted(durationMs)}: it ${GAP_WORDS[why]}`,
    })),
    ...(video?.frozen ?? []).map(({ fromMs, durationMs, why }) => ({
      atMs: fromMs,
      text: `${uid}: the picture stood still for ${lasted(durationMs)}: ${FREEZE_WORDS[why]}`,
    })),
  ];
  return [
    ...report.participants.flatMap(({ uid, presence, tracks }) => [
      ...presence.map(({ joinedMs }) => ({ atMs: joinedMs, text: `${uid} joined` })),
      ...presence.flatMap(({ leftMs }) => (leftMs === null ? [] : [{ atMs: leftMs, text: `${uid} left` }])),
      ...tracks.flatMap((track) => ofTrack(uid, track)),
    ]),
    ...(report.holds ?? []).map(({ fromMs, durationMs }) => ({
      atMs: fromMs,
      text: `on hold${durationMs === null ? '' : ` for ${lasted(durationMs)}`}`,
    })),
    ...(report.runs ?? []).slice(1).map(({ generation, startedMs }) => ({
      atMs: startedMs,
      text: `another recorder went on, run ${generation}`,
    })),
    ...(report.overload?.steps ?? []).map(({ atMs, rung, lagMs }) => ({
      atMs,
      text: `the machine was ${lasted(lagMs)} late: ${rung}`,
    })),
    ...report.degraded.map(({ atMs, what, count }) => ({
      atMs,
      text: `${shown(what)}${count > 1 ? `, ${count} times` : ''}`,
    })),
    ...(report.page?.errors ?? []).map(({ atMs, text }) => ({ atMs, text: `the page: ${shown(text)}` })),
  ];
}

const LEGEND = `${SIGNS.came} came  ${SIGNS.muted} nothing sent  ${SIGNS.lost} lost  ${SIGNS.late} late  ${SIGNS.frozen} picture stood still  ${SIGNS.held} on hold`;
const MOST_INCIDENTS = 200;

/** The timeline as lines of text, `columns` wide. */
export function timelineText(report: QualityReport, columns: number): string {
  const titles = report.participants.flatMap(({ uid, tracks }) =>
    tracks.map(({ kind, codec }) => `${uid} ${kind} ${codec}`.length),
  );
  const margin = Math.max(4, ...titles);
  const width = Math.max(20, columns - margin - 3);
  const { rows, incidents } = timelineOf(report, width);
  const end = placeOf(report.endedMs ?? report.measuredMs);
  const scale = `${placeOf(Math.min(0, report.filesFromMs ?? 0)).padEnd(width - end.length)}${end}`;
  const shownIncidents = incidents.slice(0, MOST_INCIDENTS);
  return [
    ...(rows.length > 0 ? [`${''.padEnd(margin)}  ${scale}`] : []),
    ...rows.map(({ title, places }) => `${title.padEnd(margin)} |${places}|`),
    ...(rows.length > 0 ? [`${''.padEnd(margin)}  ${LEGEND}`, ''] : []),
    ...shownIncidents.map(({ atMs, text }) => `${placeOf(atMs).padStart(11)}  ${text}`),
    ...(incidents.length > MOST_INCIDENTS ? [`  and ${incidents.length - MOST_INCIDENTS} more; --json has all`] : []),
  ].join('\n');
}
