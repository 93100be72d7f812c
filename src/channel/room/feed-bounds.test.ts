/**
 * What a feed gives up when a recorder does not come to it in time or in bytes, and that it says so.
 */
import { describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import { type FeedRecorder, FeedScene, type FeedSender, packetsOf } from '../../../test/support/feed-scene.ts';
import { PacketArena } from './packet-arena.ts';

describe('at its bounds a feed', () => {
  const run = (scene: FeedScene, sender: FeedSender, count: number, gop: number) => {
    for (let n = 0; n < count; n++) {
      scene.advance(100);
      sender.sendPicture(0, n % gop === 0);
      sender.sendSound();
    }
  };
  const droppedOf = (recorder: FeedRecorder) =>
    recorder.given.flatMap(({ what }) => (what.includes('"dropped"') ? [JSON.parse(what)] : []));

  test('gives up whole groups of pictures after some time, the oldest first, and sound; and says so', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 1e9, maxUs: 10_000_000 } };
    const scene = new FeedScene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    run(scene, sender, 300, 10);
    // The recorder read all this and did not say that any of it is safe.
    expect(droppedOf(scene.recorder)).toEqual([]);
    scene.connect();
    const [sound, pictures] = [packetsOf(scene.recorder, 1), packetsOf(scene.recorder, 2)];
    expect(scene.recorder.given.find(({ what }) => what.startsWith('rtp 2 '))?.key).toBe(true);
    expect(pictures).toEqual(packetsOf(scene.whole, 2).slice(-pictures.length));
    expect(pictures.length).toBeGreaterThanOrEqual(100);
    expect(pictures.length).toBeLessThanOrEqual(115);
    expect(sound.length).toBeGreaterThanOrEqual(100);
    const dropped = droppedOf(scene.recorder);
    expect(dropped.map(({ track, packets }) => [track, packets]).sort()).toEqual([
      [1, 300 - sound.length],
      [2, 300 - pictures.length],
    ]);
    for (const { fromUs, untilUs } of dropped) {
      expect(fromUs).toBe(60_100_000);
      expect(untilUs).toBeLessThan(scene.clock.monoUs() - 9_000_000);
    }
  });

  test('gives up what a recorder that does not read has not come to', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 1e9, maxUs: 10_000_000 } };
    const scene = new FeedScene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    scene.recorder.isFull = true;
    run(scene, sender, 300, 10);
    scene.drain();
    const given = packetsOf(scene.recorder, 2);
    const dropped = droppedOf(scene.recorder).find(({ track }) => track === 2);
    expect(given.length + dropped.packets).toBe(300);
    expect(given.slice(1)).toEqual(packetsOf(scene.whole, 2).slice(1 - given.length));
  });

  test('keeps a group longer than the time, and gives up one that is larger than the bytes', () => {
    const memory = { ...memoryForTests(), bounds: { maxBytes: 64 * 1024, maxUs: 10_000_000 } };
    const scene = new FeedScene(memory);
    const sender = scene.join('1', 1);
    scene.open();
    run(scene, sender, 500, 1000);
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toHaveLength(500);
    run(scene, sender, 2500, 10_000);
    scene.connect();
    expect(packetsOf(scene.recorder, 2).length).toBeLessThan(2500);
    expect(droppedOf(scene.recorder).map(({ track }) => track)).toContain(2);
  });

  test('of all together gives up the oldest of anyone', () => {
    const scene = new FeedScene({ ...memoryForTests(), arena: new PacketArena(128 * 1024) });
    const senders = ['1', '2', '3'].map((uid) => scene.join(uid, 1));
    scene.open();
    for (let n = 0; n < 3000; n++) {
      scene.advance(10);
      for (const sender of senders) sender.sendPicture(0, n % 10 === 0);
      expect(scene.memory.arena.bytes).toBeLessThanOrEqual(128 * 1024);
    }
    scene.connect();
    for (const track of [2, 4, 6]) expect(packetsOf(scene.recorder, track).length).toBeGreaterThan(500);
    expect(droppedOf(scene.recorder)).toHaveLength(3);
  });
});
