/**
 * PCMU and PCMA of made sound, as telephone gateways send them: 8 kHz, 20 ms to a packet.
 */
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_SAMPLE_FMT_S16,
  FF_ENCODER_PCM_ALAW,
  FF_ENCODER_PCM_MULAW,
} from 'node-av/constants';
import { Codec, CodecContext, Frame, Packet, Rational } from 'node-av/lib';
import { type Encoded, must } from './encode.ts';
import { SOUND_RATE } from './made-media.ts';

const G711_RATE = 8000;
const STEP = SOUND_RATE / G711_RATE;
const MONO = { nbChannels: 1, order: AV_CHANNEL_ORDER_NATIVE, mask: 4n };

export class G711Encoder {
  /** Samples at 48 kHz that each `encode` takes. */
  readonly frameSamples = SOUND_RATE / 50;
  readonly #context = new CodecContext();
  readonly #packet = new Packet();

  constructor(codec: 'pcmu' | 'pcma') {
    const encoder = Codec.findEncoderByName(codec === 'pcmu' ? FF_ENCODER_PCM_MULAW : FF_ENCODER_PCM_ALAW);
    if (!encoder) throw new Error(`this FFmpeg has no encoder for ${codec}`);
    const c = this.#context;
    c.allocContext3(encoder);
    c.sampleRate = G711_RATE;
    c.sampleFormat = AV_SAMPLE_FMT_S16;
    c.channelLayout = MONO;
    c.timeBase = new Rational(1, G711_RATE);
    must(c.open2Sync(encoder), `opening the ${codec} encoder`);
    this.#packet.alloc();
  }

  /** @param mono 48 kHz, a multiple of six samples; `pts` is handed through, in samples of 48 kHz */
  encode(mono: Float32Array, pts: number): Encoded[] {
    const samples = mono.length / STEP;
    // The mean of six samples is low-pass enough for tones of telephone pitch.
    const low = Int16Array.from({ length: samples }, (_, n) => {
      const sum = mono.subarray(n * STEP, (n + 1) * STEP).reduce((total, sample) => total + sample, 0);
      return Math.round((sum / STEP) * 32767);
    });
    const frame = Frame.fromAudioBuffer(Buffer.from(low.buffer), {
      nbSamples: samples,
      format: AV_SAMPLE_FMT_S16,
      sampleRate: G711_RATE,
      channelLayout: MONO,
      timeBase: { num: 1, den: G711_RATE },
      pts: BigInt(Math.round(pts / STEP)),
    });
    try {
      must(this.#context.sendFrameSync(frame), 'encoding sound');
    } finally {
      frame.free();
    }
    must(this.#context.receivePacketSync(this.#packet), 'reading from the encoder');
    const data = Buffer.from(this.#packet.data ?? Buffer.alloc(0));
    this.#packet.unref();
    return [{ data, pts, dts: pts, duration: mono.length, keyFrame: true }];
  }

  close(): void {
    this.#packet.free();
    this.#context.freeContext();
  }
}
