import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clicksIn } from '../../../test/support/judge/clicks.ts';
import type { Heard } from '../../../test/support/judge/sound.ts';
import { madeSound } from '../../../test/support/media/made-media.ts';
import { GREEN, RED } from '../../../test/support/media/participants.ts';
import type { Sound } from '../../media/frame.ts';
import { SoundMixer } from './sound-mixer.ts';

const BLOCK = 1024;

/** A 440 Hz tone as it runs at absolute positions, so that blocks cut from it join. */
function tone(start: number, samples: number, amplitude = 0.3, channels = 1, frequency = 440): Sound {
  const wave = Float32Array.from(
    { length: samples },
    (_, i) => amplitude * Math.sin((2 * Math.PI * frequency * (start + i)) / 48000),
  );
  return { channels: Array.from({ length: channels }, () => wave), samples };
}

function level(value: number, samples: number): Sound {
  return { channels: [new Float32Array(samples).fill(value)], samples };
}

function takeAll(mixer: SoundMixer, blocks: number): Float32Array {
  const all = new Float32Array(blocks * BLOCK);
  for (let i = 0; i < blocks; i++) all.set(mixer.take(BLOCK).channels[0]!, i * BLOCK);
  return all;
}

function biggestStep(samples: Float32Array): number {
  let biggest = 0;
  for (let i = 1; i < samples.length; i++) biggest = Math.max(biggest, Math.abs(samples[i]! - samples[i - 1]!));
  return biggest;
}

/** The steepest that a tone of this amplitude gets in one sample, with room for the middle of a fade of 240 samples. */
const slope = (amplitude: number, frequency = 440) => amplitude * ((2 * Math.PI * frequency) / 48000) + amplitude / 150;

