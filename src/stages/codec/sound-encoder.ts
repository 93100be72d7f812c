/**
 * One of FFmpeg's sound encoders at 48 kHz: frames of samples in, packets out. What is the same for every codec; how
 * samples come in blocks, and which packets count, is the business of the encoder on top.
 */
import {
  AV_CHANNEL_ORDER_NATIVE,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type AVSampleFormat,
  type FFAudioEncoder,
} from 'node-av/constants';
import { type ChannelLayout, Codec, CodecContext, FFmpegError, type Frame, type Packet, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { rescale, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';

export type SoundEncoderOptions = {
  codec: FFAudioEncoder;
  format: AVSampleFormat;
  channels: 1 | 2;
  /** Sets what only this codec has, before it opens. */
  configure?: (context: CodecContext) => void;
};

/** What came out: `samples` of sound from sample `start` on. `data` is the reader's own. */
export type SoundPacket = { start: number; samples: number; data: Buffer };

export class SoundEncoder {
  /** The codec's configuration record. */
  readonly extradata: Buffer;
  /** Samples of each channel that a frame has; the last may have fewer. */
  readonly frameSamples: number;
  /** What `encode` sends: the samples go into it first. */
  readonly frame: Frame;
  readonly #context: CodecContext;
  readonly #packet: Packet;
  readonly #options: SoundEncoderOptions;
  /** The memory of `frame`. */
  #planes: Buffer[] | undefined;
  #planesSamples = 0;
  #closed = false;

  /** Throws a Fault when the encoder refuses the options. */
  constructor(options: SoundEncoderOptions) {
    this.#options = options;
    this.#context = open(options);
    const { extraData, frameSize } = this.#context;
    invariant(extraData, `the encoder ${options.codec} gave no configuration`);
    this.extradata = inOwnMemory(extraData);
    this.frameSamples = frameSize;
    this.#packet = newPacket();
    this.frame = newFrame();
  }

  /**
   * Gives `frame` memory for so many samples of each channel; new memory where the encoder still has a reference to
   * what it was sent last. Returns the memory of each plane.
   */
  allocate(samples: number): Buffer[] {
    const { frame } = this;
    if (this.#planes && this.#planesSamples === samples && frame.isWritable) return this.#planes;
    frame.unref();
    frame.format = this.#options.format;
    frame.sampleRate = SOUND_RATE;
    frame.channelLayout = layoutOf(this.#options.channels);
    frame.nbSamples = samples;
    check(frame.getBuffer(), 'allocating sound');
    const { data } = frame;
    invariant(data, 'a frame has data');
    this.#planes = data;
    this.#planesSamples = samples;
    return data;
  }

  /** Encodes `frame`, which begins with sample `start`. Returns what is finished. */
  encode(start: number): SoundPacket[] {
    this.frame.pts = BigInt(start);
    check(this.#context.sendFrameSync(this.frame), 'encoding sound');
    return this.#finished();
  }

  /** Ends the stream and returns what was held back. Only `close` may follow. */
  flush(): SoundPacket[] {
    check(this.#context.sendFrameSync(null), 'ending the sound');
    return this.#finished();
  }

  /** Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    freeFrame(this.frame);
    freePacket(this.#packet);
    this.#context.freeContext();
  }

  #finished(): SoundPacket[] {
    const packets: SoundPacket[] = [];
    for (;;) {
      const result = this.#context.receivePacketSync(this.#packet);
      if (result === AVERROR_EAGAIN || result === AVERROR_EOF) return packets;
      check(result, 'reading encoded sound');
      const { pts, duration, data } = this.#packet;
      if (data) packets.push({ start: Number(pts), samples: Number(duration), data: Buffer.from(data) });
      this.#packet.unref();
    }
  }
}

/** What containers take. A sample of sound is a key frame by itself. */
export function encodedSound({ start, samples, data }: SoundPacket): EncodedSample {
  const ptsUs = rescale(start, SOUND_RATE, US);
  const durationUs = rescale(start + samples, SOUND_RATE, US) - ptsUs;
  return { kind: 'audio', ptsUs, dtsUs: ptsUs, durationUs, keyFrame: true, data };
}

function open({ codec: name, format, channels, configure }: SoundEncoderOptions): CodecContext {
  const codec = Codec.findEncoderByName(name);
  if (!codec) throw new Fault('codec-missing', `this FFmpeg build has no encoder ${name}`, { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(codec);
  try {
    context.sampleRate = SOUND_RATE;
    context.sampleFormat = format;
    context.channelLayout = layoutOf(channels);
    context.timeBase = new Rational(1, SOUND_RATE);
    configure?.(context);
    check(context.open2Sync(codec), `opening the encoder ${name}`, 'codec-open');
    return context;
  } catch (error) {
    context.freeContext();
    throw error;
  }
}

function layoutOf(channels: 1 | 2): ChannelLayout {
  return { nbChannels: channels, order: AV_CHANNEL_ORDER_NATIVE, mask: channels === 1 ? 4n : 3n };
}

function check(result: number, doing: string, code = 'encode-failed'): void {
  if (result >= 0) return;
  throw new Fault(code, `${doing} failed: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
