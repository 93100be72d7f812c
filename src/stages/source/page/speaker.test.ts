import { expect, test } from 'vitest';
import type { Sound } from '../../../media/frame.ts';
import { SoundSplitter } from './speaker.ts';

test('sound that comes in pieces of any length is split into its channels, and loses nothing', () => {
  const frames = 1000;
  const bytes = Buffer.alloc(frames * 8);
  for (let i = 0; i < frames; i++) {
    bytes.writeFloatLE(i, i * 8);
    bytes.writeFloatLE(-i, i * 8 + 4);
  }
  const blocks: { sound: Sound; firstFrame: number; arrivalUs: number }[] = [];
  const split = new SoundSplitter();
  for (let at = 0, n = 0; at < bytes.length; n++) {
    const length = (n * 37) % 101;
    const take = (sound: Sound, firstFrame: number, arrivalUs: number) => blocks.push({ sound, firstFrame, arrivalUs });
    split.push(bytes.subarray(at, at + length), n, take);
    at += length;
  }
  const heard = blocks.flatMap(({ sound }) => [...sound.channels[0]!]);
  expect(heard).toEqual(Array.from({ length: frames }, (_, i) => i));
  expect(blocks.flatMap(({ sound }) => [...sound.channels[1]!])).toEqual(heard.map((value) => (value ? -value : -0)));
  let frame = 0;
  for (const { sound, firstFrame } of blocks) {
    expect(firstFrame).toBe(frame);
    frame += sound.samples;
  }
});
