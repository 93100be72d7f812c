/**
 * What is in a file of sound and picture: its streams, where each begins and ends, gaps, colours, key frames, and
 * whether it is whole. Reads every packet once and decodes none. For files of anybody.
 */
import { statSync } from 'node:fs';
import {
  AV_LOG_ERROR,
  AV_NOPTS_VALUE,
  AV_PKT_FLAG_CORRUPT,
  AV_PKT_FLAG_KEY,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_BT709,
  AVCOL_SPC_RGB,
  AVCOL_SPC_SMPTE170M,
  AVERROR_EOF,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants';
import {
  avGetCodecName,
  type CodecParameters,
  FFmpegError,
  FormatContext,
  Log,
  Packet,
  type Stream,
} from 'node-av/lib';
import { Fault } from '../../../kernel/fault.ts';
import { type Boxes, readBoxes } from './mp4-boxes.ts';

export type InspectedStream = {
  kind: 'video' | 'audio';
  codec: string;
  /** Seconds on the file's own clock; null where it has no packet. */
  startS: number | null;
  endS: number | null;
  packets: number;
  bytes: number;
  kbps: number | null;
  /** Stretches without anything, of more than a second. */
  gaps: { fromS: number; durationS: number }[];
  video?: {
    width: number;
    height: number;
    /** By what was counted. */
    fps: number | null;
    colors: string;
    keyFrames: number;
    longestKeyFrameS: number | null;
    startsWithKeyFrame: boolean;
  };
  audio?: { sampleRate: number; channels: number };
};

export type Inspected = {
  name: string;
  format: string;
  bytes: number | null;
  durationS: number;
  streams: InspectedStream[];
  /** Of an MP4: whether its index stands before its media, as players that fetch it want, or behind it. */
  index?: Boxes['index'];
  /** How far the first picture is behind the first sound, milliseconds; null without both. */
  offsetMs: number | null;
  /** What is wrong with it, in words; empty when it is whole. */
  problems: string[];
};

/** Between two packets of one stream, beyond what the first of them lasts. */
const GAP_S = 1;
const MOST_GAPS = 50;
const MOST_SAID = 10;

/** @throws Fault `media-unreadable` when FFmpeg finds no sound or picture in it */
export async function inspectMedia(path: string): Promise<Inspected> {
  const said = new Set<string>();
  Log.setLevel(AV_LOG_ERROR);
  Log.setCallback((_level, text) => void (said.size < MOST_SAID && said.add(text.trim())), { maxLevel: AV_LOG_ERROR });
  const context = new FormatContext();
  try {
    await open(context, path, said);
    const notes = new Map<number, StreamNotes>();
    for (const stream of context.streams) {
      const kind = kindOf(stream);
      if (kind) notes.set(stream.index, new StreamNotes(stream, kind));
    }
    if (notes.size === 0) throw unreadable(path, 'there is neither sound nor picture in it');
    const early = await readAll(context, notes);
    const streams = [...notes.values()].map((note) => note.result());
    const format = context.iformat?.name ?? 'unknown';
    const boxes = format.includes('mp4') && !isAddress(path) ? readBoxes(path) : undefined;
    return {
      ...{ name: path, format, bytes: isAddress(path) ? null : statSync(path).size, ...extentOf(streams), streams },
      ...(boxes && { index: boxes.index }),
      problems: [
        ...early,
        ...[...notes.values()].flatMap((note, n) => note.flaws.map((flaw) => `${streams[n]?.kind}: ${flaw}`)),
        ...(boxes?.problems ?? []),
        ...[...said].map((line) => `FFmpeg: ${line.split('\n', 1)[0]}`),
      ],
    };
  } finally {
    context.closeInputSync();
    Log.resetCallback();
  }
}

async function open(context: FormatContext, path: string, said: ReadonlySet<string>): Promise<void> {
  const opened = await context.openInput(isAddress(path) ? path : `file:${path}`, null, null);
  const found = opened < 0 ? opened : await context.findStreamInfo(null);
  if (found < 0) throw unreadable(path, [FFmpegError.strerror(found), ...said].join('; '));
}

function unreadable(path: string, why: string): Fault {
  return new Fault('media-unreadable', `${path} cannot be read: ${why}`, { blame: 'caller' });
}

function kindOf({ codecpar }: Stream): InspectedStream['kind'] | undefined {
  if (codecpar.codecType === AVMEDIA_TYPE_VIDEO) return 'video';
  return codecpar.codecType === AVMEDIA_TYPE_AUDIO ? 'audio' : undefined;
}

async function readAll(context: FormatContext, notes: ReadonlyMap<number, StreamNotes>): Promise<string[]> {
  using packet = new Packet();
  packet.alloc();
  for (;;) {
    const code = await context.readFrame(packet);
    if (code === AVERROR_EOF) return [];
    if (code < 0) return [`reading ended early: ${FFmpegError.strerror(code)}`];
    notes.get(packet.streamIndex)?.add(packet);
    packet.unref();
  }
}

class StreamNotes {
  readonly #stream: Stream;
  readonly #kind: InspectedStream['kind'];
  readonly #tickS: number;
  #startS = Number.POSITIVE_INFINITY;
  #endS = Number.NEGATIVE_INFINITY;
  #packets = 0;
  #bytes = 0;
  #lastDtsS: number | undefined;
  #lastS: number | undefined;
  #backwards = 0;
  #corrupt = 0;
  #timeless = 0;
  readonly #gaps: InspectedStream['gaps'] = [];
  #keyFrames = 0;
  #lastKeyS: number | undefined;
  #longestKeyS: number | null = null;
  #startsWithKey: boolean | undefined;

  constructor(stream: Stream, kind: InspectedStream['kind']) {
    this.#stream = stream;
    this.#kind = kind;
    this.#tickS = stream.timeBase.num / stream.timeBase.den;
  }

  add(packet: Packet): void {
    const isKey = (packet.flags & AV_PKT_FLAG_KEY) !== 0;
    if ((packet.flags & AV_PKT_FLAG_CORRUPT) !== 0) this.#corrupt++;
    this.#packets++;
    this.#bytes += packet.size;
    this.#startsWithKey ??= isKey;
    if (packet.pts === AV_NOPTS_VALUE) {
      this.#timeless++;
      return;
    }
    const atS = Number(packet.pts) * this.#tickS;
    const dtsS = packet.dts === AV_NOPTS_VALUE ? atS : Number(packet.dts) * this.#tickS;
    const endS = atS + Number(packet.duration) * this.#tickS;
    if (this.#lastDtsS !== undefined && dtsS < this.#lastDtsS) this.#backwards++;
    // What pictures of B-frames lack of an order does not open a gap: the end so far is the latest.
    if (this.#lastS !== undefined && atS - this.#lastS > GAP_S && this.#gaps.length < MOST_GAPS)
      this.#gaps.push({ fromS: this.#lastS, durationS: atS - this.#lastS });
    this.#lastDtsS = dtsS;
    this.#startS = Math.min(this.#startS, atS);
    this.#endS = Math.max(this.#endS, endS);
    this.#lastS = this.#endS;
    if (this.#kind !== 'video' || !isKey) return;
    this.#keyFrames++;
    if (this.#lastKeyS !== undefined) this.#longestKeyS = Math.max(this.#longestKeyS ?? 0, atS - this.#lastKeyS);
    this.#lastKeyS = atS;
  }

  /** What its packets say is wrong, in words. */
  get flaws(): string[] {
    return [
      ...(this.#packets === 0 ? ['no packet'] : []),
      ...(this.#corrupt > 0 ? [`${this.#corrupt} packets are marked as damaged`] : []),
      ...(this.#backwards > 0 ? [`times go back ${this.#backwards} times`] : []),
      ...(this.#timeless > 0 ? [`${this.#timeless} packets have no time`] : []),
    ];
  }

  result(): InspectedStream {
    const { codecpar } = this.#stream;
    const hasTime = this.#endS >= this.#startS;
    const lengthS = hasTime ? this.#endS - this.#startS : 0;
    return {
      kind: this.#kind,
      codec: avGetCodecName(codecpar.codecId) ?? 'unknown',
      ...{ startS: hasTime ? this.#startS : null, endS: hasTime ? this.#endS : null },
      ...{ packets: this.#packets, bytes: this.#bytes, gaps: this.#gaps },
      kbps: lengthS > 0 ? (this.#bytes * 8) / 1000 / lengthS : null,
      ...(this.#kind === 'video' && {
        video: {
          ...{ width: codecpar.width, height: codecpar.height, colors: colorsOf(codecpar) },
          fps: lengthS > 0 ? this.#packets / lengthS : null,
          ...{ keyFrames: this.#keyFrames, longestKeyFrameS: this.#longestKeyS },
          startsWithKeyFrame: this.#startsWithKey ?? false,
        },
      }),
      ...(this.#kind === 'audio' && { audio: { sampleRate: codecpar.sampleRate, channels: codecpar.channels } }),
    };
  }
}

/** Where the whole begins and ends, and how far pictures are behind sound. */
function extentOf(streams: readonly InspectedStream[]): Pick<Inspected, 'durationS' | 'offsetMs'> {
  const starts = streams.flatMap(({ startS }) => (startS === null ? [] : [startS]));
  const ends = streams.flatMap(({ endS }) => (endS === null ? [] : [endS]));
  const startOf = (kind: string) => streams.find((stream) => stream.kind === kind)?.startS ?? null;
  const [video, audio] = [startOf('video'), startOf('audio')];
  return {
    durationS: starts.length === 0 ? 0 : Math.max(...ends) - Math.min(...starts),
    offsetMs: video === null || audio === null ? null : (video - audio) * 1000,
  };
}

const SPACES = new Map<number, string>([
  [AVCOL_SPC_BT709, 'BT.709'],
  [AVCOL_SPC_SMPTE170M, 'BT.601 (525 lines)'],
  [AVCOL_SPC_BT470BG, 'BT.601 (625 lines)'],
  [AVCOL_SPC_RGB, 'RGB'],
]);

function colorsOf({ colorSpace, colorRange }: CodecParameters): string {
  const space = SPACES.get(colorSpace) ?? 'colours not told';
  if (colorRange === AVCOL_RANGE_JPEG) return `${space}, full range`;
  return colorRange === AVCOL_RANGE_MPEG ? `${space}, limited range` : `${space}, range not told`;
}

function isAddress(path: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(path);
}
