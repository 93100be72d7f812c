/**
 * What is drawn over a composite, with scripted participants and a held clock: names, watermark and clock, who speaks,
 * and users without video. It is judged in the file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Overlays } from '../../src/contract/line/overlays.ts';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { file, ImageServer, status } from '../support/image-server.ts';
import { isColour, presenceIn, type Span, spansWhere } from '../support/judge/picture.ts';
import { bestFitRegions, type Rect, verticalRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { makePng } from '../support/media/image-files.ts';
import { BLUE, GREEN, type Participant, RED, type Yuv } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { type Made, planOf, record } from '../support/scripted-recording.ts';

/** Black of a plate, and yellow of the watermark and of the border, in BT.601. */
const PLATE: Yuv = { y: 24, u: 128, v: 128 };
const YELLOW_601: Yuv = { y: 210, u: 16, v: 146 };
const BORDER = '#FFFF00';
/** Of 640×360: 6 pixels from the edges, 18 high; a border is 4 wide. */
const [MARGIN, HIGH, BORDER_WIDE] = [6, 18, 4];

let dir: string;
let server: ImageServer;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-overlays-'));
  server = await ImageServer.serve({
    logo: file(makePng(80, 40, () => ({ r: 255, g: 255, b: 0 }))),
    away: status(404),
  });
});
afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

function plan(overlays: Overlays | undefined): MixPlan {
  const { video } = planOf();
  return planOf({ video: { ...video!, bitrateKbps: 1500, overlays } });
}

const pixels = (x: number, y: number, width: number, height: number): Rect => ({
  ...{ x: x / 640, y: y / 360 },
  ...{ width: width / 640, height: height / 360 },
});
const viewsOf = ({ mp4 }: Made, rects: Rect[]) =>
  watch(
    mp4,
    rects.map((rect) => ({ rect })),
  ).views as Reading[][];
const spans = (of: Span[]) => of.map(({ fromS, toS }) => [fromS, toS]);
const coloured = (view: Reading[], colour: Yuv) => spans(spansWhere(view, (reading) => isColour(reading, colour)));
const shown = (view: Reading[], { colour }: Participant) => spans(presenceIn(view, colour));
/** Within two frames. */
const about = (...of: [fromS: number, toS: number][]) =>
  of.map(([fromS, toS]) => [expect.closeTo(fromS, 0.88), expect.closeTo(toS, 0.88)]);

test('names, a watermark and a clock come and go with an update, from its frame on, and sound goes on', async () => {
  const users: ScriptedUser[] = [
    { uid: '1', participant: RED, fromS: -1, toS: 9 },
    { uid: '2', participant: GREEN, fromS: -1, toS: 9 },
  ];
  const overlays: Overlays = {
    nameLabels: { names: { 1: 'Ada Lovelace', 3: 'nobody' }, corner: 'top-left' },
    clock: { timeZone: 'UTC', format: 'HH:mm:ss', corner: 'bottom-left' },
  };
  const watermark: Overlays['watermark'] = {
    ...{ shown: { kind: 'image', image: server.url('logo') }, place: 'bottom-right' },
    ...{ size: 0.2, opacity: 1 },
  };
  const made = await record(dir, users, plan({ watermark }), 4, 0, [
    { atS: 1, overlays: { ...overlays, watermark } },
    { atS: 3, overlays: {} },
  ]);
  expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
  const [red, green] = bestFitRegions(2) as [Rect, Rect];
  const [label, free, mark, clock, first, second] = viewsOf(made, [
    pixels(MARGIN, MARGIN, 60, HIGH),
    pixels(320 + MARGIN, MARGIN, 60, HIGH),
    pixels(640 - MARGIN - 144, 360 - MARGIN - 72, 144, 72),
    pixels(MARGIN, 360 - MARGIN - HIGH, 76, HIGH),
    { ...red, y: 0.4, height: 0.2 },
    { ...green, y: 0.4, height: 0.2 },
  ]) as [Reading[], Reading[], Reading[], Reading[], Reading[], Reading[]];
  expect(coloured(label, PLATE)).toEqual(about([1, 3]));
  expect(coloured(clock, PLATE)).toEqual(about([1, 3]));
  expect(coloured(free, PLATE)).toEqual([]);
  const marks = coloured(mark, YELLOW_601);
  expect(marks).toEqual([[expect.any(Number), expect.closeTo(3, 0.88)]]);
  expect(marks[0]![0]).toBeLessThan(0.7);
  // The seconds of a clock change with the second.
  const ticks = clock.filter(({ atS, moved }) => moved > 0 && atS > 1.1 && atS < 2.9).map(({ atS }) => atS);
  expect(ticks).toEqual([expect.closeTo(2, 0.88)]);
  expect(presenceIn(first, RED.colour).length).toBe(1);
  expect(presenceIn(second, GREEN.colour).length).toBe(1);
  expect(beepsIn(listen(made.mp4), RED).length).toBe(4);
});

