/**
 * What is lost is made up for as long as it was, no more and no less, and sound keeps its place around it.
 */
import { afterEach, expect, test } from 'vitest';
import { clicksIn } from '../../../test/support/judge/clicks.ts';
import type { Heard } from '../../../test/support/judge/sound.ts';
import { madeSound } from '../../../test/support/media/made-media.ts';
import { encodeOpus, sweep } from '../../../test/support/media/opus.ts';
import { RED } from '../../../test/support/media/participants.ts';
import { SoundMixer } from '../compose/sound-mixer.ts';
import { HeardSound } from './heard-sound.ts';
import { liveFrames } from './native-frames.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

/** How far a decoder of Opus runs behind, samples: 6.5 ms. */
const LEAD = 312;
const packets = encodeOpus(sweep(48_000, 100), { application: 'audio', bitrate: 64_000, frameMs: 20, channels: 1 });

/**
 * Decodes all but the lost ones; returns blocks of sound as start and end, in samples, and what was concealed,
 * microseconds.
 */
function hear(lost: number[], knowsOfLoss = true) {
  const heard = new HeardSound({ codec: 'opus', channels: 1 });
  const blocks: [start: number, end: number][] = [];
  let concealedUs = 0;
  for (const [n, { data, ptsUs }] of packets.slice(0, 20).entries()) {
    if (lost.includes(n)) continue;
    const sample = { data, ptsUs, ...(knowsOfLoss ? { afterLoss: lost.includes(n - 1) } : {}) };
    concealedUs +=
      heard.decode(sample, (start, { samples }) => blocks.push([start, start + samples]))?.concealedUs ?? 0;
  }
  heard.close();
  return { blocks, concealedUs };
}

test.each([
  ['one packet of 20 ms', [7], 20_000],
  ['two', [7, 8], 40_000],
  ['three, the most that are made up', [7, 8, 9], 60_000],
  ['two apart', [7, 12], 40_000],
])('%s is made up for as long as it was, whether it is told or found', (_, lost, us) => {
  for (const knowsOfLoss of [true, false]) {
    const { blocks, concealedUs } = hear(lost, knowsOfLoss);
    expect(concealedUs).toBe(us);
    // Block joins block, from the first to the last.
    for (const [n, [start]] of blocks.entries()) if (n > 0) expect(start).toBe(blocks[n - 1]![1]);
    expect(blocks[0]![0]).toBe(0);
    expect(blocks.at(-1)![1]).toBe(20 * 960 - LEAD);
  }
});

test('a lost packet in the middle of a tone does not click', () => {
  const tone = madeSound(RED, 0, 96_000);
  const sent = encodeOpus(tone, { application: 'audio', bitrate: 96_000, frameMs: 20, channels: 1 });
  const heard = new HeardSound({ codec: 'opus', channels: 1 });
  const mono = new Float32Array(96_000);
  for (const [n, { data, ptsUs }] of sent.entries()) {
    if (n % 10 === 7) continue;
    heard.decode({ data, ptsUs, afterLoss: n % 10 === 8 }, (start, { channels }) => {
      if (start >= 0) mono.set(channels[0]!.subarray(0, 96_000 - start), start);
    });
  }
  heard.close();
  expect(clicksIn({ mono, startS: 0 } as Heard)).toEqual([]);
});

test('more than that stays silent', () => {
  const { blocks, concealedUs } = hear([7, 8, 9, 10]);
  expect(concealedUs).toBe(0);
  expect(blocks.length).toBe(16);
});

test.each([
  ['at its beginning', 0, []],
  ['after a pause', 12, [7, 8, 9, 10, 11]],
])('a wave has no silence of the decoder before it, %s', (_, first, lost) => {
  const { blocks } = hear(lost);
  // Whoever fades it in begins where the wave does.
  expect(blocks.find(([start]) => start >= first * 960)![0]).toBe(first * 960);
});

test('sound whose clock is slewed goes on: nothing of it is taken for a new beginning', () => {
  const heard = new HeardSound({ codec: 'opus', channels: 1 });
  const mixer = new SoundMixer({ channels: 1, limited: false });
  const lengths: number[] = [];
  // At the fastest slew there is, packets of 20 ms lie 21 ms apart, and a little more where their timestamps round.
  for (const [n, { data }] of packets.slice(0, 40).entries())
    heard.decode({ data, ptsUs: n * 21_020, afterLoss: false }, (start, sound) => {
      lengths.push(sound.samples);
      mixer.add('1', start, sound);
    });
  heard.close();
  expect(lengths).toEqual([960 - LEAD, ...Array.from({ length: 39 }, () => 960)]);
  const [mono] = mixer.take(38 * 1008).channels;
  const levels = Array.from({ length: 37 * 4 }, (_, n) => Math.max(...mono!.slice((n + 4) * 240, (n + 5) * 240)));
  expect(Math.min(...levels)).toBeGreaterThan(0.05);
});

test('a pause of the sender is no loss', () => {
  const heard = new HeardSound({ codec: 'opus', channels: 1 });
  heard.decode({ ...packets[0]!, afterLoss: false }, () => {});
  expect(heard.decode({ ...packets[2]!, afterLoss: false }, () => {})?.concealedUs).toBe(0);
  heard.close();
});
