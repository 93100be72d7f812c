/**
 * Composites of each kind (contract §1.2.2): sound alone, picture alone, in each audio profile, and of a full room all
 * speaking at once, by a held clock and judged in the files.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import { AUDIO_PROFILES } from '../../src/contract/rest/media-values.ts';
import { inStereo } from '../../src/contract/rest/stereo.ts';
import { AUDIO_BLOCK, MixOutput } from '../../src/pipeline/mix/mix-output.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { seededRandom } from '../support/impair/random.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { probeFile } from '../support/judge/probe.ts';
import { envelopeOf, listen } from '../support/judge/sound.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, planOf, record } from '../support/scripted-recording.ts';

/** Entries of an envelope a second. */
const ENVELOPE_RATE = 400;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-kinds-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

/** A plan of sound alone. */
function soundPlan(profile: keyof typeof AUDIO_PROFILES): MixPlan {
  const { video: _, ...plan } = planOf({ audio: AUDIO_PROFILES[profile] });
  return plan;
}

describe('a composite', () => {
  test('of 17 who all speak at once is turned down, and not clipped', async () => {
    const users: ScriptedUser[] = Array.from({ length: 17 }, (_, n) => ({
      ...{ uid: `${n + 1}`, participant: RED, fromS: -1, toS: 9, video: false },
    }));
    const { mp4 } = await record(dir, users, soundPlan(1), 3);
    const heard = listen(mp4);
    expect(heard.peak).toBeGreaterThan(0.7);
    expect(heard.peak).toBeLessThan(1.05);
    // All have one pitch and are in step, so their sum is a tone; one that is clipped has a third of it at three times
    // its pitch.
    const [tone, third] = [RED.toneHz, 3 * RED.toneHz].map((toneHz) => envelopeOf(heard, toneHz));
    for (const atS of [1.05, 1.5, 2.05, 2.5]) {
      const at = Math.round((atS - heard.startS) * ENVELOPE_RATE);
      expect(third![at]! / tone![at]!, `${atS} s`).toBeLessThan(0.03);
    }
  });

  test.each([0, 1, 2] as const)(
    'of sound alone has the channels of audio profile %i, and no picture',
    async (profile) => {
      const users: ScriptedUser[] = [{ uid: '1', participant: GREEN, fromS: -1, toS: 9 }];
      const { mp4, ending } = await record(dir, users, soundPlan(profile), 2);
      expect(ending).toMatchObject({ reason: 'stopped', recorded: true });
      const { video, audio } = probeFile(mp4);
      expect(video).toBeUndefined();
      expect(audio).toMatchObject({ channels: profile === 2 ? 2 : 1 });
      expect(listen(mp4).peak).toBeGreaterThan(0.02);
    },
  );

  test.each([0, 1, 2] as const)('spends the bits of audio profile %i on a sound that needs them', async (profile) => {
    const audio = AUDIO_PROFILES[profile];
    const output = await MixOutput.open({
      ...{ video: undefined, audio, files: { hls: true, mp4: true }, mp4Limit: planOf().mp4Limit },
      ...{ baseName: BASE, spoolDir: dir, zeroUtcMs: 0, onSliceStart: () => {}, onFile: () => {} },
    });
    const random = seededRandom(profile);
    const blocks = 400;
    for (let n = 0; n < blocks; n++) {
      const noise = () => Float32Array.from({ length: AUDIO_BLOCK }, () => 0.4 * (random() - 0.5));
      const channels = Array.from({ length: audio.channels }, noise);
      await output.writeSound({ channels, samples: AUDIO_BLOCK }, n * AUDIO_BLOCK);
    }
    await output.finish();
    output.close();
    const { audio: found } = probeFile(join(dir, `${BASE}_0.mp4`));
    const kbps = (found!.bytes * 8) / 1000 / ((blocks * AUDIO_BLOCK) / found!.sampleRate);
    expect(found).toMatchObject({ codec: 'aac', sampleRate: 48_000, channels: audio.channels });
    expect(kbps / audio.bitrateKbps).toBeGreaterThan(0.93);
    expect(kbps / audio.bitrateKbps).toBeLessThan(1.07);
  });

  test('of pictures alone has no sound', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: GREEN, fromS: -1, toS: 9 }];
    const { audio: _sound, ...plan } = planOf();
    const { mp4 } = await record(dir, users, plan, 2);
    const { audio, video } = probeFile(mp4);
    expect(audio).toBeUndefined();
    expect(video).toMatchObject({ packets: 60, width: 640, height: 360 });
  });

  test('with sides has each user on one alone, in any profile, and clicks nowhere when they change', async () => {
    const users: ScriptedUser[] = [RED, GREEN, BLUE].map((participant, n) => ({
      ...{ uid: `${n + 1}`, participant, fromS: -1, toS: 9, video: false },
    }));
    const plan: MixPlan = {
      ...soundPlan(0),
      audio: inStereo(AUDIO_PROFILES[0]),
      stereo: { left: ['1'], right: ['2'], others: 'both' },
    };
    const moved = { atS: 2, stereo: { left: ['2'], right: [], others: 'right' as const } };
    const { mp4 } = await record(dir, users, plan, 4, 0, [moved]);
    expect(probeFile(mp4).audio).toMatchObject({ channels: 2 });
    const sides = [0, 1].map((channel) => listen(mp4, { channel }));
    /** Which tones are heard on the left and on the right; a level that is neither one nor none stands as it is. */
    const heardAt = (atS: number) =>
      sides.map((heard) =>
        [RED, GREEN, BLUE].map(({ toneHz }) => {
          const level = envelopeOf(heard, toneHz)[Math.round((atS - heard.startS) * ENVELOPE_RATE)]!;
          return level > 0.012 || (level > 0.003 && level);
        }),
      );
    const before = [
      [true, false, true],
      [false, true, true],
    ];
    const after = [
      [false, true, false],
      [true, false, true],
    ];
    // All hum between their beeps.
    for (const atS of [1.5, 1.75]) expect(heardAt(atS)).toEqual(before);
    for (const atS of [2.25, 3.5]) expect(heardAt(atS)).toEqual(after);
    for (const heard of sides) expect(clicksIn(heard)).toEqual([]);
  });
});
