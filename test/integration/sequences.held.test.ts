/**
 * Random sequences of changes to a composite recording: layouts, users who come and go, holds, a lost run. Every frame
 * of the file is held against a model, and its sound must know of none of it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Layout, MixPlan } from '../../src/contract/line/plan.ts';
import { changesOf, type HeldSpan, inFile, inRecording, marksIn, onBlocks } from '../support/held-recording.ts';
import { seededRandom } from '../support/impair/random.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { type ChangeAt, joinRuns, type Kill, recordKilled } from '../support/killed-recording.ts';
import { BLUE, GREEN, PARTICIPANTS, RED } from '../support/media/participants.ts';
import { around, differsFrom, type ModelLook, type ModelStay, PRESENCE_S, PROBES } from '../support/scene-model.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { planOf } from '../support/scripted-recording.ts';

const FPS = 15;
const END_S = 12;
/** A change may be this far from where it was asked for. */
const TWO_FRAMES_S = 2 / FPS;
/** How late media arrives, and is shown and heard. */
const DELAY_S = 0.02;
const CANVAS = { width: 320, height: 180 };
const BACKGROUNDS = ['#000000', '#c0c0c0', '#604020', '#1f3a3a'];

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-sequences-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Random = () => number;
const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
/** The script of a test goes on in hundredths of a second. */
const onTick = (s: number) => Math.round(s * 100) / 100;

/** The first is there throughout; those after him come one by one, and may go and come again. */
function staysOf(random: Random): ModelStay[] {
  const stays: ModelStay[] = [{ uid: '1', participant: RED, fromS: -1, toS: 60 }];
  for (let atS = 0.9; atS < END_S - 2; atS += PRESENCE_S + 0.2 + random() * 2) {
    const uid = String(2 + Math.floor(random() * 5));
    if (stays.some((stay) => stay.uid === uid && stay.toS > atS - 1)) continue;
    const participant = PARTICIPANTS[Number(uid) - 1]!;
    stays.push({ uid, participant, fromS: onTick(atS), toS: onTick(atS + 1 + random() * 6) });
  }
  return stays;
}

function layoutOf(random: Random): Layout {
  const uid = () => String(1 + Math.floor(random() * 6));
  const kind = pick(random, ['bestFit', 'floating', 'vertical', 'custom'] as const);
  if (kind === 'vertical') return { kind, maxResolutionUid: random() < 0.7 ? uid() : undefined };
  if (kind !== 'custom') return { kind };
  const uids = new Set<string>();
  const regions = [0, 1, 2].map((n) => {
    const named = uid();
    const isNamed = random() < 0.5 && !uids.has(named);
    uids.add(named);
    const at = { x: 0.05 + 0.3 * n, y: 0.1 + 0.15 * n, width: 0.34, height: 0.5 };
    return { ...(isNamed && { uid: named }), ...at, alpha: 1, render: pick(random, ['crop', 'fit'] as const) };
  });
  return { kind, regions };
}

function looksOf(random: Random): ModelLook[] {
  const looks: ModelLook[] = [{ atS: -1, layout: { kind: 'bestFit' }, backgroundColor: '#000000' }];
  for (let atS = 0.5 + random(); atS < END_S - 0.5; atS += 0.3 + random() * 1.5)
    looks.push({ atS: onTick(atS), layout: layoutOf(random), backgroundColor: pick(random, BACKGROUNDS) });
  return looks;
}

function holdsOf(random: Random): HeldSpan[] {
  const spans: HeldSpan[] = [];
  for (let atS = 1 + random() * 3; atS < END_S - 1; ) {
    const toS = onTick(atS + 0.1 + random() * 2);
    spans.push([onTick(atS), toS]);
    atS = toS + 1 + random() * 4;
  }
  return spans;
}

/**
 * Seeds. In 23 a hold begins right where a frame does; in 4 the recorder is lost on the way, in 51 so soon after a
 * hold that the next goes on from within it. */
