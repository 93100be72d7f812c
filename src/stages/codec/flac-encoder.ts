/**
 * FLAC encoder (RFC 9639), 16 bits. Frames have 4608 samples, 96 ms: whole milliseconds, as Matroska counts them.
 * Decoding gives exactly what was put in, sample by sample, without a delay or padding that an editor would have to
 * know.
 */
import { AV_SAMPLE_FMT_S16, FF_ENCODER_FLAC } from 'node-av/constants';
import { invariant } from '../../kernel/fault.ts';
import type { Sound } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { encodedSound, SoundEncoder, type SoundPacket } from './sound-encoder.ts';

/** Samples per frame; the last may have fewer. */
export const FLAC_BLOCK = 4608;
const FULL_SCALE = 32_767;

export class FlacEncoder {
  readonly channels: 1 | 2;
  /** The STREAMINFO block (RFC 9639 §8.2). It leaves out the stream's length, which is not known yet. */
  readonly extradata: Buffer;
  readonly #encoder: SoundEncoder;
  /** Interleaved samples of the next frame, and how many of each channel there are. */
  readonly #pending: Int16Array;
  #filled = 0;
  #position = 0;

  /** Throws a Fault when the encoder refuses. */
  constructor(channels: 1 | 2) {
    this.channels = channels;
    this.#encoder = new SoundEncoder({ codec: FF_ENCODER_FLAC, format: AV_SAMPLE_FMT_S16, channels });
    this.extradata = this.#encoder.extradata;
    const { frameSamples } = this.#encoder;
    invariant(frameSamples === FLAC_BLOCK, `FLAC frames have ${frameSamples} samples, not ${FLAC_BLOCK}`);
    this.#pending = new Int16Array(FLAC_BLOCK * channels);
  }

  /** Encodes the next sound, of any length. Returns the finished frames. */
  encode(sound: Sound): EncodedSample[] {
    invariant(sound.channels.length === this.channels, `FLAC of ${this.channels} channels takes as many`);
    const samples: EncodedSample[] = [];
    for (let from = 0; from < sound.samples; ) {
      const count = Math.min(sound.samples - from, FLAC_BLOCK - this.#filled);
      sound.channels.forEach((values, channel) => {
        for (let i = 0; i < count; i++) {
          const value = Math.max(-1, Math.min(1, values[from + i]!));
          this.#pending[(this.#filled + i) * this.channels + channel] = Math.round(value * FULL_SCALE);
        }
      });
      this.#filled += count;
      from += count;
      if (this.#filled === FLAC_BLOCK) samples.push(...this.#send());
    }
    return samples;
  }

  /** Ends the stream and returns what was held back. Only `close` may follow. */
  flush(): EncodedSample[] {
    const samples = this.#filled > 0 ? this.#send() : [];
    return [...samples, ...framesOf(this.#encoder.flush())];
  }

  /** Calling it again does nothing. */
  close(): void {
    this.#encoder.close();
  }

  #send(): EncodedSample[] {
    const [plane] = this.#encoder.allocate(this.#filled);
    plane!.set(new Uint8Array(this.#pending.buffer, 0, this.#filled * this.channels * 2));
    const start = this.#position;
    this.#position += this.#filled;
    this.#filled = 0;
    return framesOf(this.#encoder.encode(start));
  }
}

/** The very last packet is empty and holds only the stream's digest. */
function framesOf(packets: SoundPacket[]): EncodedSample[] {
  return packets.filter(({ data }) => data.length > 0).map(encodedSound);
}
