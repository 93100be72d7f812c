/**
 * Judges a stored HLS playlist with its slices: the text (contract §4.3), every slice alone, and how slices follow one
 * another: no time lost or doubled, one continuous transport stream.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packetFacts } from './probe.ts';
import { type PacketNote, readMedia } from './read-media.ts';

type SliceEntry = {
  name: string;
  /** As declared. */
  extinfS: number;
  discontinuity: boolean;
  /** `#EXT-X-AGORA-…` lines that stand before the slice, verbatim. */
  events: string[];
};
export type Playlist = {
  targetDurationS: number;
  sequence: number;
  version: number;
  ended: boolean;
  slices: SliceEntry[];
};

type SliceFacts = SliceEntry & {
  bytes: number;
  /** Container times of the first packet and the end of the last, seconds. */
  video?: { startS: number; endS: number; frames: number; keyFirst: boolean };
  audio?: { startS: number; endS: number };
};

export type PlaylistVerdict = {
  playlist: Playlist;
  slices: SliceFacts[];
  /** Sum of EXTINF, and what the packets of all slices span, seconds. */
  declaredS: number;
  realS: number;
  /** Frames in all slices, and frames that a player sees through the playlist. */
  frames: number;
  /** What is wrong, in words; empty when all is well. */
  problems: string[];
};

/** Reads the text of a playlist. Throws an Error for text that is no playlist. */
export function parsePlaylist(text: string): Playlist {
  const lines = text.split(/\r?\n/).filter((line) => line !== '');
  if (lines[0] !== '#EXTM3U') throw new Error('the playlist does not begin with #EXTM3U');
  const playlist: Playlist = { targetDurationS: Number.NaN, sequence: 0, version: 1, ended: false, slices: [] };
  let next: Omit<SliceEntry, 'name'> = { extinfS: Number.NaN, discontinuity: false, events: [] };
  for (const line of lines.slice(1)) {
    const [tag, value] = line.startsWith('#') ? splitTag(line) : ['', line];
    if (tag === '#EXT-X-TARGETDURATION') playlist.targetDurationS = Number(value);
    else if (tag === '#EXT-X-MEDIA-SEQUENCE') playlist.sequence = Number(value);
    else if (tag === '#EXT-X-VERSION') playlist.version = Number(value);
    else if (tag === '#EXT-X-ENDLIST') playlist.ended = true;
    else if (tag === '#EXT-X-DISCONTINUITY') next.discontinuity = true;
    else if (tag === '#EXTINF') next.extinfS = Number.parseFloat(value);
    else if (tag.startsWith('#EXT-X-AGORA')) next.events.push(line);
    else if (tag === '') {
      playlist.slices.push({ name: value, ...next });
      next = { extinfS: Number.NaN, discontinuity: false, events: [] };
    }
  }
  return playlist;
}

function splitTag(line: string): [string, string] {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1)];
}

/**
 * Judges `<dir>/<name>`.
 * @param expect what must be in every slice; with `video`, each slice must begin with a key frame
 */
export function judgePlaylist(dir: string, name: string, expect = { video: true, audio: true }): PlaylistVerdict {
  const text = readFileSync(join(dir, name), 'utf8');
  const playlist = parsePlaylist(text);
  const problems = judgeText(text, playlist);
  const slices: SliceFacts[] = [];
  const counters = new Map<number, number>();
  for (const entry of playlist.slices) {
    const path = join(dir, entry.name);
    if (!existsSync(path)) {
      problems.push(`${entry.name} is named but does not exist`);
      continue;
    }
    const bytes = readFileSync(path);
    if (entry.discontinuity) counters.clear();
    if (isTransport(entry)) problems.push(...judgeTransport(bytes, counters).map((p) => `${entry.name} ${p}`));
    const slice = readSlice(path, entry, bytes.length);
    if (expect.video && !slice.video) problems.push(`${entry.name} has no picture`);
    if (expect.audio && !slice.audio) problems.push(`${entry.name} has no sound`);
    if (slice.video && !slice.video.keyFirst) problems.push(`${entry.name} does not begin with a key frame`);
    slices.push(slice);
  }
  const realS = judgeJoints(slices, problems);
  const declaredS = playlist.slices.reduce((sum, s) => sum + s.extinfS, 0);
  if (Math.abs(declaredS - realS) > 0.005 + 0.0005 * slices.length)
    problems.push(`EXTINF adds up to ${declaredS.toFixed(3)} s, the slices hold ${realS.toFixed(3)} s`);
  const frames = slices.reduce((sum, s) => sum + (s.video?.frames ?? 0), 0);
  // Players of WebM slices take them by their MPD.
  if (slices.length > 0 && problems.length === 0 && slices.every(isTransport))
    problems.push(...judgePlayback(join(dir, name), frames));
  return { playlist, slices, declaredS, realS, frames, problems };
}

