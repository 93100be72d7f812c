/** How far a recorder is behind its channel. */
import { expect, test } from 'vitest';
import { FeedScene } from '../../../test/support/feed-scene.ts';

const scene = () => {
  const made = new FeedScene();
  const sender = made.join('1', 1);
  made.open();
  const send = (count: number) => {
    for (let n = 0; n < count; n++) {
      made.advance(100);
      sender.sendPicture(0, n === 0);
      sender.sendSound();
    }
  };
  return { made, send, backlogMs: () => made.feed.backlogAgeUs(made.clock.monoUs()) / 1000 };
};

test('one that takes everything is not behind', () => {
  const { send, backlogMs } = scene();
  send(50);
  expect(backlogMs()).toBe(0);
});

test('one that takes nothing is behind by the age of the first packet that it has not been given', () => {
  const { made, send, backlogMs } = scene();
  send(10);
  made.recorder.isFull = true;
  // The first of these is still written: only then it is seen that the recorder is full.
  send(31);
  expect(backlogMs()).toBeGreaterThanOrEqual(2900);
  expect(backlogMs()).toBeLessThanOrEqual(3100);
  made.drain();
  expect(backlogMs()).toBe(0);
});

test('while no recorder reads, everything that is not safe waits; after the end nothing does', () => {
  const { made, send, backlogMs } = scene();
  send(20);
  made.release(500);
  made.feed.stopReading();
  send(10);
  expect(backlogMs()).toBe(1500);
  made.feed.end();
  expect(backlogMs()).toBe(0);
});
