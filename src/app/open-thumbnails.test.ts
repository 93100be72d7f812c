import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { openThumbnails } from './open-thumbnails.ts';

test('where they are off nothing of a channel is looked at, and whoever asks is told why', async () => {
  const never = () => {
    throw new Error('nobody may look');
  };
  const { thumbnails, closeThumbnails } = openThumbnails({
    ...{ isOn: false, clock: new ManualClock(), entry: 'main.ts', env: {} },
    rooms: { publicationsOf: never },
    metrics: { thumbnailAsked: never },
    forks: { start: never },
    log: { warn: never },
  });
  await expect(thumbnails.of('app', 'room', '7')).rejects.toMatchObject({
    ...{ code: 'thumbnail-unknown', message: expect.stringContaining('setting thumbnails is off') },
  });
  await closeThumbnails();
});
