/**
 * A feed that is read again gives what it gave before, whatever happened in between.
 */

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FeedScene, packetsOf } from '../../../test/support/feed-scene.ts';

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 700 }) }) },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('picture' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layer: fc.integer({ min: 0, max: 2 }),
      key: fc.boolean(),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('sound' as const), user: fc.integer({ min: 0, max: 2 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('report' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layer: fc.integer({ min: 0, max: 2 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('join' as const),
      user: fc.integer({ min: 0, max: 2 }),
      layers: fc.integer({ min: 1, max: 3 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('leave' as const), user: fc.integer({ min: 0, max: 2 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('safe' as const), agoMs: fc.integer({ min: 0, max: 2000 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('connect' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('full' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drain' as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function perform(scene: FeedScene, one: Step): void {
  const sender = 'user' in one ? scene.senders.get(String(one.user)) : undefined;
  if (one.do === 'advance') scene.advance(one.ms);
  else if (one.do === 'picture') sender?.sendPicture(one.layer, one.key);
  else if (one.do === 'sound') sender?.sendSound();
  else if (one.do === 'report') sender?.sendReport(one.layer);
  else if (one.do === 'join') scene.join(String(one.user), one.layers);
  else if (one.do === 'leave') scene.leave(String(one.user));
  else if (one.do === 'safe') scene.release(one.agoMs);
  else if (one.do === 'connect') scene.connect();
  else if (one.do === 'full') scene.recorder.isFull = true;
  else scene.drain();
}

describe('a feed that is read again', () => {
  test('gives the same packets, numbers, events and times in the same order, whatever happened', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), fc.array(step, { maxLength: 150 }), (before, after) => {
        const scene = new FeedScene();
        for (const one of before)
          if (one.do !== 'safe' && one.do !== 'connect' && one.do !== 'full' && one.do !== 'drain') perform(scene, one);
        scene.advance(1);
        scene.open();
        let fromUs = scene.safeUs;
        for (const one of after) {
          if (one.do === 'connect') {
            scene.expectAgain(fromUs);
            fromUs = scene.safeUs;
          }
          perform(scene, one);
          // Things of one instant have an order too, but a safe point cannot stand between them.
          scene.advance(1);
        }
        scene.expectAgain(fromUs);
      }),
      { numRuns: 300 },
    );
  });

  test('of a simulcast begins with the key frame that its first layer is chosen by', () => {
    const scene = new FeedScene();
    const sender = scene.join('1', 2);
    scene.open();
    sender.sendPicture(0, false);
    scene.advance(40);
    sender.sendPicture(0, true);
    expect(packetsOf(scene.whole, 2)).toHaveLength(1);
    expect(scene.whole.given.at(-1)!.key).toBe(true);
  });

  test('begins with the last key frame before what is safe, however old', () => {
    const scene = new FeedScene();
    const sender = scene.join('1', 1);
    sender.sendPicture(0, true);
    scene.open();
    for (let n = 0; n < 60; n++) {
      scene.advance(1000);
      sender.sendPicture(0, false);
      sender.sendSound();
      scene.release(400);
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toEqual(packetsOf(scene.whole, 2));
    expect(packetsOf(scene.recorder, 1)).toHaveLength(1);
  });

  test('tells nothing of ended tracks that never had a picture, however often a user came again', () => {
    const scene = new FeedScene();
    scene.join('1', 1);
    scene.open();
    for (let n = 0; n < 50; n++) {
      scene.join('1', 1).sendSound();
      scene.advance(1000);
      scene.release(400);
    }
    scene.connect();
    const started = scene.recorder.words.filter((what) => what.includes('trackStarted'));
    // Those of the session that is there, and what ended since the safe point.
    expect(started).toHaveLength(2);
  });

  test('gives the last picture of a track that ended, for as long as nothing newer of the user is seen', () => {
    const scene = new FeedScene();
    const camera = scene.join('1', 1);
    scene.open();
    camera.sendPicture(0, true);
    scene.advance(40);
    camera.sendPicture(0, false);
    const screen = scene.join('1', 1);
    for (let n = 0; n < 10; n++) {
      scene.advance(1000);
      screen.sendSound();
      scene.release(0);
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toHaveLength(2);
    const [ended] = scene.recorder.given.filter(({ what }) => what === '{"type":"trackEnded","track":2}');
    expect(scene.whole.given).toContainEqual(ended);
    scene.advance(1000);
    screen.sendPicture(0, true);
    scene.advance(1000);
    scene.release(0);
    scene.connect();
    expect(packetsOf(scene.recorder, 2)).toEqual([]);
    expect(packetsOf(scene.recorder, 4)).toHaveLength(1);
    expect(scene.recorder.words.filter((what) => what.includes('trackStarted'))).toHaveLength(2);
  });

  test('of a user who left gives nothing any more, and keeps nothing', () => {
    const scene = new FeedScene();
    const sender = scene.join('1', 1);
    scene.open();
    sender.sendPicture(0, true);
    scene.leave('1');
    scene.advance(1000);
    expect(scene.memory.arena.bytes).toBeGreaterThan(0);
    scene.release(0);
    expect([scene.memory.arena.bytes, scene.memory.arena.users]).toEqual([0, 0]);
    scene.connect();
    expect(scene.recorder.words.map((what) => JSON.parse(what).type)).toEqual(['hello', 'caughtUp']);
  });

  test('keeps all for a recorder that takes a minute to come', () => {
    const scene = new FeedScene();
    scene.open();
    scene.feed.stopReading();
    const sender = scene.join('1', 1);
    for (let n = 0; n < 600; n++) {
      scene.advance(100);
      sender.sendPicture(0, n % 10 === 0);
      sender.sendSound();
    }
    scene.connect();
    expect(packetsOf(scene.recorder, 1)).toHaveLength(600);
    expect(packetsOf(scene.recorder, 2)).toHaveLength(600);
  });
});
