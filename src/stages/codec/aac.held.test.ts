/** Sound through the real AAC encoder and decoder: samples, times, silence, and nothing left over. */
import { FF_DECODER_AAC } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError } from 'node-av/lib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { lagOf, sweep } from '../../../test/support/media/opus.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { AAC_BLOCK, AudioEncoder } from './audio-encoder.ts';
import { freeFrame, freePacket, liveFrames, newFrame, newPacket } from './native-frames.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

describe('AAC', () => {
  it.each([1, 2] as const)('decodes to the same samples at the same time, in %i channels', (channels) => {
    const signal = sweep(50 * AAC_BLOCK, 14_700);
    const encoder = new AudioEncoder({ channels, bitrateKbps: 64 * channels });
    const start = 7 * AAC_BLOCK;
    const samples: EncodedSample[] = [];
    for (let at = 0; at < signal.length; at += AAC_BLOCK) {
      const block = signal.subarray(at, at + AAC_BLOCK);
      samples.push(...encoder.encode({ channels: Array(channels).fill(block), samples: AAC_BLOCK }, start + at));
    }
    samples.push(...encoder.flush());
    const { extradata } = encoder;
    encoder.close();
    encoder.close();

    expect(samples).toHaveLength(50);
    expect(samples.map((s) => Math.round((s.ptsUs * 48) / 1000))).toEqual(range(50).map((n) => start + n * AAC_BLOCK));
    expect(samples.reduce((sum, s) => sum + s.durationUs, 0)).toBe(Math.round((50 * AAC_BLOCK * 1e6) / 48000));
    const heard = decodeAac(samples, extradata, channels);
    expect(Math.abs(lagOf(signal, heard, 14_700 + 3000))).toBeLessThanOrEqual(1);
  });

  it.each([
    ['at a held bit rate', { bitrateKbps: 48 }],
    ['with no more bits than it needs', { bitrateKbps: 52, frugal: true }],
  ])('keeps what is quiet in a voice, %s', (_how, coding) => {
    // A hum with overtones, and 26 dB below it another one that an ear still tells apart.
    const quiet = wave(60 * AAC_BLOCK, (t) => 0.01 * Math.sin(2 * Math.PI * (3100 + 40 * Math.sin(9 * t)) * t));
    const loud = wave(quiet.length, (t) =>
      [1, 2, 3, 4].reduce((sum, n) => sum + (0.2 / n) * Math.sin(2 * Math.PI * 160 * n * t), 0),
    );
    const signal = loud.map((value, i) => value + quiet[i]!);
    const encoder = new AudioEncoder({ channels: 1, ...coding });
    const samples: EncodedSample[] = [];
    for (let at = 0; at < signal.length; at += AAC_BLOCK)
      samples.push(...encoder.encode({ channels: [signal.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, at));
    samples.push(...encoder.flush());
    const { extradata } = encoder;
    encoder.close();
    const heard = decodeAac(samples, extradata, 1);
    const middle = [10 * AAC_BLOCK, 50 * AAC_BLOCK] as const;
    const powerOf = (wanted: Float32Array) => wanted.slice(...middle).reduce((sum, value) => sum + value * value, 0);
    const lost = signal.map((value, i) => value - heard[i]!);
    expect(10 * Math.log10(powerOf(quiet) / powerOf(lost))).toBeGreaterThan(20);
  });

  it('gives a single user no more bits than about their rate, whatever is heard', () => {
    // Noise needs the most bits there are.
    let state = 1;
    const noise = wave(100 * AAC_BLOCK, () => {
      state = (state * 48_271) % 2_147_483_647;
      return state / 2_147_483_647 - 0.5;
    });
    const encoder = new AudioEncoder({ channels: 1, bitrateKbps: 52, frugal: true });
    let bytes = 0;
    for (let at = 0; at < noise.length; at += AAC_BLOCK)
      for (const { data } of encoder.encode({ channels: [noise.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, at))
        bytes += data.length;
    encoder.close();
    const kbps = (bytes * 8) / ((98 * AAC_BLOCK) / 48_000) / 1000;
    expect(kbps).toBeGreaterThan(30);
    expect(kbps).toBeLessThan(62);
  });

  it('encodes silence once, and goes on from it as an encoder does that heard all of it', () => {
    const sounding = wave(40 * AAC_BLOCK, (t) => 0.3 * Math.sin(2 * Math.PI * 440 * t));
    const silence = new Float32Array(500 * AAC_BLOCK);
    const signal = new Float32Array(silence.length + 2 * sounding.length);
    signal.set(sounding);
    signal.set(sounding, sounding.length + silence.length);
    const send = vi.spyOn(CodecContext.prototype, 'sendFrameSync');
    const encoder = new AudioEncoder({ channels: 1, bitrateKbps: 48 });
    const samples: EncodedSample[] = [];
    const start = 3 * AAC_BLOCK;
    for (let at = 0; at < signal.length; at += AAC_BLOCK)
      samples.push(
        ...encoder.encode({ channels: [signal.subarray(at, at + AAC_BLOCK)], samples: AAC_BLOCK }, start + at),
      );
    samples.push(...encoder.flush());
    const blocks = send.mock.calls.length - 1;
    send.mockRestore();
    const { extradata } = encoder;
    encoder.close();
    expect(blocks - 80).toBeLessThanOrEqual(8);
    expect(samples.map((s) => Math.round((s.ptsUs * 48) / 1000))).toEqual(range(580).map((n) => start + n * AAC_BLOCK));
    const heard = decodeAac(samples, extradata, 1);
    const [from, to] = [42 * AAC_BLOCK, 538 * AAC_BLOCK];
    expect(heard.subarray(from, to).every((value) => value === 0)).toBe(true);
    // Both times the sound begins out of silence.
    const lostIn = (begin: number) => {
      let lost = 0;
      for (let i = begin; i < begin + 38 * AAC_BLOCK; i++) lost += (signal[i]! - heard[i]!) ** 2;
      return 10 * Math.log10(lost / (38 * AAC_BLOCK));
    };
    expect(lostIn(540 * AAC_BLOCK)).toBeLessThan(Math.max(-60, lostIn(0) + 1));
  });

  it.each([
    [1, { bitrateKbps: 52, frugal: true }],
    [2, { bitrateKbps: 128 }],
  ] as const)('is freed in a long silence, and goes on as if it had not been, in %i channels', (channels, coding) => {
    const sounding = wave(40 * AAC_BLOCK, (t) => 0.3 * Math.sin(2 * Math.PI * 440 * t));
    const silence = 500 * AAC_BLOCK;
    // It ends in the midst of a silence.
    const signal = new Float32Array(3 * silence);
    signal.set(sounding);
    signal.set(sounding, sounding.length + silence);
    const encode = (freedInSilence: boolean) => {
      const free = vi.spyOn(CodecContext.prototype, 'freeContext');
      const encoder = new AudioEncoder({ channels, ...coding, freedInSilence });
      const samples: EncodedSample[] = [];
      const freedAt: number[] = [];
      for (let at = 0; at < signal.length; at += AAC_BLOCK) {
        const sound = { channels: Array(channels).fill(signal.subarray(at, at + AAC_BLOCK)), samples: AAC_BLOCK };
        samples.push(...encoder.encode(sound, at));
        if (free.mock.calls.length > freedAt.length) freedAt.push(at / AAC_BLOCK);
      }
      samples.push(...encoder.flush());
      const { extradata } = encoder;
      encoder.close();
      free.mockRestore();
      return { samples, freedAt, heard: decodeAac(samples, extradata, channels) };
    };
    const kept = encode(false);
    const freed = encode(true);
    expect(kept.freedAt).toEqual([]);
    // Two seconds after its sound ended.
    expect(freed.freedAt).toEqual([40 + 93, 580 + 93]);
    expect(freed.samples.map(({ ptsUs }) => ptsUs)).toEqual(kept.samples.map(({ ptsUs }) => ptsUs));
    const second = [540 * AAC_BLOCK, 580 * AAC_BLOCK] as const;
    const lostIn = (heard: Float32Array) =>
      heard.slice(...second).reduce((sum, value, i) => sum + (value - sounding[i]!) ** 2, 0);
    expect(lostIn(freed.heard)).toBeLessThanOrEqual(lostIn(kept.heard) * 1.01);
    expect(freed.heard.subarray(583 * AAC_BLOCK).every((value) => value === 0)).toBe(true);
  });

  it('refuses blocks of the wrong shape and gaps', () => {
    const encoder = new AudioEncoder({ channels: 2, bitrateKbps: 128 });
    const block = { channels: [new Float32Array(AAC_BLOCK), new Float32Array(AAC_BLOCK)], samples: AAC_BLOCK };
    expect(() => encoder.encode({ channels: [new Float32Array(960)], samples: 960 }, 0)).toThrow('1024');
    encoder.encode(block, 0);
    expect(() => encoder.encode(block, 4096)).toThrow('does not follow');
    encoder.close();
  });
});

function wave(samples: number, at: (seconds: number) => number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => at(i / 48_000));
}

function decodeAac(samples: EncodedSample[], extradata: Buffer, channels: number): Float32Array {
  const decoder = Codec.findDecoderByName(FF_DECODER_AAC)!;
  const context = new CodecContext();
  context.allocContext3(decoder);
  context.extraData = extradata;
  context.sampleRate = 48000;
  FFmpegError.throwIfError(context.open2Sync(decoder), 'opening the AAC decoder');
  const packet = newPacket();
  const frame = newFrame();
  const heard = new Float32Array(samples.length * AAC_BLOCK);
  let at = 0;
  for (const sample of samples) {
    packet.data = sample.data;
    FFmpegError.throwIfError(context.sendPacketSync(packet), 'decoding AAC');
    packet.unref();
    while (context.receiveFrameSync(frame) >= 0) {
      expect(frame.channels).toBe(channels);
      const bytes = frame.data![channels - 1]!;
      heard.set(new Float32Array(bytes.buffer, bytes.byteOffset, frame.nbSamples), at);
      at += frame.nbSamples;
      frame.unref();
    }
  }
  freePacket(packet);
  freeFrame(frame);
  context.freeContext();
  return heard;
}
