/** `aircheck inspect`: what is in a file, a playlist or an MPD, and whether it is whole. */
import { existsSync } from 'node:fs';
import { type Inspected, type InspectedStream, inspectMedia } from '../../../stages/mux/inspect/inspect-media.ts';
import { type InspectedList, inspectPlaylist } from '../../../stages/mux/inspect/inspect-playlist.ts';
import { print, printJson } from '../print.ts';
import { refuse } from './record-request.ts';
import { placeOf, shown, sizeOf } from './words.ts';

/** Exit code of a file that is not whole. */
const NOT_WHOLE = 2;
const MOST_SHOWN = 20;

export async function inspect(path: string, { json }: { json?: boolean }): Promise<void> {
  const isAddress = /^[a-z][a-z0-9+.-]*:\/\//i.test(path);
  if (!isAddress && !existsSync(path)) throw refuse(`there is no file ${path}`);
  const isList = !isAddress && /\.(m3u8|mpd)$/i.test(path);
  const found = isList ? await inspectPlaylist(path) : await inspectMedia(path);
  if (json) printJson(found);
  else print('slices' in found ? listText(found) : fileText(found));
  if (found.problems.length > 0) process.exitCode = NOT_WHOLE;
}

function fileText({ name, format, bytes, durationS, streams, index, offsetMs, problems }: Inspected): string {
  return [
    `${shown(name)}  ${format}  ${placeOf(durationS * 1000)}${bytes === null ? '' : `  ${sizeOf(bytes)}`}`,
    ...streams.map((stream) => `  ${streamText(stream)}`),
    ...streams.flatMap(({ kind, gaps }) => gapLines(kind, gaps)),
    ...(offsetMs === null ? [] : [`  the picture begins ${offsetWords(offsetMs)} the sound`]),
    ...(index === undefined ? [] : [`  index: ${INDEX_WORDS[index]}`]),
    ...verdict(problems),
  ].join('\n');
}

function listText({ name, format, ended, durationS, slices, problems }: InspectedList): string {
  const bytes = slices.reduce((sum, { file }) => sum + (file?.bytes ?? 0), 0);
  const first = slices.find(({ file }) => file)?.file;
  const breaks = slices.filter(({ discontinuity }) => discontinuity).length;
  return [
    `${shown(name)}  ${format}  ${placeOf(durationS * 1000)}  ${sizeOf(bytes)}`,
    `  ${slices.length} slices, ${breaks} discontinuities, ${ended ? 'over' : 'goes on'}`,
    ...(first?.streams ?? []).map((stream) => `  ${streamText(stream)}`),
    ...slices.flatMap(({ name: slice, file }) =>
      (file?.streams ?? []).flatMap(({ kind, gaps }) => gapLines(`${shown(slice)}: ${kind}`, gaps)),
    ),
    ...verdict(problems),
  ].join('\n');
}

function streamText({ kind, codec, startS, endS, packets, kbps, video, audio }: InspectedStream): string {
  const span = startS === null || endS === null ? 'empty' : `${startS.toFixed(3)} to ${endS.toFixed(3)} s`;
  const rate = kbps === null ? '' : `, ${Math.round(kbps)} kbit/s`;
  if (video) {
    const { width, height, fps, colors, keyFrames, longestKeyFrameS } = video;
    const apart = longestKeyFrameS === null ? '' : `, at most ${longestKeyFrameS.toFixed(2)} s apart`;
    const every = fps === null ? '' : ` at ${fps.toFixed(2)} fps`;
    return `${kind}  ${codec} ${width}x${height}${every}, ${colors}; ${span}; ${packets} frames${rate}; ${keyFrames} key frames${apart}`;
  }
  return `${kind}  ${codec} ${audio?.sampleRate} Hz, ${audio?.channels} channels; ${span}; ${packets} packets${rate}`;
}

function gapLines(what: string, gaps: InspectedStream['gaps']): string[] {
  return gaps.map(
    ({ fromS, durationS }) => `  ${what}: nothing for ${durationS.toFixed(3)} s from ${fromS.toFixed(3)} s on`,
  );
}

function offsetWords(ms: number): string {
  return Math.abs(ms) < 0.5 ? 'with' : `${Math.abs(ms).toFixed(0)} ms ${ms > 0 ? 'after' : 'before'}`;
}

const INDEX_WORDS = {
  front: 'in front: it plays while it is fetched',
  behind: 'behind the media: a player fetches the end first',
  fragments: 'in fragments',
  missing: 'missing',
} as const;

function verdict(problems: readonly string[]): string[] {
  if (problems.length === 0) return ['whole: every packet was read'];
  const more = problems.length > MOST_SHOWN ? [`  and ${problems.length - MOST_SHOWN} more; --json has all`] : [];
  return ['NOT WHOLE:', ...problems.slice(0, MOST_SHOWN).map((problem) => `  ${shown(problem, 300)}`), ...more];
}
