/**
 * OpenMp4: one MP4 that is being written, under its `.part` name. The edit list hides samples before its start
 * (priming, pre-roll).
 */
import { basename } from 'node:path';
import { AVIO_FLAG_WRITE, AVSEEK_SET } from 'node-av/constants';
import { Dictionary, FormatContext, IOContext, Packet } from 'node-av/lib';
import type { StreamUs } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import { partPath } from '../spool-file.ts';
import { addStreams, check, checkSample, fillPacket, type MuxStream, type Streams } from '../stream.ts';
import { placeIndex } from './index-place.ts';

/** Where a file begins, in the stream's time and in wall time. */
type Begun = {
  startUs: StreamUs;
  startUtcMs: number;
  heldUs: number;
  /** Ticks per second in which the file tells how long it is; 1000 when left out. */
  lengthRate?: number | undefined;
};

/** Ticks per second for pictures without a steady rate: those of their senders. */
const UNSTEADY_RATE = 90_000;

export class OpenMp4 {
  readonly path: string;
  readonly name: string;
  readonly startUs: StreamUs;
  readonly startUtcMs: number;
  readonly heldUs: number;
  endUs: StreamUs;
  bytes = 0;
  readonly #room: number;
  #context = new FormatContext();
  #io = new IOContext();
  #packet = new Packet();
  #streams: MuxStream[];
  #lastSound: EncodedSample | undefined;
  #closed = false;

  /**
   * Begins the file. Throws a Fault when it cannot be written.
   * @param room bytes to leave for the index
   */
  constructor(path: string, begun: Begun, streams: Streams, room: number) {
    this.path = path;
    this.name = basename(path);
    this.#room = room;
    this.startUs = begun.startUs;
    this.startUtcMs = begun.startUtcMs;
    this.heldUs = begun.heldUs;
    this.endUs = begun.startUs;
    this.#packet.alloc();
    try {
      this.#streams = this.#open(begun, streams);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #open({ startUtcMs, lengthRate }: Begun, streams: Streams): MuxStream[] {
    const { name } = this;
    check(this.#context.allocOutputContext2(null, 'mp4', null), 'opening the MP4 muxer');
    if (lengthRate) check(this.#context.setOption('movie_timescale', lengthRate), 'setting how lengths are told');
    using metadata = Dictionary.fromObject({ creation_time: new Date(startUtcMs).toISOString() });
    this.#context.metadata = metadata;
    // Ticks in which every frame of a steady rate has a whole number, and that need long numbers only at few rates.
    const fps = streams.video?.fps;
    const added = addStreams(this.#context, streams, fps === undefined ? UNSTEADY_RATE : fps * 512);
    check(this.#io.open2Sync(`file:${partPath(this.path)}`, AVIO_FLAG_WRITE), `creating ${name}`);
    this.#io.seekSync(BigInt(this.#room), AVSEEK_SET);
    this.#context.pb = this.#io;
    check(this.#context.writeHeaderSync(), `starting ${name}`);
    return added;
  }

  write(sample: EncodedSample): void {
    this.endUs = Math.max(this.endUs, sample.ptsUs + sample.durationUs);
    this.bytes += sample.data.length;
    if (sample.kind === 'video') {
      this.#mux(sample);
      return;
    }
    // One sound is held back, because the file may end within it.
    const before = this.#lastSound;
    this.#lastSound = sample;
    if (before) this.#mux(before);
  }

  /** Writes the sound that was held back; its duration is cut at `endUs`, where the next file begins. */
  writeLast(endUs: StreamUs): void {
    const last = this.#lastSound;
    if (last) this.#mux({ ...last, durationUs: Math.max(1, Math.min(last.durationUs, endUs - last.ptsUs)) });
  }

  /** Writes the index, and moves it to the front. */
  async end(): Promise<void> {
    check(await this.#context.writeTrailer(), `ending ${this.name}`);
    await this.#io.flush();
    check(this.#io.error, `writing ${this.name}`);
    this.close();
    await placeIndex(partPath(this.path), this.#room);
  }

  #mux(sample: EncodedSample): void {
    const target = this.#streams.find(({ kind }) => kind === sample.kind)!;
    fillPacket(this.#packet, sample, target, -this.startUs);
    checkSample(this.#context.writeFrameSync(this.#packet), `writing to ${this.name}`);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.pb = null;
    this.#io.closepSync();
    this.#context.freeContext();
    this.#packet.free();
  }
}
