/**
 * TsSlices: samples in, MPEG-TS slices on the spool out. One muxer runs through the whole recording and only the file
 * under it changes, so continuity counters and timestamps go on and the slices in a row are one transport stream
 * (RFC 8216 §3.2, without EXT-X-DISCONTINUITY between them).
 */
import { join } from 'node:path';
import { AVIO_FLAG_WRITE } from 'node-av/constants';
import { FormatContext, IOContext, Packet } from 'node-av/lib';
import { messageOf } from '../../../kernel/fault.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { endsSlice } from '../cut.ts';
import { Interleaver } from '../interleave.ts';
import { playlistName, sliceName } from '../names.ts';
import { finishPart, partPath } from '../spool-file.ts';
import { addStreams, check, fillPacket, kindsOf, type MuxStream, type Streams } from '../stream.ts';

/** Recording zero stands at this transport stream time: decode times before zero stay positive, and the PCR has a lead. */
export const TS_ZERO_US = 1_400_000;
/** What a process that dies had not handed to the system is lost; FFmpeg would keep 32 kB, seconds of a quiet recording. */
const FLUSH_US = 250_000;
/** The PCR runs this far ahead of decode times, which is what a decoder gets for buffering. */
const PCR_LEAD_US = 700_000;

export type TsSlicesOptions = Streams & {
  /** The spool folder; exists. */
  dir: string;
  baseName: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** A slice was begun; `startUtcMs` is the whole millisecond that its name says (contract §4.1). */
  onSliceStart?: ((startUtcMs: number) => void) | undefined;
  /** A slice lies finished and synced on the spool. Called in order, the next call only after this one has resolved. */
  onFile(file: Segment): Promise<void> | void;
};

type OpenSlice = {
  name: string;
  path: string;
  io: IOContext;
  startUs: number;
  /** Where the last of its samples ends. */
  endUs: number;
  bytes: number;
  /** Decode time of the last sample that was handed to the system. */
  flushedUs: number;
  starts: Segment['starts'];
  rotations: Segment['rotations'];
};

export class TsSlices {
  #options: TsSlicesOptions;
  #context = new FormatContext();
  #packet = new Packet();
  #streams: MuxStream[];
  #interleaver: Interleaver;
  #slice: OpenSlice | undefined;
  #headerWritten = false;
  #index = 0;
  #seen = new Set<EncodedSample['kind']>();
  #finishing: Promise<void> = Promise.resolve();
  #failure: unknown;
  #closed = false;

