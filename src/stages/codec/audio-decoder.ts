/**
 * Decodes Opus, PCMU, PCMA and AAC-LC to 48 kHz float sound of a fixed channel count, and fills in for packets that
 * were lost or damaged.
 */
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_DECODER_AAC,
  FF_DECODER_LIBOPUS,
  FF_DECODER_PCM_ALAW,
  FF_DECODER_PCM_MULAW,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, type Packet, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { type RecordingUs, rescale, US } from '../../kernel/time.ts';
import { BitReader, BitsExhausted } from '../../media/bit-reader.ts';
import { continueWave } from '../../media/continued-wave.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { opusTicks } from '../../media/opus.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { FileCodecs } from '../../media/segment.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import { Upsampler } from './upsampler.ts';

/**
 * How far an Opus stream runs behind its timestamps: the encoder's lookahead of 312 samples (RFC 6716 with libopus,
 * which every browser uses). A file would say so as pre-skip; RTP cannot.
 */
const OPUS_DELAY_SAMPLES = 312;

export type DecodedSound = { sound: Sound; ptsUs: RecordingUs };

/** How sound is coded when it is received or kept. */
export type SoundCodec = NonNullable<FileCodecs['audio']>;

/** `channels` is the number handed out, whatever the stream has. */
export type AudioDecoderOptions = { codec: SoundCodec; channels: 1 | 2 };

/** Ticks per second of G.711. */
const G711_RATE = 8000;
/** Samples in an AAC-LC unit. */
const AAC_SAMPLES = 1024;
const DECODERS = {
  opus: FF_DECODER_LIBOPUS,
  pcmu: FF_DECODER_PCM_MULAW,
  pcma: FF_DECODER_PCM_ALAW,
  aac: FF_DECODER_AAC,
} as const;
/** By how many samples a stream runs behind its timestamps, by codec. Our AAC encoder corrects its own delay. */
const DELAYS = { opus: OPUS_DELAY_SAMPLES, aac: 0 } as const;

/**
 * A muted microphone sends a few packets again and again. Once so many in a row gave silence, those that did are not
 * decoded again, and what others give is silence itself; so many different ones are remembered.
 */
const SETTLED_PACKETS = 5;
const MAX_KNOWN_PACKETS = 8;
/** Of silence libopus makes one step of 16 bits for voices, or a trifle more: 90 dB below full scale. */
const SILENT_LEVEL = 1.5 / 32768;

/** Concealed sound fades out within this many samples: a longer echo of the past is heard as a stutter. */
const FADE_SAMPLES = 480;

export class AudioDecoder {
  readonly codec: SoundCodec;
  readonly channels: 1 | 2;
  /** Present when the codec's own rate is not ours. */
  #upsampler: Upsampler | undefined;
  #delayUs: number;
  #context: CodecContext;
  #packet: Packet;
  #frame: Frame;
  /** Channels of the stream that the context was opened for; only AAC needs to know. */
  #sentChannels: 1 | 2;
  #damaged = 0;
  #tail: Float32Array[] = [];
  /** How many packets in a row gave silence, and which. */
  #silentPackets = 0;
  #knownSilent: Buffer[] = [];
  #closed = false;

