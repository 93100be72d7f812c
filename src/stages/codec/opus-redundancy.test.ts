/**
 * Sound of packets that are lost, taken out of those behind them and held against what would have been heard without a
 * loss.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { clicksIn } from '../../../test/support/judge/clicks.ts';
import type { Heard } from '../../../test/support/judge/sound.ts';
import { encodeOpus, type OpusSettings } from '../../../test/support/media/opus.ts';
import { HeardSound } from './heard-sound.ts';
import { liveFrames } from './native-frames.ts';
import { holdsRedundancy, OpusRedundancy } from './opus-redundancy.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

const SAMPLES = 96_000;

/** A voice of sorts: a pitch that glides, with overtones as of a vowel, in syllables. */
const voice = Float32Array.from({ length: SAMPLES }, (_, i) => {
  const t = i / 48_000;
  let value = 0;
  for (let n = 1; n <= 20; n++) {
    const hz = n * 130;
    const formant = 1 / (1 + ((hz - 600) / 200) ** 2) + 0.5 / (1 + ((hz - 1300) / 250) ** 2);
    value += formant * Math.sin(2 * Math.PI * n * (130 * t + 4 * Math.sin(2 * t)));
  }
  return 0.12 * value * (0.6 + 0.4 * Math.sin(2 * Math.PI * 3 * t));
});

type Packet = { data: Buffer; ptsUs: number };

/** All sound of a stream without some of its packets, and how much of it was made up. */
function hear(packets: Packet[], channels: 1 | 2, isLost: (n: number) => boolean) {
  const heard = new HeardSound({ codec: 'opus', channels });
  const mono = new Float32Array(SAMPLES);
  let concealedUs = 0;
  for (const [n, packet] of packets.entries()) {
    if (isLost(n)) continue;
    const result = heard.decode({ ...packet, afterLoss: n > 0 && isLost(n - 1) }, (start, sound) => {
      const from = Math.max(0, -start);
      mono.set(sound.channels.at(-1)!.subarray(from, Math.max(from, SAMPLES - start)), start + from);
    });
    concealedUs += result?.concealedUs ?? 0;
  }
  heard.close();
  return { mono, concealedUs };
}

/** How much differs of the energy in `whole`, in the lost packets. */
function errorAt(whole: Float32Array, mono: Float32Array, lost: number[], frame: number): number {
  let [energy, error] = [0, 0];
  for (const n of lost)
    for (let i = n * frame - 312; i < (n + 1) * frame - 312; i++) {
      energy += whole[i]! ** 2;
      error += (whole[i]! - mono[i]!) ** 2;
    }
  return error / energy;
}

const base = { application: 'voip', redundant: true } as const;

describe.each<[string, OpusSettings]>([
  ['20 ms, SILK', { ...base, bitrate: 24_000, frameMs: 20, channels: 1 }],
  ['20 ms, hybrid', { ...base, bitrate: 40_000, frameMs: 20, channels: 1 }],
  ['20 ms, stereo', { ...base, bitrate: 48_000, frameMs: 20, channels: 2 }],
  ['10 ms', { ...base, bitrate: 28_000, frameMs: 10, channels: 1 }],
])('packets of %s', (_, settings) => {
  const packets = encodeOpus(voice, settings);
  const frame = settings.frameMs * 48;
  const isLost = (n: number) => n > 5 && n % 7 === 3;
  const lost = packets.flatMap((_, n) => (isLost(n) && packets[n + 1] ? [n] : []));

  test('give back the one lost before them', () => {
    const whole = hear(packets, settings.channels, () => false).mono;
    const { mono, concealedUs } = hear(packets, settings.channels, isLost);
    const held = lost.filter((n) => holdsRedundancy(packets[n + 1]!.data));
    // Frames without a voice in them are not sent twice.
    expect(held.length).toBeGreaterThan(lost.length / 2);
    expect(concealedUs).toBe((lost.length - held.length) * settings.frameMs * 1000);
    expect(errorAt(whole, mono, held, frame)).toBeLessThan(0.3);
    // What is made up without them is something else.
    const bare = encodeOpus(voice, { ...settings, redundant: false });
    const guessed = hear(bare, settings.channels, isLost).mono;
    expect(errorAt(hear(bare, settings.channels, () => false).mono, guessed, held, frame)).toBeGreaterThan(0.6);
  });
});

test('of packets with several frames, only the last frame is there, and the time is filled', () => {
  const packets = encodeOpus(voice, { ...base, bitrate: 24_000, frameMs: 60, channels: 1 });
  const behind = packets.findIndex(({ data }, n) => n > 5 && holdsRedundancy(data));
  const redundancy = new OpusRedundancy();
  for (const { data } of packets.slice(0, behind - 1)) redundancy.note(data);
  const recovered = redundancy.recover(packets[behind]!.data, 2880, 1);
  expect(recovered).toMatchObject({ lost: { samples: 2880 }, next: { samples: 2880 } });
});

test('is not seen in what has none', () => {
  const plain = { application: 'voip', bitrate: 24_000, frameMs: 20, channels: 1 } as const;
  const music = { ...plain, application: 'audio', bitrate: 96_000 } as const;
  for (const settings of [plain, music])
    expect(encodeOpus(voice, settings).filter(({ data }) => holdsRedundancy(data))).toEqual([]);
});

test('takes any bytes', () => {
  const redundancy = new OpusRedundancy();
  let seed = 1;
  const next = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return seed;
  };
  for (let n = 0; n < 300; n++) {
    const data = Buffer.from(Array.from({ length: next() % 40 }, () => next() & 0xff));
    const recovered = redundancy.recover(data, 960, n % 2 ? 1 : 2);
    if (recovered) expect(recovered.lost.samples).toBe(960);
    redundancy.note(data);
  }
});

test('does not click where it joins on', () => {
  const packets = encodeOpus(voice, { ...base, bitrate: 24_000, frameMs: 20, channels: 1 });
  expect(clicksIn({ mono: hear(packets, 1, () => false).mono, startS: 0 } as Heard)).toEqual([]);
  const isLost = (n: number) => n > 5 && n % 9 === 3 && holdsRedundancy(packets[n + 1]?.data ?? Buffer.alloc(0));
  const { mono, concealedUs } = hear(packets, 1, isLost);
  expect(concealedUs).toBe(0);
  expect(clicksIn({ mono, startS: 0 } as Heard)).toEqual([]);
});
