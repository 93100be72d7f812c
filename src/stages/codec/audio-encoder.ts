/**
 * AAC-LC encoder (FFmpeg's own). Units are raw AAC. The encoder's first unit holds only the 1024 samples of priming and
 * is not handed on, so unit n carries samples 1024n to 1024n+1023 at exactly that time, in any container and without an
 * edit list.
 */
import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_CODEC_FLAG_QSCALE,
  AV_SAMPLE_FMT_FLTP,
  FF_ENCODER_AAC,
} from 'node-av/constants';
import { FFmpegError } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { encodedSound, SoundEncoder, type SoundPacket } from './sound-encoder.ts';

/** Samples per AAC unit and per call of `encode`. */
export const AAC_BLOCK = 1024;
/** FFmpeg's lambda with which a block's share of the bit rate is the most that it gets. */
const NOMINAL_QUALITY = 120;
/**
 * After so many blocks of silence what comes out of the encoder holds nothing of the sound before: a unit is made of
 * two blocks, and comes out when the encoder has seen two more.
 */
const SETTLED_BLOCKS = 6;
/** An encoder that may be freed is, after two seconds of silence: to open and settle another takes a millisecond. */
const FREED_BLOCKS = (2 * SOUND_RATE) / AAC_BLOCK;

export type AudioEncoderOptions = {
  channels: 1 | 2;
  bitrateKbps: number;
  /**
   * Sound that needs fewer bits gets fewer, and none is encoded again until it has as many as `bitrateKbps` says, which
   * is about the most that any gets. Without it the bit rate is held over all sound.
   */
  frugal?: boolean | undefined;
  /**
   * Units before this sample are not handed on. An encoder that continues another one's work must first get at least
   * two blocks of what came before, so that its first unit joins the other's last.
   */
  firstSample?: number | undefined;
  /** The encoder, which takes 0.7 MB, is freed while nothing is heard for long. */
  freedInSilence?: boolean | undefined;
};

export class AudioEncoder {
  readonly channels: 1 | 2;
  readonly sampleRate = SOUND_RATE;
  /** The AudioSpecificConfig (ISO/IEC 14496-3). */
  readonly extradata: Buffer;
  readonly #options: AudioEncoderOptions;
  /** Undefined while it is freed. */
  #encoder: SoundEncoder | undefined;
  #nextIndex: number | undefined;
  readonly #firstSample: number;
  #primed = false;
  /** Where the blocks begin whose units have not come out yet. */
  readonly #starts: number[] = [];
  /** Samples that this very encoder was given. */
  #given = 0;
  /** How many blocks of silence came last, and what came out of the encoder after that many. */
  #silentBlocks = 0;
  #silentUnit: Buffer | undefined;

  /** Throws a Fault when the encoder refuses the options. */
  constructor(options: AudioEncoderOptions) {
    this.channels = options.channels;
    this.#options = options;
    this.#firstSample = options.firstSample ?? Number.NEGATIVE_INFINITY;
    this.#encoder = open(options);
    this.extradata = this.#encoder.extradata;
  }

  /**
   * Encodes the 1024 samples that begin at `sampleIndex` (48 kHz, from the recording's zero). Blocks must follow each
   * other without gaps. Returns the finished units, two blocks late. Silence that goes on is encoded once and repeated.
   */
  encode(sound: Sound, sampleIndex: number): EncodedSample[] {
    invariant(
      sound.samples === AAC_BLOCK && sound.channels.length === this.channels,
      `AAC takes blocks of ${AAC_BLOCK} samples in ${this.channels} channels, not ${sound.samples} in ${sound.channels.length}`,
    );
    invariant(
      this.#nextIndex === undefined || sampleIndex === this.#nextIndex,
      `sound at ${sampleIndex} does not follow`,
    );
    this.#nextIndex = sampleIndex + AAC_BLOCK;
    this.#starts.push(sampleIndex);
    this.#silentBlocks = isSilent(sound) ? this.#silentBlocks + 1 : 0;
    if (this.#silentUnit && this.#silentBlocks > SETTLED_BLOCKS) {
      if (this.#options.freedInSilence && this.#silentBlocks > FREED_BLOCKS) this.close();
      return this.#unitOf(this.#silentUnit);
    }
    const units = this.#unitsOf(this.#send(this.#settled(), sound));
    // A view would keep what is encoded beside it in memory for as long as the silence lasts.
    const silent = this.#silentBlocks >= SETTLED_BLOCKS ? units.at(-1)?.data : undefined;
    this.#silentUnit = silent && inOwnMemory(silent);
    return units;
  }

  /** Ends the stream and returns what was held back. Only `close` may follow. */
  flush(): EncodedSample[] {
    return this.#unitsOf(this.#settled().flush());
  }

  /** Calling it again does nothing. */
  close(): void {
    this.#encoder?.close();
    this.#encoder = undefined;
  }

  /** The encoder; in place of one that was freed, one that has heard silence too, and holds as much of it back. */
  #settled(): SoundEncoder {
    if (this.#encoder) return this.#encoder;
    const encoder = open(this.#options);
    this.#encoder = encoder;
    this.#given = 0;
    const channels = Array.from({ length: this.channels }, () => new Float32Array(AAC_BLOCK));
    for (let n = 0; n < SETTLED_BLOCKS; n++) this.#send(encoder, { channels, samples: AAC_BLOCK });
    return encoder;
  }

  #send(encoder: SoundEncoder, { channels }: Sound): SoundPacket[] {
    const planes = encoder.allocate(AAC_BLOCK);
    channels.forEach((samples, channel) => {
      planes[channel]!.set(new Uint8Array(samples.buffer, samples.byteOffset, AAC_BLOCK * 4));
    });
    const start = this.#given;
    this.#given += AAC_BLOCK;
    return encoder.encode(start);
  }

  #unitsOf(packets: SoundPacket[]): EncodedSample[] {
    const units: EncodedSample[] = [];
    for (const { data } of packets) {
      if (this.#primed) units.push(...this.#unitOf(data));
      this.#primed = true;
    }
    return units;
  }

  /** The next unit; none where it comes before those that are wanted. */
  #unitOf(data: Buffer): EncodedSample[] {
    const start = this.#starts.shift();
    invariant(start !== undefined, 'the encoder gave more units than it got blocks');
    // A unit stands for all of its samples, where fewer were left at the end too.
    return start >= this.#firstSample ? [encodedSound({ start, samples: AAC_BLOCK, data })] : [];
  }
}

function open({ channels, bitrateKbps, frugal }: AudioEncoderOptions): SoundEncoder {
  return new SoundEncoder({
    codec: FF_ENCODER_AAC,
    format: AV_SAMPLE_FMT_FLTP,
    channels,
    configure: (context) => {
      context.bitRate = BigInt(bitrateKbps * 1000);
      context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
      if (frugal) {
        context.setFlags(AV_CODEC_FLAG_QSCALE);
        context.globalQuality = NOMINAL_QUALITY;
      }
      // FFmpeg's own choice, `twoloop`, takes twice to six times the CPU. At 48 kbit/s for a channel this one is 6 to
      // 12 dB nearer to voices in most bands up to 6 kHz: `twoloop` puts noise in place of what is quiet.
      const chosen = context.setOption('aac_coder', 'fast');
      if (chosen < 0) throw new Fault('codec-open', FFmpegError.strerror(chosen), { blame: 'self' });
    },
  });
}

function isSilent({ channels }: Sound): boolean {
  return channels.every((samples) => samples.every((sample) => sample === 0));
}
