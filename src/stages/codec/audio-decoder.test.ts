import { CodecContext } from 'node-av/lib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { encodeOpus, lagOf, type OpusSettings, sweep } from '../../../test/support/media/opus.ts';
import { opusTicks } from '../../media/opus.ts';
import { AudioDecoder } from './audio-decoder.ts';
import { AAC_BLOCK, AudioEncoder } from './audio-encoder.ts';
import { liveFrames } from './native-frames.ts';

const ONSET = 14_700;
const signal = sweep(48_000, ONSET);

function decodeAll(decoder: AudioDecoder, packets: { data: Buffer; ptsUs: number }[], channel = 0): Float32Array {
  const heard = new Float32Array(60_000);
  for (const packet of packets)
    for (const { sound, ptsUs } of decoder.decode(packet)) {
      const at = Math.round((ptsUs * 48) / 1000);
      const samples = sound.channels[channel]!;
      heard.set(at < 0 ? samples.subarray(-at) : samples, Math.max(0, at));
    }
  return heard;
}

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

describe('AudioDecoder', () => {
  it.each<[OpusSettings['application'], number, OpusSettings['frameMs'], 1 | 2, 1 | 2]>([
    ['audio', 64_000, 20, 2, 2],
    ['audio', 64_000, 10, 1, 2],
    ['audio', 64_000, 120, 2, 1],
    ['voip', 32_000, 20, 1, 1],
    ['voip', 12_000, 60, 1, 2],
    ['voip', 24_000, 40, 1, 1],
  ])(
    '%s at %i bit/s in frames of %f ms, %i to %i channels: everything is heard when it was said',
    (application, bitrate, frameMs, sent, wanted) => {
      const decoder = new AudioDecoder({ codec: 'opus', channels: wanted });
      const packets = encodeOpus(signal, { application, bitrate, frameMs, channels: sent });
      expect(opusTicks(packets[0]!.data)).toBe(frameMs * 48);
      for (let channel = 0; channel < wanted; channel++)
        expect(Math.abs(lagOf(signal, decodeAll(decoder, packets, channel), ONSET + 3000))).toBeLessThanOrEqual(4);
      expect(decoder.damaged).toBe(0);
      decoder.close();
      decoder.close();
    },
  );

  it.each(['voip', 'audio'] as const)('decodes no further packets of a muted microphone (%s)', (application) => {
    const speaking = sweep(12_000, 0);
    const sent = new Float32Array(48_000 * 20);
    sent.set(speaking);
    sent.set(speaking, sent.length - 12_000);
    const packets = encodeOpus(sent, { application, bitrate: 32_000, frameMs: 20, channels: 1 });
    const decode = vi.spyOn(CodecContext.prototype, 'sendPacketSync');
    const decoder = new AudioDecoder({ codec: 'opus', channels: 1 });
    const heard = packets.flatMap((packet) => decoder.decode(packet));
    const decoded = decode.mock.calls.length;
    decode.mockRestore();
    decoder.close();
    expect(decoded).toBeLessThan(packets.length / 5);
    expect(heard).toHaveLength(packets.length);
    expect(heard.map(({ sound }) => sound.samples)).toEqual(packets.map(() => 960));
    const all = Float32Array.from(heard.flatMap(({ sound }) => [...sound.channels[0]!]));
    const loudest = (from: number, to: number) =>
      all.subarray(from, to).reduce((top, v) => Math.max(top, Math.abs(v)), 0);
    // It takes a moment until it is known to be silence.
    expect(loudest(36_000, sent.length - 13_000)).toBe(0);
    expect(loudest(sent.length - 12_000, sent.length)).toBeGreaterThan(0.3);
  });

  it('takes frames of 2.5 ms, which have 4 ms less lookahead', () => {
    const decoder = new AudioDecoder({ codec: 'opus', channels: 1 });
    const packets = encodeOpus(signal, { application: 'audio', bitrate: 64_000, frameMs: 2.5, channels: 1 });
    expect(lagOf(signal, decodeAll(decoder, packets), ONSET + 3000)).toBe(-192);
    decoder.close();
  });

  it('goes on when a stream changes between mono and stereo', () => {
    const decoder = new AudioDecoder({ codec: 'opus', channels: 2 });
    const settings = { application: 'audio', bitrate: 64_000, frameMs: 20 } as const;
    const mono = encodeOpus(signal, { ...settings, channels: 1 });
    const stereo = encodeOpus(signal, { ...settings, channels: 2 });
    const heard = decodeAll(decoder, [...mono.slice(0, 22), ...stereo.slice(22)]);
    expect(Math.abs(lagOf(signal, heard, ONSET + 9000))).toBeLessThanOrEqual(4);
    expect(decoder.damaged).toBe(0);
    decoder.close();
  });

  it('conceals what it cannot decode, for as long as it lasts, and goes on', () => {
    const decoder = new AudioDecoder({ codec: 'opus', channels: 1 });
    const packets = encodeOpus(signal, { application: 'audio', bitrate: 64_000, frameMs: 20, channels: 1 });
    for (const packet of packets.slice(0, 30)) decoder.decode(packet);
    // Code 3 with two frames of variable length, the first longer than the packet (RFC 6716 §3.2.5).
    const broken = Buffer.from([packets[0]!.data[0]! | 3, 0x82, 251, 251, 0]);
    const [concealed] = decoder.decode({ data: broken, ptsUs: 600_000 });
    expect(concealed!.sound.samples).toBe(2 * 960);
    expect(decoder.damaged).toBe(1);
    expect(decoder.decode({ data: Buffer.alloc(0), ptsUs: 0 })).toEqual([]);
    expect(decoder.decode(packets[32]!)[0]!.sound.samples).toBe(960);
    decoder.close();
  });

  it('joins what it makes up to what was heard, and ends in silence', () => {
    const decoder = new AudioDecoder({ codec: 'opus', channels: 1 });
    const packets = encodeOpus(signal, { application: 'audio', bitrate: 64_000, frameMs: 20, channels: 1 });
    let heard = new Float32Array();
    for (const packet of packets.slice(0, 30)) heard = decoder.decode(packet)[0]!.sound.channels[0]!.slice();
    const { channels, samples } = decoder.conceal(20_000);
    expect(samples).toBe(960);
    const steepest = Math.max(...heard.subarray(1).map((value, i) => Math.abs(value - heard[i]!)));
    expect(Math.abs(channels[0]![0]! - heard.at(-1)!)).toBeLessThan(1.1 * steepest);
    expect(Math.max(...channels[0]!)).toBeGreaterThan(0.05);
    expect(channels[0]!.subarray(480).every((v) => v === 0)).toBe(true);
    decoder.close();
  });

  it('is silent where it has heard nothing yet', () => {
    const decoder = new AudioDecoder({ codec: 'opus', channels: 2 });
    expect(decoder.conceal(10_000)).toEqual({ channels: [new Float32Array(480), new Float32Array(480)], samples: 480 });
    decoder.close();
  });
});

