/**
 * Slices of AAC as fragmented MP4, for an MPD beside WebM slices: each file begins with its own `moov` and can be
 * played alone, and its times (`tfdt`) are the recording's.
 */
import { statSync } from 'node:fs';
import { basename } from 'node:path';
import { AVIO_FLAG_WRITE } from 'node-av/constants';
import { Dictionary, FormatContext, IOContext, Packet } from 'node-av/lib';
import type { EncodedSample } from '../../../media/sample.ts';
import type { SliceContainer } from '../slice-container.ts';
import { type AudioStream, addStreams, check, fillPacket, type MuxStream } from '../stream.ts';

const SETTINGS = {
  // `moov` describes no samples; a fragment ends when asked; all times are absolute, the first one too.
  movflags: '+empty_moov+default_base_moof+frag_custom+frag_discont',
  use_editlist: '0',
  // Otherwise the first sample would be moved to zero.
  avoid_negative_ts: 'disabled',
};

export class Fmp4Container implements SliceContainer {
  readonly extension = 'm4s';
  readonly #audio: AudioStream;
  #packet = new Packet();
  #file: { context: FormatContext; io: IOContext; target: MuxStream; name: string; headBytes: number } | undefined;
  #closed = false;

  constructor(audio: AudioStream) {
    this.#audio = audio;
    this.#packet.alloc();
  }

  get headBytes(): number | undefined {
    return this.#file?.headBytes;
  }

  begin(path: string): void {
    const name = basename(path, '.part');
    const io = new IOContext();
    check(io.open2Sync(`file:${path}`, AVIO_FLAG_WRITE), `creating ${name}`);
    const context = new FormatContext();
    try {
      check(context.allocOutputContext2(null, 'mp4', null), 'opening the MP4 muxer');
      const [target] = addStreams(context, { audio: this.#audio }, 1);
      context.pb = io;
      using settings = Dictionary.fromObject(SETTINGS);
      check(context.writeHeaderSync(settings), `starting ${name}`);
      io.flushSync();
      this.#file = { context, io, target: target!, name, headBytes: statSync(path).size };
    } catch (error) {
      free(context, io);
      throw error;
    }
  }

  write(sample: EncodedSample): void {
    const file = this.#file;
    if (!file) return;
    // The first sound of a recording may begin before zero, and a fragment's time is unsigned.
    const [ptsUs, dtsUs] = [Math.max(0, sample.ptsUs), Math.max(0, sample.dtsUs)];
    fillPacket(this.#packet, { ...sample, ptsUs, dtsUs }, file.target, 0);
    check(file.context.writeFrameSync(this.#packet), `writing to ${file.name}`);
  }

  /** Ends a fragment. */
  flush(): void {
    const file = this.#file;
    if (!file) return;
    check(file.context.writeFrameSync(null), `writing to ${file.name}`);
    file.io.flushSync();
    // The flush itself does not report that the disk took nothing.
    check(file.io.error, `writing ${file.name}`);
  }

  /** Every file is complete by itself, so it does not matter which one is the last. */
  end(): void {
    const file = this.#file;
    if (!file) return;
    try {
      check(file.context.writeTrailerSync(), `ending ${file.name}`);
      file.io.flushSync();
      check(file.io.error, `writing ${file.name}`);
    } finally {
      this.#free();
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#free();
    this.#packet.free();
  }

  #free(): void {
    if (this.#file) free(this.#file.context, this.#file.io);
    this.#file = undefined;
  }
}

function free(context: FormatContext, io: IOContext): void {
  context.pb = null;
  io.closepSync();
  context.freeContext();
}
