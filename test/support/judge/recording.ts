/**
 * Judges one recording of made media as a whole: is every participant at its place, moving, with a flash and a beep
 * each second, in step with the sound and with the others, in a file of the size, rate and length asked for.
 */
import type { Participant } from '../media/participants.ts';
import { avOffsets, median, missingSeconds, type Offsets } from './offsets.ts';
import { flashesIn, frozenIn, isColour, lagsIn, presenceIn, type Span } from './picture.ts';
import { type Probe, probeFile } from './probe.ts';
import { bestFitRegions, type Rect } from './regions.ts';
import { beepsIn, dropoutsIn, type Heard, listen } from './sound.ts';
import { type Reading, watch } from './watch.ts';

export type Expected = {
  /** In join order. */
  participants: readonly Participant[];
  /** Size of the pictures they send, for reading stamps. */
  source?: { width: number; height: number };
  /** Where they stand; best fit when left out. */
  regions?: readonly Rect[];
  width: number;
  height: number;
  fps: number;
  /** Length with its tolerance, seconds. */
  seconds?: { from: number; to: number };
  /**
   * All participants must be there from this time on (default 0.5 s) and until this long before the end (default 0.1
   * s).
   */
  presentFromS?: number;
  presentToEndS?: number;
  /** The bound on each offset, milliseconds. */
  worstMs?: number;
  medianMs?: number;
  /**
   * With `source`: how far apart the content of two participants in one frame may be, milliseconds (default 70: two
   * frames).
   */
  togetherMs?: number;
};

type ParticipantVerdict = {
  name: string;
  presence: Span[];
  flashes: number[];
  beeps: number[];
  offsets: Offsets;
  frozen: Span[];
  dropouts: Span[];
};

export type Verdict = {
  probe: Probe;
  participants: ParticipantVerdict[];
  /** Over all participants. */
  medianMs: number;
  worstMs: number;
  /** How far apart two participants' content ever was in one frame, milliseconds; NaN when stamps were not read. */
  betweenParticipantsMs: number;
  /** Time of the first frame in which every participant is seen, seconds; NaN when there is none. */
  allSeenAtS: number;
  damaged: number;
  problems: string[];
};

/** Judges an MP4, a slice or a playlist. Throws an Error when the file cannot be read at all. */
export function judgeRecording(path: string, expected: Expected): Verdict {
  const probe = probeFile(path);
  const regions = expected.regions ?? bestFitRegions(expected.participants.length);
  const watched = watch(
    path,
    regions.map((rect) => ({ rect, ...(expected.source ? { source: expected.source } : {}) })),
  );
  const heard = listen(path);
  const problems = judgeContainer(probe, heard, expected);
  if (watched.damaged + heard.damaged > 0)
    problems.push(`${watched.damaged} pictures and ${heard.damaged} blocks of sound are damaged`);
  const participants = expected.participants.map((participant, i) =>
    judgeParticipant(participant, watched.views[i] as Reading[], heard, expected, problems),
  );
  const all = participants.flatMap((p) => p.offsets.eachMs);
  const medianMs = median(all);
  const worstMs = all.reduce((worst, ms) => (Math.abs(ms) > Math.abs(worst) ? ms : worst), 0);
  if (!(Math.abs(medianMs) <= (expected.medianMs ?? 40)))
    problems.push(`sound is ${medianMs.toFixed(1)} ms off the picture in the median`);
  const farthest = apart(watched.views);
  const betweenParticipantsMs = farthest.ms;
  if (betweenParticipantsMs > (expected.togetherMs ?? 70))
    problems.push(`participants are up to ${betweenParticipantsMs.toFixed(0)} ms apart (${farthest.where})`);
  return {
    probe,
    participants,
    medianMs,
    worstMs,
    betweenParticipantsMs,
    allSeenAtS: allSeenAt(watched.views, expected.participants),
    damaged: watched.damaged + heard.damaged,
    problems,
  };
}

function judgeContainer(probe: Probe, heard: Heard, expected: Expected): string[] {
  const problems: string[] = [];
  const { video, audio } = probe;
  if (!video) return ['there is no picture'];
  if (!audio) return ['there is no sound'];
  if (video.codec !== 'h264') problems.push(`the picture is ${video.codec} instead of h264`);
  if (audio.codec !== 'aac') problems.push(`the sound is ${audio.codec} instead of aac`);
  if (video.width !== expected.width || video.height !== expected.height)
    problems.push(`the picture is ${video.width}×${video.height} instead of ${expected.width}×${expected.height}`);
  if (Math.abs(video.averageRate - expected.fps) > 0.05 * expected.fps || video.frameRate !== expected.fps)
    problems.push(
      `the rate is ${video.frameRate} (${video.averageRate.toFixed(2)} on average) instead of ${expected.fps} fps`,
    );
  const frameS = 1 / expected.fps;
  if (video.maxStepS > frameS * 1.5 || video.minStepS < frameS * 0.5)
    problems.push(
      `frames are ${ms(video.minStepS)} to ${ms(video.maxStepS)} apart (at ${video.maxStepAtS.toFixed(2)} s)`,
    );
  if (!video.ordered || !audio.ordered) problems.push('decode times go back');
  if (Math.abs(video.startS) > 0.05) problems.push(`the picture begins at ${ms(video.startS)}`);
  if (Math.abs(video.startS - audio.startS) > 0.1)
    problems.push(`picture begins at ${ms(video.startS)}, sound at ${ms(audio.startS)}`);
  if (Math.abs(video.endS - audio.endS) > 0.15)
    problems.push(`picture ends at ${video.endS.toFixed(3)} s, sound at ${audio.endS.toFixed(3)} s`);
  for (const gap of heard.gaps.slice(0, 3))
    problems.push(`sound jumps by ${ms(gap.lengthS)} at ${gap.atS.toFixed(3)} s`);
  const lengthS = video.endS - video.startS;
  if (expected.seconds && (lengthS < expected.seconds.from || lengthS > expected.seconds.to))
    problems.push(`it lasts ${lengthS.toFixed(3)} s instead of ${expected.seconds.from} to ${expected.seconds.to} s`);
  // A playlist declares rounded sums; an MP4 must know its length.
  if (probe.moovFirst !== undefined && Math.abs(probe.durationS - lengthS) > 0.1)
    problems.push(`it declares ${probe.durationS.toFixed(3)} s and holds ${lengthS.toFixed(3)} s`);
  if (probe.moovFirst === false) problems.push('the MP4 keeps its index behind the media');
  return problems;
}