/** The text itself: contract §4.3. */
function judgeText(text: string, playlist: Playlist): string[] {
  const problems: string[] = [];
  if (playlist.version !== 3) problems.push(`the playlist is version ${playlist.version} instead of 3`);
  if (playlist.sequence !== 0) problems.push(`the media sequence is ${playlist.sequence} instead of 0`);
  if (!playlist.ended) problems.push('#EXT-X-ENDLIST is missing');
  if (!Number.isInteger(playlist.targetDurationS)) problems.push('the target duration is not a whole number');
  if (playlist.slices.length === 0) problems.push('the playlist names no slice');
  for (const slice of playlist.slices) {
    if (!(slice.extinfS > 0)) problems.push(`${slice.name} has no EXTINF`);
    if (Math.round(slice.extinfS) > playlist.targetDurationS)
      problems.push(`${slice.name} lasts ${slice.extinfS} s, longer than the target ${playlist.targetDurationS} s`);
  }
  for (const line of text.match(/^#EXTINF:.*$/gm) ?? []) {
    if (!/^#EXTINF:\d+\.\d{6},?$/.test(line)) problems.push(`"${line}" is not a duration of six decimals`);
  }
  return problems;
}

const isTransport = ({ name }: SliceEntry) => name.endsWith('.ts');

/**
 * Packets of 188 bytes, a program table first, and continuity counters that go on from the slice before (ISO 13818-1
 * §2.4.3.3).
 */
function judgeTransport(bytes: Buffer, counters: Map<number, number>): string[] {
  const problems: string[] = [];
  if (bytes.length % 188 !== 0) problems.push(`is ${bytes.length} bytes long, not whole transport packets`);
  if (bytes.length >= 188 && pidOf(bytes, 0) !== 0 && pidOf(bytes, 0) !== 17)
    problems.push('does not begin with a program association table');
  for (let at = 0; at + 188 <= bytes.length; at += 188) {
    if (bytes[at] !== 0x47) return [...problems, `has no sync byte at ${at}`];
    const pid = pidOf(bytes, at);
    const control = bytes[at + 3] as number;
    if (pid === 0x1fff || !(control & 0x10)) continue;
    const count = control & 0xf;
    const before = counters.get(pid);
    // Packets may announce a break themselves.
    const announced = control & 0x20 && (bytes[at + 4] as number) > 0 && (bytes[at + 5] as number) & 0x80;
    if (before !== undefined && count !== ((before + 1) & 0xf) && !announced)
      problems.push(`breaks the continuity of PID ${pid} at byte ${at}: ${before} is followed by ${count}`);
    counters.set(pid, count);
    if (problems.length > 3) break;
  }
  return problems;
}

function pidOf(bytes: Buffer, at: number): number {
  return bytes.readUInt16BE(at + 1) & 0x1fff;
}

function readSlice(path: string, entry: SliceEntry, bytes: number): SliceFacts {
  const notes: Record<'video' | 'audio', PacketNote[]> = { video: [], audio: [] };
  const { zeroS } = readMedia(path, { onPacket: (note) => notes[note.kind].push(note) });
  const slice: SliceFacts = { ...entry, bytes };
  if (notes.video.length > 0) {
    const facts = packetFacts(notes.video);
    slice.video = {
      startS: facts.startS + zeroS,
      endS: facts.endS + zeroS,
      frames: facts.packets,
      keyFirst: notes.video[0]?.keyFrame ?? false,
    };
  }
  if (notes.audio.length > 0) {
    const facts = packetFacts(notes.audio);
    slice.audio = { startS: facts.startS + zeroS, endS: facts.endS + zeroS };
  }
  return slice;
}

/** Whether sound goes on from the last picture to `startS`: frames were left out, and the last is shown till then. */
function isShownUntil({ video, audio }: SliceFacts, startS = Number.NaN): boolean {
  return video !== undefined && audio !== undefined && startS > video.endS && startS <= audio.endS + 0.002;
}

/**
 * Between slices nothing may be missing or doubled, and each EXTINF must be what lies between two starts. Returns the
 * whole length.
 */
function judgeJoints(slices: readonly SliceFacts[], problems: string[]): number {
  let realS = 0;
  slices.forEach((slice, i) => {
    const next = slices[i + 1];
    const lead = slice.video ?? slice.audio;
    if (!lead) return;
    const follower = slice.video ? next?.video : next?.audio;
    const nextLead = next?.discontinuity && !isShownUntil(slice, follower?.startS) ? undefined : follower;
    // Where nothing goes on, a slice may be said to end with its picture or with all of it.
    const wholeS = Math.max(lead.endS, slice.audio?.endS ?? 0);
    const isWhole = Math.abs(wholeS - lead.startS - slice.extinfS) <= 0.002;
    const realOfSliceS = (nextLead?.startS ?? (isWhole ? wholeS : lead.endS)) - lead.startS;
    realS += realOfSliceS;
    if (Math.abs(realOfSliceS - slice.extinfS) > 0.002)
      problems.push(`${slice.name} declares ${slice.extinfS.toFixed(3)} s and lasts ${realOfSliceS.toFixed(3)} s`);
    if (!next || next.discontinuity) return;
    for (const kind of ['video', 'audio'] as const) {
      const [from, to] = [slice[kind], next[kind]];
      if (!from || !to) continue;
      const gapS = to.startS - from.endS;
      if (Math.abs(gapS) > 0.002)
        problems.push(
          `${(gapS * 1000).toFixed(1)} ms of ${kind} ${gapS > 0 ? 'missing' : 'doubled'} before ${next.name}`,
        );
    }
  });
  return realS;
}

/** Plays the whole playlist through FFmpeg's HLS demuxer and decoders. */
function judgePlayback(path: string, frames: number): string[] {
  let shown = 0;
  const { damaged } = readMedia(path, { onPicture: () => shown++, onSound: () => {} });
  const problems: string[] = [];
  if (damaged > 0) problems.push(`a player meets ${damaged} damaged packets or pictures`);
  if (shown !== frames) problems.push(`a player shows ${shown} of ${frames} frames`);
  return problems;
}
