/**
 * Decodes Opus, PCMU and PCMA to 48 kHz float sound of a fixed channel count, and fills in for packets that were lost or
 * damaged.
 */
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_DECODER_LIBOPUS,
  FF_DECODER_PCM_ALAW,
  FF_DECODER_PCM_MULAW,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, type Packet, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { rescale, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { AudioCodec } from '../../media/track.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import { Upsampler } from './upsampler.ts';

/**
 * How far an Opus stream runs behind its timestamps: the encoder's lookahead of 312 samples (RFC 6716 with libopus, which every
 * browser uses). A file would say so as pre-skip; RTP has no word for it.
 */
export const OPUS_DELAY_SAMPLES = 312;

export type DecodedSound = { sound: Sound; ptsUs: number };

export type AudioDecoderOptions = { codec: AudioCodec; channels: 1 | 2 };

/** Ticks per second of G.711. */
const G711_RATE = 8000;
const DECODERS = { opus: FF_DECODER_LIBOPUS, pcmu: FF_DECODER_PCM_MULAW, pcma: FF_DECODER_PCM_ALAW } as const;

/** Concealed sound fades to nothing within this, in samples: a longer echo of the past is heard as a stutter. */
const FADE_SAMPLES = 480;

export class AudioDecoder {
  readonly codec: AudioCodec;
  readonly channels: 1 | 2;
  /** Where the codec's own rate is not ours. */
  #upsampler: Upsampler | undefined;
  #delayUs: number;
  #context: CodecContext;
  #packet: Packet;
  #frame: Frame;
  #damaged = 0;
  #tail: Float32Array[] = [];
  #closed = false;

  /** Throws a Fault when FFmpeg refuses the codec, which means a broken installation. */
  constructor(options: AudioDecoderOptions) {
    this.codec = options.codec;
    this.channels = options.channels;
    this.#upsampler = options.codec === 'opus' ? undefined : new Upsampler(SOUND_RATE / G711_RATE);
    this.#delayUs = rescale(this.#upsampler?.delaySamples ?? OPUS_DELAY_SAMPLES, SOUND_RATE, US);
    this.#context = openDecoder(options);
    this.#packet = newPacket();
    this.#frame = newFrame();
  }

  /** Packets so far that could not be decoded and were concealed. */
  get damaged(): number {
    return this.#damaged;
  }

  /** Decodes one packet. `ptsUs` of the sound is that of its first sample, with the delay of the codec taken off. */
  decode(sample: { data: Buffer; ptsUs: number }): DecodedSound[] {
    const durationSamples =
      this.codec === 'opus' ? opusSamples(sample.data) : rescale(sample.data.length, G711_RATE, SOUND_RATE);
    const ptsUs = sample.ptsUs - this.#delayUs;
    if (durationSamples === 0) return [];
    const sound = this.#decodePacket(sample.data);
    if (sound) {
      this.#remember(sound);
      return [{ sound, ptsUs }];
    }
    this.#damaged++;
    return [{ sound: this.conceal(rescale(durationSamples, SOUND_RATE, US)), ptsUs }];
  }

  /** Sound in place of a lost packet: the last of what was heard, played backwards so that it joins on, fading to silence. */
  conceal(durationUs: number): Sound {
    const samples = Math.max(0, rescale(durationUs, US, SOUND_RATE));
    const channels: Float32Array[] = [];
    for (let channel = 0; channel < this.channels; channel++) {
      const filled = new Float32Array(samples);
      const tail = this.#tail[channel];
      if (tail) {
        const length = Math.min(tail.length, samples);
        for (let i = 0; i < length; i++) filled[i] = tail[tail.length - 1 - i]! * (1 - (i + 1) / length);
      }
      channels.push(filled);
    }
    const sound = { channels, samples };
    this.#remember(sound);
    return sound;
  }

  /** Forgets what came before, for a stream that begins anew. */
  reset(): void {
    this.#context.flushBuffers();
    this.#upsampler?.reset();
    this.#tail = [];
  }

  /** Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    freePacket(this.#packet);
    freeFrame(this.#frame);
    this.#context.freeContext();
  }

  #decodePacket(data: Buffer): Sound | undefined {
    this.#packet.unref();
    this.#packet.data = data;
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    if (sent < 0) return undefined;
    const parts: Sound[] = [];
    for (;;) {
      const result = this.#context.receiveFrameSync(this.#frame);
      if (result === AVERROR_EAGAIN || result === AVERROR_EOF || result < 0) break;
      const upsampler = this.#upsampler;
      parts.push(
        upsampler ? raise(toSound(this.#frame, 1), upsampler, this.channels) : toSound(this.#frame, this.channels),
      );
      this.#frame.unref();
    }
    return parts.length <= 1 ? parts[0] : join(parts);
  }

  #remember(sound: Sound): void {
    if (sound.samples === 0) return;
    this.#tail = sound.channels.map((samples) => samples.slice(-FADE_SAMPLES));
  }
}

/** Samples at 48 kHz that an Opus packet holds (RFC 6716 §3), 0 when it is not one. */
export function opusSamples(data: Buffer): number {
  if (data.length === 0) return 0;
  const toc = data.readUInt8(0);
  const config = toc >> 3;
  const perFrame =
    config < 12 ? [480, 960, 1920, 2880][config & 3]! : config < 16 ? [480, 960][config & 1]! : 120 << (config & 3);
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : data.length > 1 ? data.readUInt8(1) & 0x3f : 0;
  const samples = frames * perFrame;
  return samples <= 5760 ? samples : 0;
}

function openDecoder({ codec: name, channels: wanted }: AudioDecoderOptions): CodecContext {
  const codec = Codec.findDecoderByName(DECODERS[name]);
  if (!codec) throw new Fault('codec-missing', `this FFmpeg build has no ${name} decoder`, { blame: 'self' });
  // Opus is decoded to any number of channels; G.711 has one.
  const channels = name === 'opus' ? wanted : 1;
  const rate = name === 'opus' ? SOUND_RATE : G711_RATE;
  const context = new CodecContext();
  context.allocContext3(codec);
  context.sampleRate = rate;
  context.channelLayout = { nbChannels: channels, order: AV_CHANNEL_ORDER_NATIVE, mask: channels === 1 ? 4n : 3n };
  context.pktTimebase = new Rational(1, rate);
  context.threadCount = 1;
  if (name === 'opus') context.setOption('request_sample_fmt', 'flt');
  const result = context.open2Sync(codec);
  if (result < 0) {
    context.freeContext();
    throw new Fault('codec-open', `the ${name} decoder did not open`, {
      blame: 'self',
      cause: new FFmpegError(result),
    });
  }
  return context;
}

/** One channel at a lower rate to `channels` the same at ours. */
function raise(sound: Sound, upsampler: Upsampler, channels: number): Sound {
  const samples = upsampler.push(sound.channels[0]!);
  return { channels: Array.from({ length: channels }, () => samples.slice()), samples: samples.length };
}

function toSound(frame: Frame, channels: number): Sound {
  const samples = frame.nbSamples;
  const planes = frame.data;
  invariant(planes && frame.channels === channels, 'the decoder changed its channel count');
  const out = Array.from({ length: channels }, () => new Float32Array(samples));
  if (frame.format === AV_SAMPLE_FMT_FLTP) {
    out.forEach((to, channel) => {
      to.set(floats(planes[channel]!, samples));
    });
  } else if (frame.format === AV_SAMPLE_FMT_FLT) {
    const from = floats(planes[0]!, samples * channels);
    out.forEach((to, channel) => {
      for (let i = 0; i < samples; i++) to[i] = from[i * channels + channel]!;
    });
  } else {
    invariant(frame.format === AV_SAMPLE_FMT_S16, 'the decoder gave an unknown sample format');
    const bytes = planes[0]!;
    const from = new Int16Array(bytes.buffer, bytes.byteOffset, samples * channels);
    out.forEach((to, channel) => {
      for (let i = 0; i < samples; i++) to[i] = from[i * channels + channel]! / 32768;
    });
  }
  return { channels: out, samples };
}

function floats(bytes: Buffer, count: number): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, count);
}

function join(parts: Sound[]): Sound {
  const samples = parts.reduce((sum, part) => sum + part.samples, 0);
  const channels = parts[0]!.channels.map((_, channel) => {
    const whole = new Float32Array(samples);
    let at = 0;
    for (const part of parts) {
      whole.set(part.channels[channel]!, at);
      at += part.samples;
    }
    return whole;
  });
  return { channels, samples };
}
