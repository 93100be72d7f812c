/**
 * WebM slices of one video stream, passed on as it came. Times in a file are the recording's, not the file's. FFmpeg's
 * muxer cannot write how long a picture lasts; a player that gets the slices one by one then takes a sender's pause for
 * a hole in the stream and stops. So the few elements that are needed (RFC 9559) are written here.
 */

import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { Fault, isOutOfRoom, messageOf } from '../../../kernel/fault.ts';
import type { StreamUs } from '../../../kernel/time.ts';
import { av1ConfigOf } from '../../../media/av1-sequence.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { VideoCodec } from '../../../media/track.ts';
import type { PictureShape, SliceContainer } from '../slice-container.ts';
import { element, float, longSize, longUnsigned, openElement, signed, text, unsigned, voidOf } from './ebml.ts';

export type WebmCodec = Exclude<VideoCodec, 'h264'>;

const CODEC_IDS = { vp8: 'V_VP8', vp9: 'V_VP9', av1: 'V_AV1' } as const;

const SEGMENT = 0x18538067;
const SEEK_HEAD = 0x114d9b74;
const INFO = 0x1549a966;
const DURATION = 0x4489;
const TRACKS = 0x1654ae6b;
const CLUSTER = 0x1f43b675;
const CUES = 0x1c53bb6b;
const TRACK = 1;
/** A block's time is relative to its cluster's, in 16 signed bits. */
const MAX_RELATIVE_MS = 32_767;
const IS_KEY = 0x80;

/** Whole milliseconds: WebM's ticks. */
type Block = { atMs: number; endMs: number; keyFrame: boolean; data: Buffer };
/** Places in the file, in bytes from its beginning. */
type Places = { segment: number; seekHead: number; info: number; tracks: number; duration: number; media: number };

export class WebmContainer implements SliceContainer {
  readonly extension = 'webm';
  readonly #codec: WebmCodec;
  #shape: PictureShape | undefined;
  #file: number | undefined;
  #name = '';
  #bytes = 0;
  #places: Places | undefined;
  #blocks: Block[] = [];
  #cues: { atMs: number; place: number }[] = [];
  #endMs = 0;
  /** Time of the last picture. */
  #lastMs = Number.NEGATIVE_INFINITY;
  /** The last picture in the file, and the place where its duration is written. */
  #lastWritten: { atMs: number; endMs: number; place: number } | undefined;

  constructor(codec: WebmCodec) {
    this.#codec = codec;
  }

  get headBytes(): number | undefined {
    return this.#places?.media;
  }

  /** @param shape of the file's first picture */
  begin(path: string, shape: PictureShape | undefined): void {
    this.#name = basename(path, '.part');
    this.#shape = shape;
    this.#bytes = 0;
    this.#places = undefined;
    this.#cues = [];
    this.#endMs = 0;
    this.#lastMs = Number.NEGATIVE_INFINITY;
    this.#lastWritten = undefined;
    this.#file = this.#do('creating', () => openSync(path, 'w'));
  }