describe('SoundMixer', () => {
  it('goes on from what another one saved, sample by sample', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ uid: fc.constantFrom('a', 'b'), gap: fc.integer({ min: -300, max: 900 }) }), {
          minLength: 8,
          maxLength: 40,
        }),
        fc.integer({ min: 1, max: 6 }),
        (script, at) => {
          const whole = new SoundMixer({ channels: 2 });
          let mixers = [whole];
          const ends = new Map<string, number>();
          script.forEach(({ uid, gap }, n) => {
            if (n === at) {
              const other = new SoundMixer({ channels: 2 });
              other.restore(JSON.parse(JSON.stringify(whole.save())));
              mixers = [whole, other];
            }
            const start = (ends.get(uid) ?? whole.position) + gap;
            for (const mixer of mixers) mixer.add(uid, start, tone(start, 960, 0.9, 2));
            ends.set(uid, start + 960);
            if (n % 2 === 0) return;
            const [expected, ...others] = mixers.map((mixer) => mixer.take(BLOCK));
            for (const other of others)
              for (const channel of [0, 1]) {
                const [ours, theirs] = [expected!, other].map(({ channels }) => Buffer.from(channels[channel]!.buffer));
                expect(ours!.equals(theirs!)).toBe(true);
              }
          });
        },
      ),
      { numRuns: 20 },
    );
  });

  it('puts sound at its absolute place and leaves silence elsewhere', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 3000, tone(0, 960));
    const all = takeAll(mixer, 6);
    expect(all.subarray(0, 3000).every((v) => v === 0)).toBe(true);
    expect(all.subarray(3240, 3960)).toEqual(tone(240, 720).channels[0]);
    expect(all.subarray(4200).every((v) => v === 0)).toBe(true);
  });

  it('leaves the sound of one user bit for bit as it was', () => {
    const mixer = new SoundMixer({ channels: 1 });
    for (let at = 0; at < 48000; at += 960) mixer.add('a', at, tone(at, 960));
    expect(takeAll(mixer, 40).subarray(240)).toEqual(tone(240, 40 * BLOCK - 240).channels[0]);
  });

  it('adds users up', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 0, level(0.25, 4800));
    mixer.add('b', 0, level(-0.125, 4800));
    expect(mixer.take(BLOCK).channels[0]![600]).toBeCloseTo(0.125);
  });

  it('makes stereo of mono and mono of stereo', () => {
    const stereo = new SoundMixer({ channels: 2 });
    stereo.add('a', 0, level(0.5, 2000));
    expect(stereo.take(BLOCK).channels.map((c) => c[500])).toEqual([0.5, 0.5]);
    const mono = new SoundMixer({ channels: 1 });
    mono.add('a', 0, { channels: [new Float32Array(2000).fill(0.5), new Float32Array(2000)], samples: 2000 });
    expect(mono.take(BLOCK).channels[0]![500]).toBe(0.25);
  });

  it('joins blocks whose start wobbles by up to 3 ms without a click', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: -140, max: 140 }), { minLength: 40, maxLength: 40 }), (wobble) => {
        const mixer = new SoundMixer({ channels: 1 });
        wobble.forEach((error, i) => {
          mixer.add('a', 1000 + i * 960 + error, tone(i * 960, 960));
        });
        // Bent by up to 5 %, the tone is as steep as one that is 5 % higher.
        expect(biggestStep(takeAll(mixer, 38))).toBeLessThan(slope(0.3, 440 * 1.05));
        expect(mixer.lateSamples).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  it('follows a clock that runs 0.1 % fast or slow, without clicks and without drifting off', () => {
    for (const rate of [0.999, 1.001]) {
      const mixer = new SoundMixer({ channels: 1, aheadMs: 12_000 });
      const blocks = 500;
      for (let i = 0; i < blocks; i++) mixer.add('a', i * 960 * rate, tone(i * 960, 960));
      const all = takeAll(mixer, 490);
      expect(biggestStep(all)).toBeLessThan(slope(0.3));
      let end = all.length;
      while (end > 0 && Math.abs(all[end - 1]!) < 0.01) end--;
      expect(Math.abs(end - blocks * 960 * rate)).toBeLessThan(144 + 240);
    }
  });

  it.each([
    [480, 0.05],
    [960, 0.05],
    [2880, 0.05],
    [480, -0.05],
    [960, -0.05],
    [2880, -0.05],
  ])('bends the wave of blocks of %i samples, and cuts it nowhere, while a clock is slewed by %f', (length, slew) => {
    const mixer = new SoundMixer({ channels: 1 });
    let at = 0;
    for (let n = 0; n * length < 96_000; n++) {
      mixer.add('a', at, tone(n * length, length));
      // As StreamClock does for the first second after a late first report.
      const isSlewed = n * length >= 24_000 && n * length < 72_000;
      at += isSlewed ? length * (1 + slew) : length;
    }
    const all = takeAll(mixer, 84);
    let sharpest = 0;
    for (let i = 1000; i < all.length - 1; i++)
      sharpest = Math.max(sharpest, Math.abs(all[i - 1]! - 2 * all[i]! + all[i + 1]!));
    // A tone's own curve is 0.001; a cut is ten times that and more.
    expect(sharpest).toBeLessThan(0.003);
  });

  it.each([-5000, -960, -700, -300, -200, 200, 500, 900, 3000])('fades over a jump of %i samples', (jump) => {
    const mixer = new SoundMixer({ channels: 1 });
    for (let i = 0; i < 10; i++) mixer.add('a', i * 960, tone(i * 960, 960));
    for (let i = 10; i < 20; i++) mixer.add('a', i * 960 + jump, tone(i * 960 + 37, 960));
    // Two fades may meet, so twice the room for one.
    expect(biggestStep(takeAll(mixer, 22))).toBeLessThan(2 * slope(0.3));
  });

  it('never doubles a block that comes twice', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 0, level(0.3, 960));
    mixer.add('a', 0, level(0.3, 960));
    mixer.add('a', 960, level(0.3, 960));
    const [samples] = mixer.take(BLOCK).channels;
    expect(samples!.subarray(240).every((v) => Math.abs(v - 0.3) < 1e-6)).toBe(true);
  });

  it('fades out when a user ends in the middle of a wave', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 0, level(0.3, 3000));
    const all = takeAll(mixer, 5);
    expect(biggestStep(all)).toBeLessThan(0.3 / 150);
    expect(all[3300]).toBe(0);
  });

  it.each([
    ['once', [[0, 60_003]]],
    [
      'and comes again after 1.8 s',
      [
        [0, 61_000],
        [147_400, 192_000],
      ],
    ],
    [
      'and comes again within its fade',
      [
        [0, 60_047],
        [60_247, 192_000],
      ],
    ],
  ])('does not click where a voice ends abruptly %s', (_, spans) => {
    const whole = madeSound(RED, 0, 192_000);
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('b', 0, { channels: [madeSound(GREEN, 0, 192_000)], samples: 192_000 });
    for (const [from, to] of spans as [number, number][])
      for (let at = from; at < to; at += 960) {
        const samples = Math.min(960, to - at);
        mixer.add('a', at, { channels: [whole.subarray(at, at + samples)], samples });
      }
    expect(clicksIn({ mono: takeAll(mixer, 187), startS: 0 } as Heard)).toEqual([]);
  });

  it('drops late sound and counts it', () => {
    const mixer = new SoundMixer({ channels: 1 });
    takeAll(mixer, 2);
    expect(mixer.add('a', 1048, level(0.3, 2000))).toBe(1000);
    expect(mixer.lateSamples).toBe(1000);
    const [samples] = mixer.take(BLOCK).channels;
    expect(biggestStep(samples!)).toBeLessThan(0.3 / 150);
    expect(samples![500]).toBeCloseTo(0.3);
    expect(mixer.add('b', 0, level(0.3, 100))).toBe(100);
    expect(mixer.lateSamples).toBe(1100);
  });

  it('takes up a voice again in time after sound that came too late', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.seek(48000);
    // Nobody misses what lies before the beginning.
    expect(mixer.add('a', 46000, level(0.3, 960))).toBe(0);
    mixer.add('a', 46960, level(0.3, 960));
    mixer.add('a', 47920, level(0.3, 960));
    expect(mixer.lateSamples).toBe(960 + 960 + 80);
    const [samples] = mixer.take(BLOCK).channels;
    expect(samples![700]).toBeCloseTo(0.3);
    expect(Math.abs(samples![0]!)).toBeLessThan(0.01);
  });

  it('keeps nothing beyond its reach', () => {
    const mixer = new SoundMixer({ channels: 1, aheadMs: 1000 });
    mixer.add('a', 40_000, level(0.3, 20_000));
    expect(mixer.earlySamples).toBe(12_000);
    mixer.add('b', 900_000, level(0.3, 100));
    expect(mixer.earlySamples).toBe(12_100);
    expect(takeAll(mixer, 60).every((v) => v < 0.301)).toBe(true);
  });

  it('begins anywhere', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 0, level(0.3, 960));
    mixer.seek(1_000_000_007);
    expect(mixer.take(BLOCK).channels[0]!.every((v) => v === 0)).toBe(true);
    mixer.add('a', mixer.position, level(0.3, 960));
    expect(mixer.take(BLOCK).channels[0]![500]).toBeCloseTo(0.3);
  });

  it('puts users on their sides, of a sender in stereo the mean of both', () => {
    const mixer = new SoundMixer({ channels: 2 });
    mixer.add(
      'left',
      0,
      { channels: [new Float32Array(2000).fill(0.4), new Float32Array(2000)], samples: 2000 },
      'left',
    );
    mixer.add('right', 0, level(0.5, 2000), 'right');
    mixer.add('both', 0, level(0.0625, 2000));
    const [left, right] = mixer.take(BLOCK).channels.map((samples) => samples[500]!) as [number, number];
    expect([left, right]).toEqual([expect.closeTo(0.2625), expect.closeTo(0.5625)]);
  });

  it.each([
    ['left', 'right'],
    ['both', 'left'],
    ['right', 'both'],
  ] as const)('glides from %s to %s within 5 ms, and clicks nowhere', (before, after) => {
    const mixer = new SoundMixer({ channels: 2 });
    for (let at = 0; at < 40 * 960; at += 960)
      mixer.add('a', at, tone(at, 960, 0.3, 2), at < 20 * 960 + 300 ? before : after);
    const blocks = Array.from({ length: 36 }, () => mixer.take(BLOCK).channels);
    const loudOn = (side: string) => (side === 'both' ? [true, true] : [side === 'left', side === 'right']);
    for (const channel of [0, 1]) {
      const samples = Float32Array.from(blocks.flatMap((block) => [...block[channel]!]));
      expect(biggestStep(samples)).toBeLessThan(slope(0.3));
      const isLoud = (from: number, to: number) => samples.subarray(from, to).some((value) => Math.abs(value) > 0.29);
      const movedAt = 21 * 960;
      expect([isLoud(1000, movedAt), isLoud(movedAt + 240, samples.length)]).toEqual([
        loudOn(before)[channel],
        loudOn(after)[channel],
      ]);
    }
  });

  it('knows after a restart where a user was heard, so that one who is moved glides from there', () => {
    const mixers = [new SoundMixer({ channels: 2 }), new SoundMixer({ channels: 2 })];
    mixers[0]!.add('a', 0, tone(0, 2000, 0.3, 2), 'left');
    mixers[1]!.restore(JSON.parse(JSON.stringify(mixers[0]!.save())));
    for (const mixer of mixers) mixer.add('a', 2000, tone(2000, 960, 0.3, 2), 'right');
    const [went, goesOn] = mixers.map((mixer) => [mixer.take(BLOCK), mixer.take(BLOCK)]);
    expect(goesOn).toEqual(went);
  });

  it('turns down both sides alike where one is too loud', () => {
    const mixer = new SoundMixer({ channels: 2 });
    for (let user = 0; user < 4; user++) mixer.add(`u${user}`, 0, level(0.4, 9600), 'left');
    mixer.add('quiet', 0, level(0.2, 9600), 'right');
    const [left, right] = [mixer.take(BLOCK), mixer.take(BLOCK)].at(-1)!.channels.map((samples) => samples[900]!);
    expect(left).toBeLessThan(1);
    expect(left).toBeGreaterThan(0.9);
    expect(right! / left!).toBeCloseTo(0.2 / 1.6, 3);
  });

  it('never reaches full scale with seventeen loud users, and leaves no edge', () => {
    const mixer = new SoundMixer({ channels: 1 });
    for (let at = 0; at < 96_000; at += 960) {
      for (let user = 0; user < 17; user++) {
        // Half of them begin later, at once.
        if (user % 2 && at < 30_000) continue;
        mixer.add(`u${user}`, at, tone(at, 960, 0.9, 1, 200 + 13 * user));
      }
    }
    const all = takeAll(mixer, 90);
    expect(Math.max(...all.map(Math.abs))).toBeLessThan(1);
    expect(Math.max(...all.map(Math.abs))).toBeGreaterThan(0.7);
    expect(biggestStep(all)).toBeLessThan(0.1);
  });

  it('does not touch a sum below -3 dBFS', () => {
    const mixer = new SoundMixer({ channels: 1 });
    mixer.add('a', 0, level(0.35, 9600));
    mixer.add('b', 0, level(0.35, 9600));
    const [, second] = [mixer.take(BLOCK), mixer.take(BLOCK)];
    expect(second.channels[0]!.every((v) => Math.abs(v - 0.7) < 1e-6)).toBe(true);
  });
});
