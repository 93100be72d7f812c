/**
 * A recorder that wants the media of one kind of track: it is given that, and still told of every track.
 */
import { expect, test } from 'vitest';
import { FeedRecorder, FeedScene, packetsOf } from '../../../test/support/feed-scene.ts';

test.each([
  ['audio', 'video'],
  ['video', 'audio'],
] as const)('whoever wants %s is given no packet of %s, and all events', (wanted, other) => {
  const scene = new FeedScene();
  const sender = scene.join('1', 1);
  const send = () => {
    scene.advance(20);
    sender.sendSound();
    sender.sendPicture(0, true);
    sender.sendReport(0);
  };
  send();
  const { feed } = scene.room.addFeed('97', 0, () => {});
  const [both, one] = [new FeedRecorder(), new FeedRecorder()];
  feed.read(both, scene.clock.monoUs());
  send();
  scene.join('2', 1).sendSound();
  scene.leave('1');
  const kindOf = new Map(
    both.words.flatMap((what): [number, string][] => {
      const { type, track } = what.startsWith('{') ? JSON.parse(what) : {};
      return type === 'trackStarted' ? [[track.track, track.format.kind]] : [];
    }),
  );
  expect([...kindOf.values()].toSorted()).toEqual(['audio', 'audio', 'video', 'video']);
  // What has been given is given again, to a run that wants less.
  feed.read(one, scene.clock.monoUs(), [wanted]);
  const eventsOf = (recorder: FeedRecorder) => recorder.words.filter((what) => what.startsWith('{')).toSorted();
  expect(eventsOf(one)).toEqual(eventsOf(both));
  for (const [track, kind] of kindOf) {
    const given = packetsOf(both, track);
    if (kind === wanted) expect(packetsOf(one, track), `${track} as for everybody`).toEqual(given);
    else
      expect(one.words.some((what) => what.startsWith(`rtp ${track} `) || what.startsWith(`rtcp ${track} `))).toBe(
        false,
      );
    if (kind === other && track <= 2) expect(given.length).toBeGreaterThan(0);
  }
});
