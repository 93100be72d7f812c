/**
 * The judges judged: each must pass a file that is right, and name what is wrong in files with one known fault.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type MadeFile, writeMadeFile } from '../media/made-file.ts';
import { splitPlanes } from '../media/made-media.ts';
import { BLUE, GREEN, RED, YELLOW } from '../media/participants.ts';
import { blackFrames, colourOf, findFlashes, isColour, presence } from './picture.ts';
import { probeFile } from './probe.ts';
import { type Expected, judgeRecording } from './recording.ts';
import { bestFitRegions } from './regions.ts';
import { findBeeps, listen } from './sound.ts';

const dir = mkdtempSync(join(tmpdir(), 'judge-'));
afterAll(() => rmSync(dir, { recursive: true }));

const WHOLE = { x: 0, y: 0, width: 1, height: 1 };
const SHAPE = { width: 480, height: 270, fps: 30, seconds: 4, participants: [RED, GREEN, BLUE] };
const EXPECTED: Expected = {
  participants: SHAPE.participants,
  source: { width: 240, height: 134 },
  width: SHAPE.width,
  height: SHAPE.height,
  fps: SHAPE.fps,
  seconds: { from: 3.95, to: 4.1 },
};

let serial = 0;
/** Writes a file that is right but for `fault`. Content starts 0.3 s after a full second. */
function make(fault: Partial<MadeFile> = {}): string {
  const path = join(dir, `${serial++}.mp4`);
  writeMadeFile({ ...SHAPE, path, contentStartUs: 300_000, muxer: { movflags: 'faststart' }, ...fault });
  return path;
}
function problemsOf(fault: Partial<MadeFile>): string[] {
  return judgeRecording(make(fault), EXPECTED).problems;
}

describe('a file that is right', () => {
  const verdict = judgeRecording(make(), EXPECTED);
  test('has no problems', () => {
    expect(verdict.problems).toEqual([]);
    expect(verdict.damaged).toBe(0);
  });
  test('has its marks where they were put, within a millisecond', () => {
    for (const p of verdict.participants) {
      expect(p.flashes).toHaveLength(4);
      expect(p.beeps).toHaveLength(4);
      p.beeps.forEach((s, i) => {
        expect(Math.abs(s - (0.7 + i))).toBeLessThan(0.0015);
      });
      p.flashes.forEach((s, i) => {
        expect(Math.abs(s - (0.7 + i))).toBeLessThan(0.0005);
      });
    }
    expect(Math.abs(verdict.medianMs)).toBeLessThan(1.5);
  });
  test('shows all participants from the first frame, at the same content time', () => {
    expect(verdict.allSeenAtS).toBe(0);
    expect(verdict.betweenParticipantsMs).toBe(0);
  });
});

describe('sound that is late or early by a known time', () => {
  test.each([120, -120, 33, -7])('%i ms is found within 2 ms', (soundLateMs) => {
    const verdict = judgeRecording(make({ soundLateMs, contentStartUs: 20_300_000 }), EXPECTED);
    expect(Math.abs(verdict.medianMs - soundLateMs)).toBeLessThan(2);
    expect(Math.abs(verdict.worstMs - soundLateMs)).toBeLessThan(2);
    expect(verdict.problems.some((p) => p.includes('off its flash'))).toBe(Math.abs(soundLateMs) > 80);
    expect(verdict.problems.some((p) => p.includes('in the median'))).toBe(Math.abs(soundLateMs) > 40);
  });
});

