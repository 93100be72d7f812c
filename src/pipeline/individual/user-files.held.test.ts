/** What is kept in memory of a user who has left, while the recording of the others goes on. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, onTestFinished, test } from 'vitest';
import { makeVideo } from '../../../test/support/encoded-samples.ts';
import { individualPlanOf } from '../../../test/support/scripted-recording.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { Track } from '../../media/track.ts';
import type { PlacedSample } from './due-samples.ts';
import { UserFiles } from './user-files.ts';

const PICTURE: Track = {
  ...{ track: 1, uid: '1' },
  format: { kind: 'video', codec: 'h264', payloadType: 96, clockRate: 90000, fmtp: '' },
};
const SOUND: Track = {
  ...{ track: 2, uid: '1' },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
};

/** Has a user's pictures and sound taken; nothing else holds them. */
function take(user: UserFiles, pictures: readonly EncodedSample[], isPassed: boolean): WeakRef<object>[] {
  return pictures.flatMap(({ data, ...sample }) => {
    const picture = { ...sample, data: Buffer.from(data), rtpTime: 0 } as unknown as PlacedSample;
    const packet = { ...picture, data: Buffer.from([0xfc, 1, 2]) };
    const sound = { channels: [new Float32Array(1600).fill(0.1)], samples: 1600 };
    user.takePicture(PICTURE, picture);
    if (isPassed) user.passSound(SOUND, packet);
    else user.takeSound(SOUND, Math.round((sample.ptsUs * 48_000) / 1e6), sound);
    user.step(sample.ptsUs);
    return [picture.data, packet.data, ...sound.channels].map((each) => new WeakRef(each));
  });
}

test.each(['default', 'standard', 'original'] as const)('of stream mode %s no picture and no sound', async (mode) => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-user-files-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  const size = { width: 320, height: 180, fps: 30 };
  const { samples } = await makeVideo({ seconds: 3, ...size, keyIntervalFrames: 45, bFrames: 0 });
  const onLost = (_uid: string, what: string) => expect.fail(what);
  const user = new UserFiles({
    uid: '1',
    plan: individualPlanOf({ streamMode: mode }),
    sink: { dir, baseName: 'x', zeroUtcMs: 0, onSliceStart() {}, async onFile() {}, onLost },
    tracks: () => [SOUND, PICTURE],
  });
  const taken = take(user, samples, mode === 'original');
  await user.finish();
  expect(readdirSync(dir).length).toBeGreaterThan(1);
  setFlagsFromString('--expose-gc');
  // What was held in this turn is held until it is over.
  await pause(0);
  (runInNewContext('gc') as () => void)();
  expect(taken.filter((one) => one.deref())).toHaveLength(0);
});
