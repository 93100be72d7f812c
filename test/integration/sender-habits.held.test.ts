/**
 * Senders with habits of their own (OBS, FFmpeg, cameras, phones during a call) in composites, on a held clock: every
 * picture and every beep stands where it belongs.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { flashesIn, frozenIn, lagsIn } from '../support/judge/picture.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { planOf, record } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-habits-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const SECONDS = 14;

/**
 * A recording of one user: full seconds with a flash and with a beep, how far the worst is off, and where it stood
 * still.
 */
async function play(habits: Partial<ScriptedUser>) {
  const user: ScriptedUser = { uid: '1', participant: RED, fromS: -3, toS: 60, ...habits };
  const { mp4, happenings } = await record(dir, [user], planOf({ files: { hls: false, mp4: true } }), SECONDS + 0.5);
  const [readings] = watch(
    mp4,
    bestFitRegions(1).map((rect) => ({ rect })),
  ).views;
  const flashes = flashesIn(readings!).map(({ atS }) => atS);
  const beeps = beepsIn(listen(mp4), { toneHz: RED.toneHz }).map(({ atS }) => atS);
  const off = (marks: number[]) => Math.max(0, ...marks.map((atS) => Math.abs(atS - Math.round(atS))));
  const on = (marks: number[]) => marks.filter((atS) => atS > 0.5).map((atS) => Math.round(atS));
  return {
    degraded: happenings.flatMap((h) => (h.type === 'degraded' ? [h.what] : [])),
    flashes,
    beeps,
    on,
    off,
    frozen: frozenIn(readings!),
    lags: lagsIn(readings!.filter(({ atS }) => atS > 1)).map(({ lagS }) => lagS),
  };
}

const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('a composite shows every picture in its time', () => {
  test.each<[string, Partial<ScriptedUser>]>([
    ['with B-frames', { bFrames: true }],
    ['with a marker on each packet of H.264', { markers: 'all' }],
    ['without markers of H.264', { markers: 'none' }],
    ['with a marker on each packet of VP8', { codec: 'vp8', markers: 'all' }],
    ['without markers of VP9', { codec: 'vp9', markers: 'none' }],
    ['with a marker on each packet of AV1', { codec: 'av1', markers: 'all' }],
    ['with parameter sets sent once', { setsOnce: true }],
  ])('%s', async (_, habits) => {
    const { degraded, flashes, beeps, on, off, frozen, lags } = await play(habits);
    expect(degraded).toEqual([]);
    expect(on(flashes)).toEqual(seconds(1, SECONDS + 1));
    expect(on(beeps)).toEqual(seconds(1, SECONDS + 1));
    expect(off(flashes)).toBeLessThan(0.04);
    expect(frozen).toEqual([]);
    // A stamp is of 40 ms.
    expect(Math.max(...lags) - Math.min(...lags)).toBeLessThan(0.09);
  });

  test('with parameter sets sent once, after a loss', async () => {
    const { flashes, on } = await play({ setsOnce: true, stalls: [{ fromS: 5.2, toS: 6.3 }] });
    expect(on(flashes.filter((atS) => atS > 7.5))).toEqual(seconds(8, SECONDS + 1));
  });
});

describe('a sender whose capture stalls is in step soon after', () => {
  test.each([
    ['audio', 1.8],
    ['audio', 0.4],
    ['video', 1.8],
    ['video', 3],
  ] as const)('%s for %d s', async (kind, forS) => {
    const { flashes, beeps, on, off } = await play({
      mutesStall: true,
      mutes: [{ kind, fromS: 4.5, toS: 4.5 + forS }],
    });
    const stalled = kind === 'audio' ? beeps : flashes;
    const healthy = kind === 'audio' ? flashes : beeps;
    const fromS = Math.ceil(4.5 + forS + 2.5);
    expect(on(stalled.filter((atS) => atS > fromS - 0.5))).toEqual(seconds(fromS, SECONDS + 1));
    expect(off(stalled.filter((atS) => atS > fromS - 0.5))).toBeLessThan(0.05);
    expect(on(healthy)).toEqual(seconds(1, SECONDS + 1));
    expect(off(healthy)).toBeLessThan(0.04);
  });

  test.each([0.1, 0.28, 0.32])('and no beep is out of its place where it is a microphone for %d s', async (forS) => {
    // What comes 0.7 s behind the first report that could tell of the stall would be used before it.
    const alter: ScriptedUser['alter'] = (datagrams, kind, what, contentS) =>
      kind === 'audio' && what === 'rtcp' && contentS > 4.4 && contentS < 5.5 ? [] : datagrams;
    const { beeps, on, off } = await play({
      ...{ mutesStall: true, alter },
      mutes: [{ kind: 'audio', fromS: 4.12, toS: 4.12 + forS }],
    });
    expect(on(beeps)).toEqual(seconds(1, SECONDS + 1));
    expect(off(beeps)).toBeLessThan(0.05);
  });

  test.each([5, -5, 0.7])('one packet stamped %d s ahead costs no beep', async (byS) => {
    const { beeps, on, off } = await play({ stray: { atS: 5.3, byS } });
    expect(on(beeps)).toEqual(seconds(1, SECONDS + 1));
    expect(off(beeps)).toBeLessThan(0.03);
  });
});