describe('one fault each is named', () => {
  const grey = (from: number, to: number): Partial<MadeFile> => ({
    eachCanvas: ({ i420, width, height, atS }) => {
      if (atS < from || atS >= to) return undefined;
      const { y, u, v } = splitPlanes(i420, width, height);
      for (let row = 0; row < height / 2; row++) y.fill(16, row * width, row * width + width / 2);
      for (const plane of [u, v])
        for (let row = 0; row < height / 4; row++) plane.fill(128, (row * width) / 2, (row * width) / 2 + width / 4);
      return undefined;
    },
  });

  test('a participant gone for 0.3 s', () => {
    expect(problemsOf(grey(2.1, 2.4)).join('\n')).toMatch(
      /RED is not at its place throughout: 0\.00–2\.10 s, 2\.40–4\.00 s/,
    );
  });
  test('a participant that is not there at the start is dated', () => {
    const verdict = judgeRecording(make(grey(0, 0.4)), EXPECTED);
    expect(verdict.problems).toEqual([]);
    expect(verdict.allSeenAtS).toBeCloseTo(0.4, 2);
  });
  test('a lost flash', () => {
    expect(problemsOf(grey(1.6, 1.9)).join('\n')).toMatch(/RED flashes 3 times.*missing at 1\.70 s/);
  });
  test('two participants in each other’s place', () => {
    const problems = problemsOf({ participants: [GREEN, RED, BLUE] });
    expect(problems).toContain('RED is not at its place throughout: never');
    expect(problems).toContain('GREEN is not at its place throughout: never');
  });
  test('a frozen picture', () => {
    let held: Buffer | undefined;
    const problems = problemsOf({
      eachCanvas: ({ i420, atS }) => {
        if (atS >= 2 && atS < 2.5) {
          held ??= Buffer.from(i420);
          held.copy(i420);
        }
        return undefined;
      },
    });
    expect(problems.filter((p) => p.includes('is frozen'))).toHaveLength(3);
  });
  test('frames left out', () => {
    const problems = problemsOf({ eachCanvas: ({ atS }) => !(atS > 2 && atS < 2.2) });
    expect(problems.join('\n')).toMatch(/frames are .* to 2\d\d\.\d ms apart/);
  });
  test('a hole of 60 ms in the sound', () => {
    const problems = problemsOf({
      eachSound: (samples, atS) => {
        if (atS >= 2.2 && atS < 2.26) samples.fill(0);
      },
    });
    expect(problems.filter((p) => /cannot be heard: 2\.\d+–2\.\d+ s/.test(p))).toHaveLength(3);
  });
  test('one speaker of three missing from the mix', () => {
    const problems = judgeRecording(make({ participants: [RED, BLUE, GREEN] }), {
      ...EXPECTED,
      participants: [RED, BLUE, YELLOW],
    }).problems;
    expect(problems.join('\n')).toMatch(/YELLOW beeps 0 times/);
    expect(problems.join('\n')).toMatch(/YELLOW cannot be heard/);
    expect(problems.join('\n')).not.toMatch(/(RED|BLUE) beeps/);
  });
  test('lost beeps', () => {
    const problems = problemsOf({
      eachSound: (samples, atS) => {
        if (atS >= 1.6 && atS < 1.9) for (let i = 0; i < samples.length; i++) samples[i] = (samples[i] as number) * 0.1;
      },
    });
    expect(problems.join('\n')).toMatch(/RED beeps 3 times.*missing at 1\.70 s/);
  });
  test('an index behind the media, a wrong size, a wrong rate, a wrong length, no sound', () => {
    expect(problemsOf({ muxer: {} })).toEqual(['the MP4 keeps its index behind the media']);
    expect(problemsOf({ width: 640, height: 360 })[0]).toBe('the picture is 640×360 instead of 480×270');
    expect(problemsOf({ fps: 25 }).join('\n')).toMatch(/the rate is 25 .* instead of 30 fps/);
    expect(problemsOf({ seconds: 3 }).join('\n')).toMatch(/it lasts 3\.000 s instead of/);
    expect(() => problemsOf({ only: 'video' })).toThrow(/has no sound/);
  });
});

describe('single judgements', () => {
  test('colour, presence and black by region', () => {
    const path = make();
    const [first, , , fourth] = bestFitRegions(4);
    expect(isColour(colourOf(path, bestFitRegions(4)[1] ?? WHOLE, 2), GREEN.colour)).toBe(true);
    expect(presence(path, first ?? WHOLE, RED.colour)).toHaveLength(1);
    expect(presence(path, first ?? WHOLE, BLUE.colour)).toEqual([]);
    expect(blackFrames(path, fourth ?? WHOLE)).toEqual([{ fromS: 0, toS: expect.closeTo(4, 1) }]);
  });
  test('times of a transport stream do not depend on where its clock starts', () => {
    const [a, b] = [0, 1000].map((startS) => {
      const path = join(dir, `${startS}.ts`);
      writeMadeFile({ ...SHAPE, participants: [RED], path, contentStartUs: 300_000, startS });
      return { flashes: findFlashes(path, WHOLE), beeps: findBeeps(path, { toneHz: 440 }), probe: probeFile(path) };
    });
    expect(a?.flashes.map((f) => f.atS.toFixed(3))).toEqual(b?.flashes.map((f) => f.atS.toFixed(3)));
    expect(b?.probe.zeroS).toBeGreaterThan(999);
    expect(b?.beeps).toHaveLength(4);
    const offset = (b?.beeps[1]?.atS ?? 0) - (b?.flashes[1]?.atS ?? 0);
    expect(Math.abs(offset)).toBeLessThan(0.0015);
  });
  test('pitches 110 Hz apart are told apart, and harmonics are not mistaken for others', () => {
    const path = make({ participants: [RED, YELLOW] });
    expect(findBeeps(path, { toneHz: 440 })).toHaveLength(4);
    expect(findBeeps(path, { toneHz: 550 })).toHaveLength(4);
    expect(findBeeps(path, { toneHz: 660 })).toEqual([]);
    expect(findBeeps(path, { toneHz: 880 })).toEqual([]);
    expect(listen(path).gaps).toEqual([]);
  });
  test.each([5, 20, 60])('marks that the file begins %i ms into are left out, not misdated', (intoMs) => {
    const verdict = judgeRecording(make({ contentStartUs: intoMs * 1000 }), EXPECTED);
    for (const p of verdict.participants) {
      // The marks of the content's seconds 1, 2 and 3; the fourth may be cut by the end.
      for (const marks of [p.beeps, p.flashes]) expect(marks.filter((s) => s < 3.5)).toHaveLength(3);
      expect(p.beeps[0]).toBeCloseTo(1 - intoMs / 1000, 2);
    }
    expect(verdict.problems).toEqual([]);
  });
  test('a file that is no media is refused with its name', () => {
    expect(() => probeFile(import.meta.filename)).toThrow(/judge\.held\.test\.ts/);
  });
});
