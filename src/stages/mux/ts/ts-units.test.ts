import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { interleave, makeAudio, makeVideo } from '../../../../test/support/encoded-samples.ts';
import { TS_ZERO_US, TsSlices } from './ts-slices.ts';
import { cutUnits, readTsUnits, withoutUnits } from './ts-units.ts';

const FPS = 15;
const PICTURE = 90_000 / FPS;
const ZERO = (TS_ZERO_US * 90) / 1000;
let dir: string;
let file: Buffer;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-units-'));
  const made = { seconds: 6, width: 160, height: 90, fps: FPS, keyIntervalFrames: 3 * FPS, bFrames: 3 };
  const picture = await makeVideo(made);
  const sound = await makeAudio({ seconds: 6, channels: 1 });
  const writer = new TsSlices({
    ...{ dir, baseName: 'x', zeroUtcMs: 0, onFile: () => {} },
    video: { width: 160, height: 90, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 1, extradata: sound.extradata },
  });
  for (const sample of interleave(picture.samples, sound.samples)) writer.write(sample);
  await writer.finish();
  file = readFileSync(join(dir, readdirSync(dir)[0]!));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const framesOf = (units: readonly { kind: string; pts: number }[]) =>
  units
    .filter(({ kind }) => kind === 'video')
    .map(({ pts }) => Math.round((pts - ZERO) / PICTURE))
    .sort((a, b) => a - b);

describe('a transport stream taken apart', () => {
  test('has every picture, and sound without a gap', () => {
    const units = readTsUnits(file, ZERO);
    expect(framesOf(units)).toEqual(Array.from({ length: 6 * FPS }, (_, n) => n));
    const sounds = units.filter(({ kind }) => kind === 'audio');
    expect(sounds.every(({ isWhole }) => isWhole)).toBe(true);
    sounds.slice(1).forEach(({ pts }, n) => {
      expect(Math.abs(pts - sounds[n]!.endPts)).toBeLessThanOrEqual(1);
    });
    expect(withoutUnits(file, []).equals(file)).toBe(true);
  });

  test('is read half a day from where its times say, too', () => {
    const near = ZERO + 3 * 2 ** 33;
    expect(readTsUnits(file, near)[0]!.pts - readTsUnits(file, ZERO)[0]!.pts).toBe(3 * 2 ** 33);
  });

  test('torn at any byte is cut to pictures from the first on, none of which wants another, with sound to the end', () => {
    let most = 0;
    for (let bytes = 0; bytes < file.length; bytes += 307) {
      const torn = file.subarray(0, bytes);
      const units = readTsUnits(torn, ZERO);
      const cut = cutUnits(units, { isTorn: true, pictureTicks: PICTURE, soundTo: ZERO });
      const frames = framesOf(cut.kept);
      expect(frames).toEqual(frames.map((_, n) => n));
      if (cut.videoEnd !== undefined) {
        expect(Math.round((cut.videoEnd - ZERO) / PICTURE)).toBe(frames.length);
        expect(cut.audioEnd).toBeGreaterThanOrEqual(cut.videoEnd);
      }
      // What was left out of the file is left out of its packets, and what was kept is as it was.
      const again = readTsUnits(withoutUnits(torn, cut.left), ZERO);
      expect(again.map(({ kind, pts, endPts }) => [kind, pts, endPts])).toEqual(
        cut.kept.map(({ kind, pts, endPts }) => [kind, pts, endPts]),
      );
      most = Math.max(most, frames.length);
    }
    expect(most).toBeGreaterThan(6 * FPS - 20);
  });
});
