/**
 * Images in a composite whose recorder is lost: the next one shows at each moment what the lost one would have, judged
 * in the slices.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Watermark } from '../../src/contract/line/overlays.ts';
import type { Layout } from '../../src/contract/line/plan.ts';
import type { Look } from '../../src/pipeline/mix/canvas.ts';
import { BAD_ANSWERS, file, ImageServer } from '../support/image-server.ts';
import { isColour, spansWhere } from '../support/judge/picture.ts';
import type { Rect } from '../support/judge/regions.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { type ChangeAt, joinRuns, type Kill, recordKilled } from '../support/killed-recording.ts';
import { makePng } from '../support/media/image-files.ts';
import { GREEN, RED, type Rgb, yuv601 } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { planOf } from '../support/scripted-recording.ts';

const ORANGE = { r: 200, g: 100, b: 20 };
const TEAL = { r: 20, g: 90, b: 90 };
const VIOLET = { r: 90, g: 20, b: 120 };
const BACKGROUND = { r: 0x40, g: 0x50, b: 0x60 };
const flat = (colour: Rgb) => file(makePng(320, 180, () => colour));

let dir: string;
let server: ImageServer;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-images-lost-'));
  const images = { orange: flat(ORANGE), teal: flat(TEAL), violet: flat(VIOLET) };
  server = await ImageServer.serve({ ...BAD_ANSWERS, ...images });
});
afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Seconds in which a place shows a colour. */
const spansOf = (view: Reading[], colour: Rgb) =>
  spansWhere(view, (reading) => isColour(reading, yuv601(colour))).map(({ fromS, toS }) => [fromS, toS]);

/** Where the user is who has no camera, and the canvas where nobody is. */
const small: Rect = { x: 0.05, y: 0.55, width: 0.1, height: 0.2 };
const empty: Rect = { x: 0.6, y: 0.6, width: 0.2, height: 0.2 };
const middle: Rect = { x: 0.42, y: 0.42, width: 0.16, height: 0.16 };
const layout: Layout = {
  kind: 'custom',
  regions: [
    { uid: '1', x: 0, y: 0, width: 0.3, height: 0.3, alpha: 1, render: 'crop' },
    { uid: '2', x: 0, y: 0.5, width: 0.3, height: 0.3, alpha: 1, render: 'crop' },
  ],
};
const users: ScriptedUser[] = [
  { uid: '1', participant: RED, fromS: -1, toS: 60 },
  { uid: '2', participant: GREEN, fromS: -1, toS: 60, video: false },
];
const look = (canvas: string | undefined, own: string | undefined): Look => ({
  ...{ layout, backgroundColor: '#405060' },
  backgrounds: {
    ...(canvas && { canvas: server.url(canvas) }),
    users: own ? [{ uid: '2', url: server.url(own), render: 'crop' }] : [],
  },
});

async function recordLost(over: Look, changes: ChangeAt[], kills: Kill[], stopS: number): Promise<Reading[][]> {
  const video = { ...planOf().video!, ...over };
  const made = await recordKilled(dir, users, planOf({ video, files: { hls: true, mp4: false } }), stopS, {
    changes,
    kills,
  });
  expect(made.dirs).toHaveLength(kills.length + 1);
  return watch(
    joinRuns(made, join(dir, 'all')).playlist,
    [empty, small, middle].map((rect) => ({ rect })),
  ).views;
}

test('frames that are made again show the images of their own time', async () => {
  const change: ChangeAt = { atS: 4, change: { type: 'changeLayout', ...look(undefined, 'teal') } };
  // The first frames after the change are made, and those before it are not on disk yet.
  const views = await recordLost(look('orange', 'violet'), [change], [{ atS: 5.3, downS: 0.5 }], 8);
  const [canvas = [], own = []] = views;
  expect(spansOf(canvas, ORANGE)).toEqual([[expect.any(Number), expect.closeTo(4, 1)]]);
  expect(spansOf(canvas, BACKGROUND).at(-1)).toEqual([expect.closeTo(4, 1), expect.closeTo(8, 1)]);
  // What is replaced stays until the next image is there.
  const [[, violetToS = 0] = []] = spansOf(own, VIOLET);
  expect(violetToS).toBeGreaterThan(3.9);
  expect(spansOf(own, VIOLET)).toHaveLength(1);
  expect(spansOf(own, TEAL)).toEqual([[violetToS, expect.closeTo(8, 1)]]);
});

test('what is replaced stays as it would have, while the next image does not come', async () => {
  const watermark = { place: 'center' as const, size: 0.2, opacity: 1 };
  const overlays = (shown: Watermark['shown']): ChangeAt['change'] => ({
    type: 'changeOverlays',
    overlays: { watermark: { ...watermark, shown } },
  });
  const changes: ChangeAt[] = [
    { atS: 1, change: overlays({ kind: 'text', text: 'WWW' }) },
    { atS: 4, change: { type: 'changeLayout', ...look('hangs', 'drips') } },
    { atS: 4.5, change: overlays({ kind: 'image', image: server.url('hangsAfterHeaders') }) },
  ];
  // One run is lost long after the changes, the next soon after it is up.
  const kills = [7.2, 8.4].map((atS) => ({ atS, downS: 0.5 }));
  const [canvas = [], own = [], text = []] = await recordLost(look('orange', 'violet'), changes, kills, 10);
  expect(spansOf(canvas, ORANGE)).toEqual([[expect.any(Number), expect.closeTo(10, 1)]]);
  expect(spansOf(own, VIOLET)).toEqual([[expect.any(Number), expect.closeTo(10, 1)]]);
  const [before, after] = [text.filter(({ atS }) => atS > 2 && atS < 4), text.filter(({ atS }) => atS > 4)];
  const usual = before[before.length >> 1]!.luma;
  expect(Math.abs(usual - yuv601(ORANGE).y)).toBeGreaterThan(5);
  expect(after.filter(({ luma }) => Math.abs(luma - usual) > 3)).toEqual([]);
});
