/**
 * MPEG-TS slices. One muxer runs through the whole stream and only the file beneath it changes, so continuity counters
 * and timestamps go on, and consecutive slices are one transport stream (RFC 8216 §3.2, without EXT-X-DISCONTINUITY
 * between them).
 */
import { appendFileSync, statSync, truncateSync } from 'node:fs';
import { basename } from 'node:path';
import { AVIO_FLAG_WRITE } from 'node-av/constants';
import { FormatContext, IOContext, Packet } from 'node-av/lib';
import type { EncodedSample } from '../../../media/sample.ts';
import type { EntryPoint } from '../../../media/segment.ts';
import type { MediaKind } from '../../../media/track.ts';
import { withFrameCount } from '../bitstream.ts';
import type { SliceContainer } from '../slice-container.ts';
import { Slices, type SlicesOptions } from '../slices.ts';
import { addStreams, check, fillPacket, kindsOf, type MuxStream, type Streams } from '../stream.ts';
import { readEntryPoints } from './entry-points.ts';

/** Transport stream time of the recording's zero: decode times before zero stay positive, and the PCR can run ahead. */
export const TS_ZERO_US = 1_400_000;
/** ISO/IEC 13818-1 §2.4.3.2 */
const PACKET_BYTES = 188;
/**
 * From this many packets on FFmpeg (5.1) knows a transport stream by its content. Without them it may take a
 * few bytes of sound for those of a program stream, and find nothing in the file.
 */
const LEAST_PACKETS = 11;
/** A packet that carries nothing (ISO/IEC 13818-1 §2.4.1), which any decoder passes over. */
const NULL_PACKET = Buffer.alloc(PACKET_BYTES, 0xff);
NULL_PACKET.set([0x47, 0x1f, 0xff, 0x10]);
/** The PCR runs this far ahead of decode times; that is how long a decoder may buffer. */
const PCR_LEAD_US = 700_000;

export class TsContainer implements SliceContainer {
  readonly extension = 'ts';
  #context = new FormatContext();
  #packet = new Packet();
  #streams: MuxStream[];
  #io: IOContext | undefined;
  #path = '';
  #name = '';
  #headerWritten = false;
  /** The last picture was a key frame. */
  #afterKeyFrame = false;
  readonly #isOpus: boolean;
  readonly #kind: MediaKind;
  #closed = false;

  /** Throws a Fault when no stream is described or FFmpeg refuses the description. */
  constructor(streams: Streams) {
    kindsOf(streams);
    this.#kind = streams.video ? 'video' : 'audio';
    this.#isOpus = streams.audio?.codec === 'opus';
    this.#packet.alloc();
    check(this.#context.allocOutputContext2(null, 'mpegts', null), 'opening the MPEG-TS muxer');
    this.#streams = addStreams(this.#context, streams, 90_000);
  }

  begin(path: string): void {
    const io = new IOContext();
    const name = basename(path, '.part');
    check(io.open2Sync(`file:${path}`, AVIO_FLAG_WRITE), `creating ${name}`);
    this.#io = io;
    this.#path = path;
    this.#name = name;
    this.#context.pb = io;
    try {
      this.#writeHead();
    } catch (error) {
      this.#release(io);
      throw error;
    }
  }

  #writeHead(): void {
    if (!this.#headerWritten) {
      // Makes the muxer keep our times: without copyts it would add twice the delay.
      this.#context.setOption('max_delay', PCR_LEAD_US);
      this.#context.setOption('mpegts_copyts', true);
      check(this.#context.writeHeaderSync(null), 'starting the MPEG-TS muxer');
      this.#headerWritten = true;
    } else {
      // Without a new PAT and PMT at its head this file could not be played alone.
      this.#resendTables();
    }
  }

  #resendTables(): void {
    check(this.#context.setOption('mpegts_flags', '+resend_headers'), 'asking for a new PAT');
  }

  write(sample: EncodedSample): void {
    // Players that begin at a key frame inside of the file need a PAT and a PMT before it. The muxer puts them there
    // unless the picture before it is a key frame too; to tell it so each time takes longer than to write the picture.
    if (sample.kind === 'video') {
      if (sample.keyFrame && this.#afterKeyFrame) this.#resendTables();
      this.#afterKeyFrame = sample.keyFrame;
    }
    const target = this.#streams.find(({ kind }) => kind === sample.kind)!;
    const data = this.#isOpus && sample.kind === 'audio' ? withFrameCount(sample.data) : sample.data;
    fillPacket(this.#packet, { ...sample, data }, target, TS_ZERO_US);
    check(this.#context.writeFrameSync(this.#packet), `writing to ${this.#name}`);
  }

  flush(): void {
    // Sound waits in the muxer until a PES is full, which may take a second in a quiet recording.
    if (!this.#io) return;
    check(this.#context.writeFrameSync(null), `flushing ${this.#name}`);
    this.#io.flushSync();
    // The flush itself does not report that the disk took nothing.
    check(this.#io.error, `writing ${this.#name}`);
  }

  end(last: boolean): void {
    const io = this.#io;
    if (!io) return;
    try {
      // Sound that waits in the muxer for a full PES belongs to this file.
      check(this.#context.writeFrameSync(null), `completing ${this.#name}`);
      if (last) check(this.#context.writeTrailerSync(), `ending ${this.#name}`);
      io.flushSync();
      check(io.error, `writing ${this.#name}`);
    } finally {
      this.#release(io);
    }
  }

  #release(io: IOContext): void {
    this.#context.pb = null;
    const hasFailed = io.error < 0;
    io.closepSync();
    this.#io = undefined;
    if (hasFailed) cutToPackets(this.#path);
    else fillUp(this.#path);
  }

  entryPointsOf(path: string): Promise<EntryPoint[]> {
    return readEntryPoints(path, this.#kind);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#io) this.#release(this.#io);
    this.#context.freeContext();
    this.#packet.free();
  }
}

/** Adds what a very short file lacks to be known for a transport stream. */
function fillUp(path: string): void {
  const lacking = LEAST_PACKETS - statSync(path).size / PACKET_BYTES;
  if (lacking > 0) appendFileSync(path, Buffer.concat(Array.from({ length: lacking }, () => NULL_PACKET)));
}

/** Removes the part of a packet that a full disk, or a process that died, left at the end of a file. */
export function cutToPackets(path: string): void {
  const { size } = statSync(path);
  if (size % PACKET_BYTES > 0) truncateSync(path, size - (size % PACKET_BYTES));
}

export type TsSlicesOptions = Streams & Omit<SlicesOptions, 'kinds' | 'shape'>;

/** Slices of H.264 and AAC in MPEG-TS. */
export class TsSlices extends Slices {
  /** Throws a Fault when no stream is described or FFmpeg refuses the description. */
  constructor(options: TsSlicesOptions) {
    const { video } = options;
    const shape = video && { width: video.width, height: video.height, rotate: 0 as const };
    super({ ...options, kinds: kindsOf(options), shape }, () => new TsContainer(options));
  }
}