  /** The first sample of a file must be a key frame. */
  write(sample: EncodedSample): void {
    this.#places ??= this.#writeHead(sample);
    const atMs = Math.round(sample.ptsUs / 1000);
    const endMs = Math.round((sample.ptsUs + sample.durationUs) / 1000);
    if (!(atMs > this.#lastMs && atMs >= 0) || !Number.isFinite(endMs))
      throw new Fault('mux-failed', `${this.#name}: a picture at ${atMs} ms cannot stand behind ${this.#lastMs} ms`, {
        blame: 'self',
      });
    this.#lastMs = atMs;
    this.#prolong(atMs);
    const { keyFrame } = sample;
    const first = this.#blocks[0];
    if (first && (keyFrame || atMs - first.atMs > MAX_RELATIVE_MS)) this.#writeCluster();
    this.#blocks.push({ atMs, endMs, keyFrame, data: this.#bare(sample.data) });
    this.#endMs = Math.max(this.#endMs, endMs);
  }

  flush(): void {
    this.#writeCluster();
  }

  /** Every file is complete by itself, so it does not matter which one is the last. */
  end(_last: boolean, untilUs: StreamUs): void {
    const file = this.#file;
    if (file === undefined) return;
    const untilMs = Math.round(untilUs / 1000);
    try {
      this.#writeCluster();
      if (untilMs > this.#endMs) this.#prolong(untilMs);
      this.#endMs = Math.max(this.#endMs, untilMs);
      if (this.#places) this.#complete(this.#places);
    } finally {
      this.#blocks = [];
      this.#file = undefined;
      try {
        // When a full disk took a part of the last write, that part would lie behind the end.
        this.#do('ending', () => ftruncateSync(file, this.#bytes));
      } finally {
        this.#do('ending', () => closeSync(file));
      }
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #writeHead({ keyFrame, data }: EncodedSample): Places {
    const { width, height } = this.#shape ?? {};
    const config = this.#codec === 'av1' ? av1ConfigOf(data) : undefined;
    if (!keyFrame || !width || !height || (this.#codec === 'av1' && !config))
      throw new Fault('no-shape', `${this.#name} does not begin with a key frame of known size`, { blame: 'self' });
    const head = element(
      0x1a45dfa3,
      ...[unsigned(0x4286, 1), unsigned(0x42f7, 1), unsigned(0x42f2, 4), unsigned(0x42f3, 8)],
      ...[text(0x4282, 'webm'), unsigned(0x4287, 4), unsigned(0x4285, 2)],
    );
    // Reserved for what is known only at the end: the places of the elements and the duration.
    const seekHead = voidOf(seekHeadOf([0, 0, 0]).length);
    const duration = float(DURATION, 0);
    const scale = unsigned(0x2ad7b1, 1_000_000);
    const info = element(INFO, scale, voidOf(duration.length), text(0x4d80, 'aircheck'), text(0x5741, 'aircheck'));
    const track = element(
      0xae,
      ...[unsigned(0xd7, TRACK), unsigned(0x73c5, TRACK), unsigned(0x83, 1), unsigned(0x9c, 0)],
      ...[text(0x22b59c, 'und'), text(0x86, CODEC_IDS[this.#codec]), ...(config ? [element(0x63a2, config)] : [])],
      element(0xe0, unsigned(0xb0, width), unsigned(0xba, height)),
    );
    const segmentHead = openElement(SEGMENT);
    const segment = head.length + segmentHead.length;
    const places = { segment, seekHead: segment, info: segment + seekHead.length, tracks: 0, duration: 0, media: 0 };
    places.tracks = places.info + info.length;
    places.duration = places.info + info.indexOf(scale) + scale.length;
    this.#append(Buffer.concat([head, segmentHead, seekHead, info, element(TRACKS, track)]));
    places.media = this.#bytes;
    return places;
  }

  /**
   * The last picture in the file turns out to last until the next, at `untilMs`, which was unknown when it was written.
   */
  #prolong(untilMs: number): void {
    const last = this.#lastWritten;
    this.#lastWritten = undefined;
    if (last && last.endMs !== untilMs) this.#writeAt(durationOf(untilMs - last.atMs), last.place);
  }

  /** The last picture is written in the kind of block that has a duration; the others last until the next. */
  #writeCluster(): void {
    const [first] = this.#blocks;
    if (!first) return;
    if (first.keyFrame) this.#cues.push({ atMs: first.atMs, place: this.#bytes });
    const held = this.#blocks;
    // A cluster that cannot be written must not keep the next ones from being written.
    this.#blocks = [];
    const blocks = held.map(({ atMs, endMs, keyFrame, data }, n) => {
      const isLast = n === held.length - 1;
      const head = Buffer.of(0x80 | TRACK, 0, 0, keyFrame && !isLast ? IS_KEY : 0);
      head.writeInt16BE(atMs - first.atMs, 1);
      if (!isLast) return element(0xa3, head, data);
      const before = held[n - 1]?.atMs ?? atMs - 1;
      const reference = keyFrame ? [] : [signed(0xfb, before - atMs)];
      return element(0xa0, element(0xa1, head, data), ...reference, durationOf(endMs - atMs));
    });
    const cluster = element(CLUSTER, unsigned(0xe7, first.atMs), ...blocks);
    try {
      this.#append(cluster);
    } catch (error) {
      // The disk may have room for it later.
      this.#blocks = held;
      if (first.keyFrame) this.#cues.pop();
      throw error;
    }
    const last = held.at(-1) ?? first;
    this.#lastWritten = { atMs: last.atMs, endMs: last.endMs, place: this.#bytes - durationOf(0).length };
  }

  /** Writes the index, and puts the size and duration of the file into the reserved room at its beginning. */
  #complete(places: Places): void {
    const from = places.segment;
    const cues = this.#bytes - from;
    const points = this.#cues.map(({ atMs, place }) =>
      element(0xbb, unsigned(0xb3, atMs), element(0xb7, unsigned(0xf7, TRACK), unsigned(0xf1, place - from))),
    );
    if (points.length > 0) this.#append(element(CUES, ...points));
    this.#writeAt(longSize(this.#bytes - from), from - 8);
    this.#writeAt(seekHeadOf([places.info - from, places.tracks - from, cues]), places.seekHead);
    // Counted from zero like the blocks' times, as FFmpeg does: a player ends where the last picture does.
    this.#writeAt(float(DURATION, this.#endMs), places.duration);
  }

  /** The picture without its temporal delimiter, which files leave out (AV1 in Matroska and WebM §2.4). */
  #bare(data: Buffer): Buffer {
    return this.#codec === 'av1' && data[0] === 0x12 && data[1] === 0 ? data.subarray(2) : data;
  }

  #append(bytes: Buffer): void {
    this.#writeAt(bytes, this.#bytes);
    this.#bytes += bytes.length;
  }

  #writeAt(bytes: Buffer, place: number): void {
    const file = this.#file;
    if (file === undefined) return;
    this.#do('writing to', () => {
      for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done, bytes.length - done, place + done);
    });
  }

  #do<T>(doing: string, work: () => T): T {
    try {
      return work();
    } catch (cause) {
      if (isOutOfRoom(cause))
        throw new Fault('spool-full', `${doing} ${this.#name}: no space is left on the disk that holds the spool`, {
          blame: 'self',
          cause,
        });
      throw new Fault('mux-failed', `${doing} ${this.#name}: ${messageOf(cause)}`, { blame: 'self', cause });
    }
  }
}

/** BlockDuration, equally long for all durations. */
function durationOf(ms: number): Buffer {
  return longUnsigned(0x9b, Math.max(1, ms));
}

/** Equally long for all places, which count from the segment's beginning. */
function seekHeadOf([info, tracks, cues]: [number, number, number]): Buffer {
  const seek = (id: number, place: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(id);
    return element(0x4dbb, element(0x53ab, bytes), longUnsigned(0x53ac, place));
  };
  return element(SEEK_HEAD, seek(INFO, info), seek(TRACKS, tracks), seek(CUES, cues));
}