  /** Throws a Fault when no stream is described or FFmpeg refuses the description. */
  constructor(options: TsSlicesOptions) {
    this.#options = options;
    this.#interleaver = new Interleaver(kindsOf(options));
    this.#packet.alloc();
    check(this.#context.allocOutputContext2(null, 'mpegts', null), 'opening the MPEG-TS muxer');
    this.#streams = addStreams(this.#context, options, 90_000);
  }

  /**
   * Takes the next sample; sound and picture may come in any interleave, each kind in its decode order.
   * Throws a Fault when a slice could not be written, also an earlier one.
   */
  write(sample: EncodedSample): void {
    if (this.#failure) throw this.#failure;
    // An encoder's priming ends before zero. A transport stream has no way to say "do not play this".
    if (sample.kind === 'audio' && sample.ptsUs + sample.durationUs <= 0) return;
    for (const next of this.#interleaver.push(sample)) this.#mux(next);
  }

  /** Ends the last slice; resolves when all slices are finished and given to `onFile`. Frees everything. */
  async finish(): Promise<void> {
    try {
      if (this.#failure) throw this.#failure;
      for (const next of this.#interleaver.flush()) this.#mux(next);
      if (this.#slice) this.#endSlice(this.#slice, this.#slice.endUs, true);
      await this.#finishing;
      if (this.#failure) throw this.#failure;
    } finally {
      this.close();
    }
  }

  /** Frees what is native. A slice not finished stays behind as `.part`. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.pb = null;
    this.#slice?.io.closepSync();
    this.#slice = undefined;
    this.#context.freeContext();
    this.#packet.free();
  }

  #mux(sample: EncodedSample): void {
    const hasVideo = this.#options.video !== undefined;
    if (this.#slice && endsSlice(sample, this.#slice, hasVideo)) this.#endSlice(this.#slice, sample.ptsUs, false);
    this.#slice ??= this.#beginSlice(sample.ptsUs);
    const slice = this.#slice;
    this.#note(slice, sample);

    const target = this.#streams.find(({ kind }) => kind === sample.kind)!;
    fillPacket(this.#packet, sample, target.stream, TS_ZERO_US);
    check(this.#context.writeFrameSync(this.#packet), `writing to ${slice.name}`);
    slice.endUs = Math.max(slice.endUs, sample.ptsUs + sample.durationUs);
    slice.bytes += sample.data.length;
    if (sample.dtsUs - slice.flushedUs < FLUSH_US) return;
    slice.flushedUs = sample.dtsUs;
    slice.io.flushSync();
  }

  /** What the playlist says before this slice: the first sample of each kind, and the picture's size with the first picture. */
  #note(slice: OpenSlice, sample: EncodedSample): void {
    if (this.#seen.has(sample.kind)) return;
    this.#seen.add(sample.kind);
    const utcMs = this.#utcMs(sample.ptsUs);
    slice.starts.push({ kind: sample.kind, startUtcMs: utcMs });
    const { video } = this.#options;
    if (sample.kind === 'video' && video)
      slice.rotations.push({ width: video.width, height: video.height, rotate: 0, utcMs });
  }

  #beginSlice(startUs: number): OpenSlice {
    const name = sliceName(this.#options.baseName, this.#utcMs(startUs));
    const path = join(this.#options.dir, name);
    const io = new IOContext();
    check(io.open2Sync(`file:${partPath(path)}`, AVIO_FLAG_WRITE), `creating ${name}`);
    this.#context.pb = io;
    if (!this.#headerWritten) {
      // Times are ours to the tick: without copyts the muxer would add twice the delay.
      this.#context.setOption('max_delay', PCR_LEAD_US);
      this.#context.setOption('mpegts_copyts', true);
      check(this.#context.writeHeaderSync(null), 'starting the MPEG-TS muxer');
      this.#headerWritten = true;
    } else {
      // PAT and PMT again at the head of this file, or it could not be played alone.
      check(this.#context.setOption('mpegts_flags', '+resend_headers'), 'asking for a new PAT');
    }
    this.#options.onSliceStart?.(Math.trunc(this.#utcMs(startUs)));
    return { name, path, io, startUs, endUs: startUs, bytes: 0, flushedUs: startUs, starts: [], rotations: [] };
  }

  #endSlice(slice: OpenSlice, endUs: number, last: boolean): void {
    // Sound waits in the muxer for a full PES; it belongs to this file.
    check(this.#context.writeFrameSync(null), `completing ${slice.name}`);
    if (last) check(this.#context.writeTrailerSync(), `ending ${slice.name}`);
    slice.io.flushSync();
    check(slice.io.error, `writing ${slice.name}`);
    this.#context.pb = null;
    slice.io.closepSync();
    this.#slice = undefined;

    const index = this.#index++;
    this.#finishing = this.#finishing.then(async () => {
      if (this.#failure) return;
      try {
        const bytes = await finishPart(slice.path);
        await this.#options.onFile({
          type: 'slice',
          name: slice.name,
          playlist: playlistName(this.#options.baseName),
          index,
          startUtcMs: this.#utcMs(slice.startUs),
          durationUs: endUs - slice.startUs,
          bytes,
          discontinuity: slice.starts.length > 0,
          starts: slice.starts,
          rotations: slice.rotations,
        });
      } catch (error) {
        this.#failure = error instanceof Error ? error : new Error(messageOf(error));
      }
    });
  }

  #utcMs(us: number): number {
    return this.#options.zeroUtcMs + Math.round(us / 1000);
  }
}
