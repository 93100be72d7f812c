/**
 * FLAC encoder (RFC 9639), 16 bits. Frames have 4608 samples, 96 ms: whole milliseconds, as Matroska counts them.
 * Decoding gives exactly what was put in, sample by sample, without a delay or padding that an editor would have to
 * know.
 */
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_SAMPLE_FMT_S16,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_ENCODER_FLAC,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, type Packet, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { rescale, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';

/** Samples per frame; the last may have fewer. */
export const FLAC_BLOCK = 4608;
const FULL_SCALE = 32_767;

export class FlacEncoder {
  readonly channels: 1 | 2;
  /** The STREAMINFO block (RFC 9639 §8.2). It leaves out the stream's length, which is not known yet. */
  readonly extradata: Buffer;
  #context: CodecContext;
  #frame: Frame;
  #packet: Packet;
  /** Interleaved samples of the next frame, and how many of each channel there are. */
  readonly #pending: Int16Array;
  #filled = 0;
  #position = 0;
  #closed = false;

  /** Throws a Fault when the encoder refuses. */
  constructor(channels: 1 | 2) {
    this.channels = channels;
    this.#context = openEncoder(channels);
    const extradata = this.#context.extraData;
    invariant(extradata, 'the FLAC encoder gave no configuration');
    this.extradata = Buffer.from(extradata);
    this.#pending = new Int16Array(FLAC_BLOCK * channels);
    this.#packet = newPacket();
    this.#frame = newFrame();
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
    check(this.#context.sendFrameSync(null), 'ending the sound');
    return [...samples, ...this.#fetch()];
  }

  /** Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    freeFrame(this.#frame);
    freePacket(this.#packet);
    this.#context.freeContext();
  }

  #send(): EncodedSample[] {
    // The encoder keeps a reference to the last frame, so each frame needs memory of its own.
    this.#frame.unref();
    this.#frame.format = AV_SAMPLE_FMT_S16;
    this.#frame.sampleRate = SOUND_RATE;
    this.#frame.channelLayout = layoutOf(this.channels);
    this.#frame.nbSamples = this.#filled;
    check(this.#frame.getBuffer(), 'allocating sound');
    const bytes = this.#frame.data?.[0];
    invariant(bytes, 'a frame has data');
    bytes.set(new Uint8Array(this.#pending.buffer, 0, this.#filled * this.channels * 2));
    this.#frame.pts = BigInt(this.#position);
    this.#position += this.#filled;
    this.#filled = 0;
    check(this.#context.sendFrameSync(this.#frame), 'encoding sound');
    return this.#fetch();
  }

  #fetch(): EncodedSample[] {
    const samples: EncodedSample[] = [];
    for (;;) {
      const result = this.#context.receivePacketSync(this.#packet);
      if (result === AVERROR_EAGAIN || result === AVERROR_EOF) return samples;
      check(result, 'encoding sound');
      const { data, pts, duration } = this.#packet;
      // The very last packet holds only the stream's digest.
      if (data && data.length > 0) samples.push(toSample(Number(pts), Number(duration), data));
      this.#packet.unref();
    }
  }
}

function toSample(start: number, samples: number, data: Buffer): EncodedSample {
  const ptsUs = rescale(start, SOUND_RATE, US);
  const durationUs = rescale(start + samples, SOUND_RATE, US) - ptsUs;
  return { kind: 'audio', ptsUs, dtsUs: ptsUs, durationUs, keyFrame: true, data: Buffer.from(data) };
}

function openEncoder(channels: 1 | 2): CodecContext {
  const codec = Codec.findEncoderByName(FF_ENCODER_FLAC);
  if (!codec) throw new Fault('codec-missing', 'this FFmpeg build has no FLAC encoder', { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(codec);
  context.sampleRate = SOUND_RATE;
  context.sampleFormat = AV_SAMPLE_FMT_S16;
  context.channelLayout = layoutOf(channels);
  context.timeBase = new Rational(1, SOUND_RATE);
  const result = context.open2Sync(codec);
  const { frameSize } = context;
  if (result >= 0 && frameSize === FLAC_BLOCK) return context;
  context.freeContext();
  const why = result < 0 ? FFmpegError.strerror(result) : `its frames have ${frameSize} samples`;
  throw new Fault('codec-open', `the FLAC encoder did not open: ${why}`, { blame: 'self' });
}

function layoutOf(channels: 1 | 2) {
  return { nbChannels: channels, order: AV_CHANNEL_ORDER_NATIVE, mask: channels === 1 ? 4n : 3n };
}

function check(result: number, doing: string): void {
  if (result >= 0) return;
  throw new Fault('encode-failed', `${doing} failed: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
