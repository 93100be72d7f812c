/**
 * What is in a playlist (M3U8) or a presentation (MPD) whose files lie beside it: each file by itself, whether it is
 * there, and how one follows the other. Reads those of anybody; tags that it does not know are passed over.
 */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import { type Inspected, inspectMedia } from './inspect-media.ts';

type InspectedSlice = {
  name: string;
  /** What the playlist says it lasts, seconds; null in an MPD. */
  saidS: number | null;
  discontinuity: boolean;
  /** From the end of the slice before to the beginning of this, seconds; null where that means nothing. */
  gapS: number | null;
  file: Inspected | null;
};

export type InspectedList = {
  name: string;
  format: 'hls' | 'dash';
  /** Whether it says that nothing more comes. */
  ended: boolean;
  durationS: number;
  slices: InspectedSlice[];
  problems: string[];
};

/** A gap between slices that a player shows. */
const GAP_S = 0.1;
/** What a playlist says of a slice and what is in it may differ by so much: a frame of sound is 21 ms. */
const SAID_S = 0.1;
/** Beyond this the files are none of one recording. */
const MOST_SLICES = 100_000;

/** @throws Fault `media-unreadable` for text that is no playlist */
export async function inspectPlaylist(path: string): Promise<InspectedList> {
  const text = readFileSync(path, 'utf8');
  const parsed = text.startsWith('#EXTM3U') ? parseM3u8(text) : /<MPD[\s>]/.test(text) ? parseMpd(text) : undefined;
  if (!parsed) throw new Fault('media-unreadable', `${path} is neither an M3U8 nor an MPD`, { blame: 'caller' });
  const folder = dirname(path);
  const problems = [...parsed.problems];
  const slices: InspectedSlice[] = [];
  const ends = new Map<string, number>();
  for (const { name, saidS, discontinuity, lane } of parsed.slices) {
    const at = join(folder, name);
    const isOurs = resolve(at).startsWith(resolve(folder));
    const file = isOurs && existsSync(at) ? await inspected(at, problems) : null;
    if (!isOurs || !existsSync(at)) problems.push(`${name} is not there`);
    const start = startOf(file);
    const before = ends.get(lane);
    const gapS = start === null || before === undefined || discontinuity ? null : start - before;
    if (gapS !== null && Math.abs(gapS) > GAP_S)
      problems.push(
        `${name} begins ${Math.abs(gapS).toFixed(3)} s ${gapS > 0 ? 'after' : 'before'} the end of the one before`,
      );
    if (file && saidS !== null && Math.abs(saidS - file.durationS) > SAID_S)
      problems.push(`${name} lasts ${file.durationS.toFixed(3)} s, and the playlist says ${saidS.toFixed(3)} s`);
    const end = start === null || !file ? undefined : start + file.durationS;
    if (end === undefined) ends.delete(lane);
    else ends.set(lane, end);
    slices.push({ name, saidS, discontinuity, gapS, file });
  }
  const durationS = slices.reduce((sum, { saidS, file }) => sum + (saidS ?? file?.durationS ?? 0), 0);
  return { name: path, format: parsed.format, ended: parsed.ended, durationS, slices, problems };
}

async function inspected(path: string, problems: string[]): Promise<Inspected | null> {
  try {
    const file = await inspectMedia(path);
    problems.push(...file.problems.map((problem) => `${path}: ${problem}`));
    if (file.streams.some(({ video }) => video && !video.startsWithKeyFrame))
      problems.push(`${path}: its picture does not begin with a key frame`);
    return file;
  } catch (error) {
    if (!(error instanceof Fault)) throw error;
    problems.push(error.message);
    return null;
  }
}

function startOf(file: Inspected | null): number | null {
  const starts = (file?.streams ?? []).flatMap(({ startS }) => (startS === null ? [] : [startS]));
  return starts.length === 0 ? null : Math.min(...starts);
}

type Named = { name: string; saidS: number | null; discontinuity: boolean; lane: string };
type Parsed = { format: 'hls' | 'dash'; ended: boolean; slices: Named[]; problems: string[] };

function parseM3u8(text: string): Parsed {
  const slices: Named[] = [];
  const problems: string[] = [];
  let [saidS, discontinuity, targetS, ended]: [number | null, boolean, number, boolean] = [
    null,
    false,
    Number.NaN,
    false,
  ];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#EXT-X-TARGETDURATION:')) targetS = Number(line.slice('#EXT-X-TARGETDURATION:'.length));
    else if (line.startsWith('#EXTINF:')) saidS = Number.parseFloat(line.slice('#EXTINF:'.length));
    else if (line === '#EXT-X-DISCONTINUITY') discontinuity = true;
    else if (line === '#EXT-X-ENDLIST') ended = true;
    else if (line !== '' && !line.startsWith('#') && slices.length < MOST_SLICES) {
      if (saidS === null) problems.push(`${line} has no length (EXTINF)`);
      else if (Math.round(saidS) > targetS) problems.push(`${line} is longer than the target duration, ${targetS} s`);
      slices.push({ name: decoded(line), saidS, discontinuity, lane: '' });
      [saidS, discontinuity] = [null, false];
    }
  }
  if (Number.isNaN(targetS)) problems.push('it tells no target duration');
  if (!ended) problems.push('it does not say that it is over (EXT-X-ENDLIST)');
  return { format: 'hls', ended, slices, problems };
}

/** The slices of each AdaptationSet in order; one that two Periods name is looked at once. */
function parseMpd(text: string): Parsed {
  const slices: Named[] = [];
  const seen = new Set<string>();
  for (const [, attributes = '', inner = ''] of text.matchAll(/<AdaptationSet([^>]*)>([\s\S]*?)<\/AdaptationSet>/g)) {
    const lane = /contentType="(\w+)"/.exec(attributes)?.[1] ?? attributes;
    for (const [whole, media = ''] of inner.matchAll(
      /<SegmentURL[^>]*?media="([^"]*)"[^>]*?(?:\/>|>[\s\S]*?<\/SegmentURL>)/g,
    )) {
      const name = unescaped(media);
      if (seen.has(name) || slices.length >= MOST_SLICES) continue;
      seen.add(name);
      slices.push({ name, saidS: null, discontinuity: whole.includes('ExtDiscontinuity'), lane });
    }
  }
  const problems = slices.length === 0 ? ['it names no files (SegmentURL) that could be looked at'] : [];
  return { format: 'dash', ended: /type="static"/.test(text), slices, problems };
}

function unescaped(text: string): string {
  const named: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };
  return text.replace(/&(?:#(\d{1,6})|(\w+));/g, (whole, code, name) =>
    code === undefined ? (named[name] ?? whole) : String.fromCodePoint(Number(code)),
  );
}

function decoded(uri: string): string {
  try {
    return decodeURIComponent(uri);
  } catch {
    return uri;
  }
}