test.each([
  [1, []],
  [2, []],
  [23, []],
  [4, [{ atS: 6.3, downS: 0.4 }]],
  [51, [{ atS: 5.3, downS: 0.5 }]],
] as [number, Kill[]][])('a recording keeps to the model of its changes: seed %d', async (seed, kills) => {
  const random = seededRandom(seed);
  const [stays, looks, spans] = [staysOf(random), looksOf(random), holdsOf(random)];
  const users = stays.map(({ uid, participant, fromS, toS }): ScriptedUser => {
    const codec = Number(uid) % 2 === 0 ? 'vp8' : 'h264';
    const mutes = uid === '1' ? [] : [{ fromS: fromS + 0.5, toS: fromS + 0.5 + random() * 2, kind: 'audio' as const }];
    return { uid, participant, codec, fromS, toS, mutes, sizes: [{ fromS: -1, width: 160, height: 90 }] };
  });
  const layouts = looks.slice(1).map(({ atS, layout, backgroundColor }): ChangeAt => {
    return { atS, change: { type: 'changeLayout', layout, backgroundColor } };
  });
  const plan: MixPlan = planOf({ files: { hls: true, mp4: false } });
  const video = { ...plan.video!, ...CANVAS, fps: FPS, bitrateKbps: 1500 };
  const made = await recordKilled(dir, users, { ...plan, video }, END_S, {
    changes: [...layouts, ...changesOf(spans)].toSorted((a, b) => a.atS - b.atS),
    kills,
  });
  const { playlist } = joinRuns(made, join(dir, 'all'));

  const holds = onBlocks(spans);
  const { views, damaged } = watch(
    playlist,
    PROBES.map((point) => ({ rect: around(point) })),
  );
  expect(damaged).toBe(0);
  const frames = views[0]!;
  expect(Math.abs(frames.length - inFile(holds, END_S) * FPS)).toBeLessThanOrEqual(1.01);
  const differences = frames.flatMap(({ atS }, n) => {
    const readings = views.map((view) => view[n]!);
    // Where a hold was cut out, a frame stands for the moment before or behind it.
    const moments = [atS - 1 / FPS, atS, atS + 1 / FPS].map((fileS) => inRecording(holds, fileS));
    const found = moments.map((moment) => differsFrom({ stays, looks }, readings, moment, TWO_FRAMES_S));
    return found.includes(undefined) ? [] : [found[1]!];
  });
  expect(differences).toEqual([]);

  const heard = listen(playlist);
  expect(heard.gaps).toEqual([]);
  expect(clicksIn(heard)).toEqual([]);
  const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS);
  for (const atS of marksIn(holds, 0, END_S))
    expect(Math.min(...beeps.map((beep) => Math.abs(beep - atS - DELAY_S)))).toBeLessThan(0.01);
});

test('the model tells a frame that is torn, black, or a few frames late', () => {
  const stays = [RED, GREEN, BLUE].map((participant, n) => ({ uid: String(n), participant, fromS: 0, toS: 9 }));
  const looks: ModelLook[] = [
    { atS: 0, layout: { kind: 'bestFit' }, backgroundColor: '#000000' },
    { atS: 5, layout: { kind: 'floating' }, backgroundColor: '#000000' },
  ];
  const frameOf = (left: { y: number; u: number; v: number }, right = left) =>
    PROBES.map(({ x }) => ({ atS: 0, ...(x < 0.5 ? left : right), luma: 0, moved: 0, stamp: undefined }));
  const alone = { stays: stays.slice(0, 1), looks };
  const two = { stays: stays.slice(0, 2), looks };
  expect(differsFrom(alone, frameOf(RED.colour), 3.5, TWO_FRAMES_S)).toBeUndefined();
  expect(differsFrom(alone, frameOf(RED.colour, GREEN.colour), 3.5, TWO_FRAMES_S)).toMatch(/3\.500 s, with 0/);
  expect(differsFrom(alone, frameOf({ y: 16, u: 128, v: 128 }), 3.5, TWO_FRAMES_S)).toBeDefined();
  const side = frameOf(RED.colour, GREEN.colour);
  expect(differsFrom(two, side, 4.9, TWO_FRAMES_S)).toBeUndefined();
  expect(differsFrom(two, side, 5.1, TWO_FRAMES_S)).toBeUndefined();
  expect(differsFrom(two, side, 5.4, TWO_FRAMES_S)).toBeDefined();
});