function judgeParticipant(
  participant: Participant,
  readings: readonly Reading[],
  heard: Heard,
  expected: Expected,
  problems: string[],
): ParticipantVerdict {
  const { name, colour, toneHz } = participant;
  const fromS = expected.presentFromS ?? 0.5;
  const toS = (readings.at(-1)?.atS ?? 0) - (expected.presentToEndS ?? 0.1);
  const inside = (s: number) => s >= fromS && s <= toS;
  const presence = presenceIn(readings, colour);
  if (!presence.some((span) => span.fromS <= fromS && span.toS >= toS))
    problems.push(`${name} is not at its place throughout: ${spans(presence) || 'never'}`);
  const flashes = flashesIn(readings).map((f) => f.atS);
  const beeps = beepsIn(heard, { toneHz }).map((b) => b.atS);
  const shouldHave = Math.floor(toS - fromS - 0.2);
  for (const [what, marks] of [
    ['flashes', flashes],
    ['beeps', beeps],
  ] as const) {
    const missing = missingSeconds(marks.filter(inside));
    const count = marks.filter(inside).length;
    if (missing.length > 0 || count < shouldHave)
      problems.push(
        `${name} ${what} ${count} times in ${(toS - fromS).toFixed(1)} s; missing at ${list(missing) || 'an end'}`,
      );
  }
  // Marks at the very ends may be cut in half.
  const offsets = avOffsets(
    flashes.filter(inside),
    beeps.filter((b) => b >= fromS - 0.5 && b <= toS + 0.5),
  );
  const worst = expected.worstMs ?? 80;
  if (Math.abs(offsets.worstMs) > worst)
    problems.push(`${name}: a beep is ${offsets.worstMs.toFixed(1)} ms off its flash`);
  const lost = offsets.missing.filter((s) => s <= toS - 0.3);
  if (lost.length > 0) problems.push(`${name} flashes without a beep at ${list(lost)}`);
  const within = readings.filter((r) => inside(r.atS));
  const frozen = frozenIn(within);
  if (frozen.length > 0) problems.push(`${name} is frozen: ${spans(frozen)}`);
  const dropouts = dropoutsIn(heard, toneHz).filter((d) => d.toS > fromS && d.fromS < toS);
  if (dropouts.length > 0) problems.push(`${name} cannot be heard: ${spans(dropouts)}`);
  return { name, presence, flashes, beeps, offsets, frozen, dropouts };
}

/**
 * The largest difference of content time between participants in one frame, ms, and which frame that is; NaN without
 * stamps.
 */
function apart(views: readonly Reading[][]): { ms: number; where: string } {
  const lags = views.map((readings) => new Map(lagsIn(readings).map((l) => [l.atS, l.lagS])));
  let farthest = { ms: Number.NaN, where: 'no stamps were read' };
  for (const [atS, lag] of lags[0] ?? []) {
    for (const [i, other] of lags.slice(1).entries()) {
      const lagS = other.get(atS);
      if (lagS === undefined) continue;
      const difference = Math.abs(lagS - lag) * 1000;
      if (difference <= farthest.ms) continue;
      const stamps = [0, i + 1].map((view) => views[view]!.find((reading) => reading.atS === atS)?.stamp);
      farthest = { ms: difference, where: `participant ${i + 2} at ${atS.toFixed(3)} s: stamps ${stamps.join(', ')}` };
    }
  }
  return farthest;
}

function allSeenAt(views: readonly Reading[][], participants: readonly Participant[]): number {
  const frames = views[0] ?? [];
  const first = frames.findIndex((_, n) =>
    participants.every((p, i) => isColour((views[i] as Reading[])[n] as Reading, p.colour)),
  );
  return frames[first]?.atS ?? Number.NaN;
}

function ms(s: number): string {
  return `${(s * 1000).toFixed(1)} ms`;
}
function list(times: readonly number[]): string {
  return times.map((t) => `${t.toFixed(2)} s`).join(', ');
}
function spans(all: readonly Span[]): string {
  return all.map((s) => `${s.fromS.toFixed(2)}–${s.toS.toFixed(2)} s`).join(', ');
}