  /** Throws a Fault when FFmpeg refuses the codec, which means a broken installation. */
  constructor(options: AudioDecoderOptions) {
    this.codec = options.codec;
    this.channels = options.channels;
    this.#sentChannels = options.channels;
    const { codec } = options;
    this.#upsampler = isG711(codec) ? new Upsampler(SOUND_RATE / G711_RATE) : undefined;
    const delaySamples = isG711(codec) ? (this.#upsampler?.delaySamples ?? 0) : DELAYS[codec];
    this.#delayUs = rescale(delaySamples, SOUND_RATE, US);
    this.#context = openDecoder(codec, options.channels);
    this.#packet = newPacket();
    this.#frame = newFrame();
  }

  /** How many packets could not be decoded and were concealed. */
  get damaged(): number {
    return this.#damaged;
  }

  /** How far the sound runs behind the timestamps, microseconds. */
  get delayUs(): number {
    return this.#delayUs;
  }

  /**
   * Decodes one packet (AAC raw, without ADTS). `ptsUs` of the sound is that of its first sample, with the delay of the
   * codec taken off.
   */
  decode(sample: { data: Buffer; ptsUs: RecordingUs }): DecodedSound[] {
    const durationSamples = samplesIn(this.codec, sample.data);
    const ptsUs = sample.ptsUs - this.#delayUs;
    if (durationSamples === 0) return [];
    if (this.#silentPackets >= SETTLED_PACKETS && this.#knownSilent.some((known) => known.equals(sample.data)))
      return [{ sound: silence(this.channels, durationSamples), ptsUs }];
    const sound = this.#decodePacket(sample.data);
    if (sound) {
      this.#noteSilence(sample.data, sound);
      this.#remember(sound);
      return [{ sound, ptsUs }];
    }
    this.#damaged++;
    return [{ sound: this.conceal(rescale(durationSamples, SOUND_RATE, US)), ptsUs }];
  }

  /** Sound in place of a lost packet: what was heard last goes on and fades to silence. */
  conceal(durationUs: number): Sound {
    const samples = Math.max(0, rescale(durationUs, US, SOUND_RATE));
    const channels: Float32Array[] = [];
    for (let channel = 0; channel < this.channels; channel++) {
      const filled = new Float32Array(samples);
      const tail = this.#tail[channel];
      if (tail) filled.set(continueWave(tail, Math.min(FADE_SAMPLES, samples)));
      channels.push(filled);
    }
    const sound = { channels, samples };
    this.#remember(sound);
    return sound;
  }

  /** Forgets what came before, because the stream begins anew. */
  reset(): void {
    this.#context.flushBuffers();
    this.#upsampler?.reset();
    this.#tail = [];
    this.#forgetSilence();
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
    if (this.codec === 'aac') this.#suit(aacChannels(data) ?? this.#sentChannels);
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
      if (this.codec === 'aac' && this.#frame.sampleRate !== SOUND_RATE) return undefined;
      const sound = toSound(this.#frame, this.#frame.channels === 2 ? 2 : 1);
      parts.push(upsampler ? raise(sound, upsampler, this.channels) : withChannels(sound, this.channels));
      this.#frame.unref();
    }
    return parts.length <= 1 ? parts[0] : join(parts);
  }

  /** An AAC decoder keeps the number of channels that it was opened for, so another number needs another decoder. */
  #suit(channels: 1 | 2): void {
    if (channels === this.#sentChannels) return;
    this.#sentChannels = channels;
    this.#context.freeContext();
    this.#context = openDecoder(this.codec, channels);
  }

  #noteSilence(data: Buffer, { channels }: Sound): void {
    if (!channels.every((samples) => samples.every((sample) => Math.abs(sample) <= SILENT_LEVEL))) {
      this.#forgetSilence();
      return;
    }
    if (this.#silentPackets++ >= SETTLED_PACKETS) for (const samples of channels) samples.fill(0);
    if (this.#knownSilent.some((known) => known.equals(data))) return;
    this.#knownSilent.push(inOwnMemory(data));
    if (this.#knownSilent.length > MAX_KNOWN_PACKETS) this.#knownSilent.shift();
  }

  #forgetSilence(): void {
    this.#silentPackets = 0;
    this.#knownSilent = [];
  }

  #remember(sound: Sound): void {
    if (sound.samples === 0) return;
    this.#tail = sound.channels.map((samples, channel) => {
      const tail = this.#tail[channel];
      if (tail?.length !== FADE_SAMPLES || samples.length < FADE_SAMPLES) return samples.slice(-FADE_SAMPLES);
      tail.set(samples.subarray(-FADE_SAMPLES));
      return tail;
    });
  }
}

function silence(channels: number, samples: number): Sound {
  return { channels: Array.from({ length: channels }, () => new Float32Array(samples)), samples };
}

function isG711(codec: SoundCodec): codec is 'pcmu' | 'pcma' {
  return codec === 'pcmu' || codec === 'pcma';
}

/** How many samples at 48 kHz a packet holds; 0 for a malformed one. */
function samplesIn(codec: SoundCodec, data: Buffer): number {
  if (codec === 'opus') return opusTicks(data);
  if (codec === 'aac') return data.length > 0 ? AAC_SAMPLES : 0;
  return rescale(data.length, G711_RATE, SOUND_RATE);
}

/** Syntactic elements of an AAC block (ISO/IEC 14496-3 §4.4.2.1). */
const AAC_SINGLE = 0;
const AAC_PAIR = 1;
const AAC_FILL = 6;

/** How many channels a raw AAC block of mono or stereo has: told by its first element that is not filling. */
function aacChannels(data: Buffer): 1 | 2 | undefined {
  const reader = new BitReader(data);
  try {
    for (;;) {
      const element = reader.bits(3);
      if (element === AAC_SINGLE) return 1;
      if (element === AAC_PAIR) return 2;
      if (element !== AAC_FILL) return undefined;
      const bytes = reader.bits(4);
      reader.skip(8 * (bytes < 15 ? bytes : 14 + reader.bits(8)));
    }
  } catch (error) {
    if (error instanceof BitsExhausted) return undefined;
    throw error;
  }
}

/** @param wanted channels of the sound where the codec leaves the choice; of the stream where the codec must know */
function openDecoder(name: SoundCodec, wanted: 1 | 2): CodecContext {
  const codec = Codec.findDecoderByName(DECODERS[name]);
  if (!codec) throw new Fault('codec-missing', `this FFmpeg build has no ${name} decoder`, { blame: 'self' });
  // Opus is decoded to any number of channels; G.711 has one.
  const channels = isG711(name) ? 1 : wanted;
  const rate = isG711(name) ? G711_RATE : SOUND_RATE;
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

/** Turns one channel at a lower rate into `channels` equal ones at our rate. */
function raise(sound: Sound, upsampler: Upsampler, channels: number): Sound {
  const samples = upsampler.push(sound.channels[0]!);
  return { channels: Array.from({ length: channels }, () => samples.slice()), samples: samples.length };
}

function withChannels(sound: Sound, channels: 1 | 2): Sound {
  const [left, right] = sound.channels;
  if (!left || sound.channels.length === channels) return sound;
  if (!right) return { ...sound, channels: [left, left.slice()] };
  return { ...sound, channels: [left.map((value, i) => (value + right[i]!) / 2)] };
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