test('a watermark that cannot be had is told of, and all else is drawn', async () => {
  const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 9 }];
  const made = await record(
    dir,
    users,
    plan({
      watermark: { shown: { kind: 'image', image: server.url('away') }, place: 'center', size: 0.2, opacity: 1 },
      nameLabels: { names: { 1: 'Ada' }, corner: 'top-left' },
    }),
    1,
  );
  expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([
    { type: 'degraded', count: 1, what: expect.stringContaining('the image of watermark is not shown') },
  ]);
  const [label] = viewsOf(made, [pixels(MARGIN, MARGIN, 30, HIGH)]);
  expect(coloured(label!, PLATE)).toEqual(about([0, 1]));
});

test('who speaks is large and has a border; who shows no video has no place, and is heard', async () => {
  const users: ScriptedUser[] = [
    { uid: '1', participant: RED, fromS: -1, toS: 20, mutes: [{ kind: 'audio', fromS: 3, toS: 20 }] },
    { uid: '2', participant: GREEN, fromS: -1, toS: 20, mutes: [{ kind: 'audio', fromS: -1, toS: 3 }] },
    { uid: '3', participant: BLUE, fromS: -1, toS: 20, audio: false, videoToS: 1 },
    { uid: '4', participant: BLUE, fromS: -1, toS: 20, audio: false, video: false },
  ];
  const speaker = { border: BORDER, layout: 'large' as const };
  const made = await record(dir, users, plan({ speaker, hidesWithoutVideo: true }), 7);
  const { large } = verticalRegions(2);
  const inner = (rect: Rect): Rect => ({ ...rect, y: rect.y + rect.height * 0.3, height: rect.height * 0.4 });
  const [big, ...smalls] = viewsOf(made, [
    { ...inner(large), x: 0.15, width: 0.5 },
    ...verticalRegions(5).small.slice(0, 3).map(inner),
    pixels(BORDER_WIDE, 0, 500, BORDER_WIDE),
  ]) as [Reading[], Reading[], Reading[], Reading[], Reading[]];
  const border = smalls.pop()!;
  // Green begins to speak when red stops, and is taken once that is sure.
  const [[, turnS = Number.NaN] = []] = shown(big, RED);
  expect(turnS).toBeGreaterThan(3.5);
  expect(turnS).toBeLessThan(5);
  expect(shown(big, GREEN)).toEqual([[turnS, expect.closeTo(7, 0.88)]]);
  // Blue has a place for as long as its last picture is held; the other one never has.
  expect(shown(smalls[1]!, BLUE)).toEqual(about([0, 4.5]));
  expect(shown(smalls[2]!, BLUE)).toEqual([]);
  expect(shown(smalls[0]!, GREEN)).toEqual([[0, turnS]]);
  const [[sinceS = Number.NaN, untilS] = []] = coloured(border, YELLOW_601);
  expect(sinceS).toBeLessThan(0.5);
  expect(untilS).toBeCloseTo(7, 0.88);
});
