/**
 * Probe: what a media file says of itself, and what its packets say: codecs, sizes, rates, durations, the spacing of
 * frames, and where an MP4 keeps its index.
 */
import { closeSync, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { AVMEDIA_TYPE_AUDIO, AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import { avGetCodecName, type Stream } from 'node-av/lib';
import { type PacketNote, readMedia, withInput, zeroOf } from './read-media.ts';

/** What the packets of one stream tell; times in seconds on the file's clock (see read-media.ts). */
export type PacketFacts = {
  packets: number;
  keyFrames: number[];
  startS: number;
  /** End of the last packet to be shown. */
  endS: number;
  /** The shortest and longest step from one presentation time to the next. */
  minStepS: number;
  maxStepS: number;
  /** Where the longest step begins. */
  maxStepAtS: number;
  bytes: number;
  /** True when decode times never go back. */
  ordered: boolean;
};

type VideoFacts = PacketFacts & {
  codec: string;
  width: number;
  height: number;
  /** FFmpeg's `r_frame_rate` and average rate, frames per second. */
  frameRate: number;
  averageRate: number;
};
type AudioFacts = PacketFacts & { codec: string; sampleRate: number; channels: number };

export type Probe = {
  path: string;
  bytes: number;
  format: string;
  /** Duration that the container declares, seconds. */
  durationS: number;
  /** The container's own timestamp of what is taken as zero, seconds. */
  zeroS: number;
  video?: VideoFacts;
  audio?: AudioFacts;
  /** For MP4: true when the index stands before the media, so that a browser plays it while it loads. */
  moovFirst?: boolean;
};

/** Reads a file (or a playlist with its slices) without decoding it. Throws an Error when it cannot be read. */
export function probeFile(path: string): Probe {
  const notes: Record<'video' | 'audio', PacketNote[]> = { video: [], audio: [] };
  readMedia(path, { onPacket: (note) => notes[note.kind].push(note) });
  const probe = withInput(path, (input): Probe => {
    const stream = (type: typeof AVMEDIA_TYPE_VIDEO): Stream | undefined => input.streams[input.findBestStream(type)];
    const video = stream(AVMEDIA_TYPE_VIDEO);
    const audio = stream(AVMEDIA_TYPE_AUDIO);
    return {
      path,
      bytes: statSync(path).size,
      format: input.iformat?.name ?? '',
      durationS: Number(input.duration) / 1e6,
      zeroS: zeroOf(input),
      ...(video ? { video: { ...videoFacts(video), ...packetFacts(notes.video) } } : {}),
      ...(audio ? { audio: { ...audioFacts(audio), ...packetFacts(notes.audio) } } : {}),
    };
  });
  if (probe.format.includes('mp4')) {
    const boxes = readBoxes(path);
    probe.moovFirst = boxes.findIndex((b) => b.type === 'moov') < boxes.findIndex((b) => b.type === 'mdat');
  }
  return probe;
}

function videoFacts(stream: Stream) {
  const rate = (r: { num: number; den: number }) => (r.den === 0 ? 0 : r.num / r.den);
  return {
    codec: avGetCodecName(stream.codecpar.codecId) ?? '',
    width: stream.codecpar.width,
    height: stream.codecpar.height,
    frameRate: rate(stream.rFrameRate),
    averageRate: rate(stream.avgFrameRate),
  };
}

function audioFacts(stream: Stream) {
  return {
    codec: avGetCodecName(stream.codecpar.codecId) ?? '',
    sampleRate: stream.codecpar.sampleRate,
    channels: stream.codecpar.channels,
  };
}

/** Sums up the packets of one stream. */
export function packetFacts(packets: readonly PacketNote[]): PacketFacts {
  const shown = packets.toSorted((a, b) => a.ptsS - b.ptsS);
  const facts: PacketFacts = {
    packets: packets.length,
    keyFrames: packets.filter((p) => p.keyFrame).map((p) => p.ptsS),
    startS: shown[0]?.ptsS ?? Number.NaN,
    endS: Number.NaN,
    minStepS: Number.POSITIVE_INFINITY,
    maxStepS: 0,
    maxStepAtS: Number.NaN,
    bytes: packets.reduce((sum, p) => sum + p.bytes, 0),
    ordered: packets.every((p, i) => i === 0 || p.dtsS >= (packets[i - 1] as PacketNote).dtsS),
  };
  for (let i = 1; i < shown.length; i++) {
    const from = (shown[i - 1] as PacketNote).ptsS;
    const step = (shown[i] as PacketNote).ptsS - from;
    facts.minStepS = Math.min(facts.minStepS, step);
    if (step > facts.maxStepS) {
      facts.maxStepS = step;
      facts.maxStepAtS = from;
    }
  }
  const last = shown.at(-1);
  if (last) facts.endS = last.ptsS + (last.durationS || (shown.length > 1 ? facts.minStepS : 0));
  return facts;
}

export type Box = { type: string; offset: number; bytes: number };

/**
 * The top-level boxes of an MP4 (ISO/IEC 14496-12 §4.2), in file order. Throws an Error when they do not add up to the
 * file.
 */
export function readBoxes(path: string): Box[] {
  const file = openSync(path, 'r');
  try {
    const size = fstatSync(file).size;
    const boxes: Box[] = [];
    const head = Buffer.alloc(16);
    for (let offset = 0; offset < size; ) {
      if (readSync(file, head, 0, 16, offset) < 8) throw new Error(`${path} ends inside a box header at ${offset}`);
      const short = head.readUInt32BE(0);
      const bytes = short === 1 ? Number(head.readBigUInt64BE(8)) : short === 0 ? size - offset : short;
      const type = head.toString('latin1', 4, 8);
      if (bytes < 8 || offset + bytes > size)
        throw new Error(`${path}: box ${type} at ${offset} runs past the file's end`);
      boxes.push({ type, offset, bytes });
      offset += bytes;
    }
    return boxes;
  } finally {
    closeSync(file);
  }
}
