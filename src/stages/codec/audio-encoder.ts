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
};

export class AudioEncoder {
  readonly channels: 1 | 2;
  readonly sampleRate = SOUND_RATE;
  /** The AudioSpecificConfig (ISO/IEC 14496-3). */
  readonly extradata: Buffer;
  readonly #encoder: SoundEncoder;
  #nextIndex: number | undefined;
  readonly #firstSample: number;
  #primed = false;
  /** Where the blocks begin whose units have not come out yet. */
  readonly #starts: number[] = [];
  /** Samples that the encoder was given. */
  #given = 0;
  /** How many blocks of silence came last, and what came out of the encoder after that many. */
  #silentBlocks = 0;
  #silentUnit: Buffer | undefined;

  /** Throws a Fault when the encoder refuses the options. */
  constructor({ channels, bitrateKbps, frugal, firstSample }: AudioEncoderOptions) {
    this.channels = channels;
    this.#firstSample = firstSample ?? Number.NEGATIVE_INFINITY;
    this.#encoder = new SoundEncoder({
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
    if (this.#silentUnit && this.#silentBlocks > SETTLED_BLOCKS) return this.#unitOf(this.#silentUnit);
    const planes = this.#encoder.allocate(AAC_BLOCK);
    sound.channels.forEach((samples, channel) => {
      planes[channel]!.set(new Uint8Array(samples.buffer, samples.byteOffset, AAC_BLOCK * 4));
    });
    const start = this.#given;
    this.#given += AAC_BLOCK;
    const units = this.#unitsOf(this.#encoder.encode(start));
    this.#silentUnit = this.#silentBlocks >= SETTLED_BLOCKS ? units.at(-1)?.data : undefined;
    return units;
  }

  /** Ends the stream and returns what was held back. Only `close` may follow. */
  flush(): EncodedSample[] {
    return this.#unitsOf(this.#encoder.flush());
  }

  /** Calling it again does nothing. */
  close(): void {
    this.#encoder.close();
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

function isSilent({ channels }: Sound): boolean {
  return channels.every((samples) => samples.every((sample) => sample === 0));
}