/** G.711 by its continuous curves, which its segments follow to within a few per cent. */
const COMPANDED = {
  pcmu: (x: number) => ~((x < 0 ? 0x80 : 0) | Math.round((127 * Math.log(1 + 255 * Math.abs(x))) / Math.log(256))),
  pcma: (x: number) => {
    const loud = 87.6 * Math.abs(x);
    const curve = (loud < 1 ? loud : 1 + Math.log(loud)) / (1 + Math.log(87.6));
    return ((x < 0 ? 0 : 0x80) | Math.round(127 * curve)) ^ 0x55;
  },
};

function encodeG711(codec: 'pcmu' | 'pcma'): { data: Buffer; ptsUs: number }[] {
  return Array.from({ length: 50 }, (_, packet) => ({
    ptsUs: packet * 20_000,
    data: Buffer.from(Array.from({ length: 160 }, (_n, n) => COMPANDED[codec](signal[(packet * 160 + n) * 6]!) & 0xff)),
  }));
}

describe.each(['pcmu', 'pcma'] as const)('AudioDecoder for %s', (codec) => {
  it.each([1, 2] as const)('gives sound of 48 kHz in %i channels, heard when it was said', (channels) => {
    const decoder = new AudioDecoder({ codec, channels });
    const packets = encodeG711(codec);
    const [first] = decoder.decode(packets[0]!);
    expect(first!.sound.samples).toBe(960);
    for (let channel = 0; channel < channels; channel++) {
      decoder.reset();
      const heard = decodeAll(decoder, packets, channel);
      expect(lagOf(signal, heard, ONSET + 3000)).toBe(0);
      const stretch = heard.subarray(ONSET + 3000, ONSET + 4400);
      expect(Math.max(...stretch)).toBeGreaterThan(0.37);
      expect(Math.max(...stretch)).toBeLessThan(0.43);
      expect(Math.max(...heard.subarray(0, ONSET - 1000).map(Math.abs))).toBeLessThan(0.001);
    }
    expect(decoder.damaged).toBe(0);
    decoder.close();
  });

  it('takes packets of any length, also of none', () => {
    const decoder = new AudioDecoder({ codec, channels: 1 });
    expect(decoder.decode({ data: Buffer.alloc(0), ptsUs: 0 })).toEqual([]);
    for (const bytes of [1, 80, 240, 1200])
      expect(decoder.decode({ data: Buffer.alloc(bytes, 0xd5), ptsUs: 0 })[0]!.sound.samples).toBe(bytes * 6);
    decoder.close();
  });

  it('fades out what it makes up for a lost packet', () => {
    const decoder = new AudioDecoder({ codec, channels: 1 });
    for (const packet of encodeG711(codec).slice(0, 30)) decoder.decode(packet);
    const { channels, samples } = decoder.conceal(20_000);
    expect(samples).toBe(960);
    expect(Math.max(...channels[0]!)).toBeGreaterThan(0.05);
    expect(channels[0]!.subarray(480).every((v) => v === 0)).toBe(true);
    decoder.close();
  });
});

