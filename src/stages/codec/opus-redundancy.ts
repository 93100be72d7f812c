/**
 * Recovers lost sound from the packet after it: Opus for voice can carry each frame once more, coarser, in the next
 * packet (in-band FEC, RFC 6716 §2.1.7). FFmpeg never asks libopus for it, so a second libopus is used here, as
 * WebAssembly. It decodes only the packets around a loss.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { invariant } from '../../kernel/fault.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';

/** How many packets before a loss a decoder hears first, so that it continues what was heard: 80 ms of a browser's. */
const PRIMING = 4;
/** The longest Opus packet, and the most samples that one holds (RFC 6716 §3.2). */
const MAX_BYTES = 8192;
const MAX_SAMPLES = 5760;

/** The functions of libopus (opus.h). */
type Libopus = {
  memory: { buffer: ArrayBuffer };
  _initialize(): void;
  malloc(bytes: number): number;
  free(at: number): void;
  opus_decoder_get_size(channels: number): number;
  opus_decoder_init(decoder: number, rate: number, channels: number): number;
  opus_decode(decoder: number, data: number, bytes: number, pcm: number, samples: number, fec: 0 | 1): number;
};

/** The part of WebAssembly that is used here; the types of Node have none. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: object };
};

/** One for the whole process, because calls do not overlap. */
let shared: { libopus: Libopus; input: number; output: number } | undefined;

/** The lost sound, and the packet after it as it sounds to a decoder that heard it. */
export type Recovered = { lost: Sound; next: Sound };

export class OpusRedundancy {
  #before: Buffer[] = [];

  /** Remembers a packet that was heard. */
  note(data: Buffer): void {
    this.#before.push(data);
    if (this.#before.length > PRIMING) this.#before.shift();
  }

  /** Forgets what came before, because the stream begins anew. */
  reset(): void {
    this.#before = [];
  }

  /**
   * @param data the packet after the loss
   * @param samples how much was lost; libopus makes up everything but its last frame
   * @returns undefined when the packet holds nothing of what was lost
   */
  recover(data: Buffer, samples: number, channels: 1 | 2): Recovered | undefined {
    if (!holdsRedundancy(data) || samples <= 0 || samples > MAX_SAMPLES || data.length > MAX_BYTES) return undefined;
    shared ??= load();
    const { libopus } = shared;
    const decoder = libopus.malloc(libopus.opus_decoder_get_size(channels));
    invariant(decoder !== 0, 'libopus has no memory');
    try {
      if (libopus.opus_decoder_init(decoder, SOUND_RATE, channels) < 0) return undefined;
      for (const packet of this.#before) decode(decoder, packet, MAX_SAMPLES, channels, 0);
      const lost = decode(decoder, data, samples, channels, 1);
      const next = decode(decoder, data, MAX_SAMPLES, channels, 0);
      return lost && next && { lost, next };
    } finally {
      libopus.free(decoder);
    }
  }
}

/**
 * Lengths of SILK frames, in samples, by configuration (RFC 6716 §3.1); configurations above these and hybrid are CELT,
 * which has no FEC.
 */
const SILK_SAMPLES = [480, 960, 1920, 2880];
const HYBRID_FROM = 12;
const CELT_FROM = 16;

/** Whether a packet repeats the frame before its first one, coarser: the LBRR flag (RFC 6716 §4.2.3). */
export function holdsRedundancy(data: Buffer): boolean {
  const toc = data[0] ?? 0xff;
  const config = toc >> 3;
  const at = firstFrameAt(data);
  if (config >= CELT_FROM) return false;
  const frame = data[at] ?? 0;
  const samples = config < HYBRID_FROM ? SILK_SAMPLES[config & 3]! : SILK_SAMPLES[config & 1]!;
  // One activity flag for each 20 ms, followed by the redundancy flag; then the same for the second channel.
  const parts = Math.max(1, samples / 960);
  const isStereo = (toc & 0x04) !== 0;
  return ((frame >> (7 - parts)) & 1) === 1 || (isStereo && ((frame >> (6 - 2 * parts)) & 1) === 1);
}

/** Where the first frame begins (RFC 6716 §3.2). */
function firstFrameAt(data: Buffer): number {
  const lengthAt = (at: number) => ((data[at] ?? 0) < 252 ? 1 : 2);
  const code = (data[0] ?? 0) & 3;
  if (code < 2) return 1;
  if (code === 2) return 1 + lengthAt(1);
  // A byte with the count of frames, the length of the padding at the end, and the lengths of all frames but the last.
  const count = data[1] ?? 0;
  let at = 2;
  if (count & 0x40) while (data[at++] === 255);
  if (count & 0x80) for (let n = 1; n < (count & 0x3f); n++) at += lengthAt(at);
  return at;
}

function decode(decoder: number, data: Buffer, samples: number, channels: 1 | 2, fec: 0 | 1): Sound | undefined {
  invariant(shared, 'libopus is loaded');
  const { libopus, input, output } = shared;
  if (data.length === 0 || data.length > MAX_BYTES) return undefined;
  // Memory may have grown and moved since the last call.
  new Uint8Array(libopus.memory.buffer).set(data, input);
  const count = libopus.opus_decode(decoder, input, data.length, output, samples, fec);
  if (count <= 0) return undefined;
  const pcm = new Int16Array(libopus.memory.buffer, output, count * channels);
  const planes = Array.from({ length: channels }, (_, channel) =>
    Float32Array.from({ length: count }, (_, i) => pcm[i * channels + channel]! / 32768),
  );
  return { channels: planes, samples: count };
}

function load(): NonNullable<typeof shared> {
  const file = createRequire(import.meta.url).resolve('@evan/opus/wasm/opus.wasm');
  const nothing = () => 0;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(file)), {
    wasi_snapshot_preview1: { fd_seek: nothing, fd_write: nothing, fd_close: nothing, proc_exit: nothing },
    env: { emscripten_notify_memory_growth: nothing },
  });
  const libopus = exports as unknown as Libopus;
  libopus._initialize();
  const input = libopus.malloc(MAX_BYTES);
  const output = libopus.malloc(MAX_SAMPLES * 2 * Int16Array.BYTES_PER_ELEMENT);
  invariant(input !== 0 && output !== 0, 'libopus has no memory');
  return { libopus, input, output };
}