describe('AudioDecoder of AAC', () => {
  /** What our own encoder makes of `signal`, on all channels. */
  function encodeAac(channels: 1 | 2): { data: Buffer; ptsUs: number }[] {
    const encoder = new AudioEncoder({ channels, bitrateKbps: 96 });
    const units = [];
    for (let at = 0; at + AAC_BLOCK <= signal.length; at += AAC_BLOCK) {
      const block = signal.slice(at, at + AAC_BLOCK);
      const sound = { channels: Array.from({ length: channels }, () => block), samples: AAC_BLOCK };
      units.push(...encoder.encode(sound, at));
    }
    units.push(...encoder.flush());
    encoder.close();
    return units;
  }

  it.each<[1 | 2, 1 | 2]>([
    [1, 1],
    [1, 2],
    [2, 1],
    [2, 2],
  ])('%i to %i channels: everything is heard when it was said, as loud as it was', (sent, wanted) => {
    const decoder = new AudioDecoder({ codec: 'aac', channels: wanted });
    const units = encodeAac(sent);
    for (let channel = 0; channel < wanted; channel++) {
      decoder.reset();
      const heard = decodeAll(decoder, units, channel);
      expect(Math.abs(lagOf(signal, heard, ONSET + 3000))).toBeLessThanOrEqual(1);
      const power = (samples: Float32Array) => samples.reduce((sum, value) => sum + value * value, 0);
      expect(power(heard) / power(signal)).toBeGreaterThan(0.9);
      expect(power(heard) / power(signal)).toBeLessThan(1.1);
    }
    expect(decoder.damaged).toBe(0);
    decoder.close();
  });

  it('fills in for a unit that is damaged, and goes on', () => {
    const decoder = new AudioDecoder({ codec: 'aac', channels: 1 });
    const units = encodeAac(1).map((unit, n) => (n === 5 ? { ...unit, data: Buffer.alloc(9, 0xff) } : unit));
    const heard = decodeAll(decoder, units);
    expect(decoder.damaged).toBe(1);
    expect(Math.abs(lagOf(signal, heard, ONSET + 9000))).toBeLessThanOrEqual(1);
    decoder.close();
  });
});
