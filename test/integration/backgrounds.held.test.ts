/**
 * Images in a composite (contract §4.7), of servers good and bad, with scripted participants and a held clock: what is
 * seen where and when is judged in the file.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BackgroundImages, MixPlan } from '../../src/contract/line/plan.ts';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { type Answer, BAD_ANSWERS, file, ImageServer } from '../support/image-server.ts';
import { isColour, presenceIn, spansWhere } from '../support/judge/picture.ts';
import { bestFitRegions, type Rect } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { makeBmp, makePng } from '../support/media/image-files.ts';
import { BLUE, GREEN, RED, type Rgb, type Yuv, yuv601 } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, type Made, planOf, record } from '../support/scripted-recording.ts';

const HELD_S = 3.5;
const ORANGE = { rgb: { r: 200, g: 100, b: 20 }, yuv: yuv601({ r: 200, g: 100, b: 20 }) };
const TEAL = { rgb: { r: 20, g: 90, b: 90 }, yuv: yuv601({ r: 20, g: 90, b: 90 }) };
const VIOLET = { rgb: { r: 90, g: 20, b: 120 }, yuv: yuv601({ r: 90, g: 20, b: 120 }) };
const BACKGROUND = { hex: '#405060', yuv: yuv601({ r: 0x40, g: 0x50, b: 0x60 }) };

const flat = ({ rgb }: { rgb: Rgb }) => makePng(320, 180, () => rgb);
const answers: Record<string, Answer> = {
  ...BAD_ANSWERS,
  orange: file(flat(ORANGE), 'text/plain'),
  teal: file(
    makeBmp(320, 180, () => TEAL.rgb),
    'image/bmp',
  ),
  // The middle of it is what a square place shows of it.
  violet: file(makePng(300, 100, (x) => (x < 100 || x >= 200 ? ORANGE.rgb : VIOLET.rgb))),
};

let dir: string;
let server: ImageServer;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-backgrounds-'));
  server = await ImageServer.serve(answers);
});
afterEach(async () => {
  await server.close();
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const url = (path: string) => server.url(path);
function plan(backgrounds: BackgroundImages | undefined, over: Partial<NonNullable<MixPlan['video']>> = {}): MixPlan {
  const { video } = planOf();
  return planOf({ video: { ...video!, backgroundColor: BACKGROUND.hex, ...over, backgrounds } });
}

/** What is seen of each place. */
function viewsOf({ mp4 }: Made, rects: Rect[]): Reading[][] {
  return watch(
    mp4,
    rects.map((rect) => ({ rect })),
  ).views as Reading[][];
}
/** Seconds in which a place shows a colour, to the hundredth. */
const spansOf = (view: Reading[], colour: Yuv) =>
  spansWhere(view, (reading) => isColour(reading, colour)).map(({ fromS, toS }) => [fromS, toS]);
const about = (...spans: [fromS: number, toS: number][]) =>
  spans.map(([fromS, toS]) => [expect.closeTo(fromS, 0.7), expect.closeTo(toS, 0.7)]);
const small = ({ x, y, width, height }: Rect): Rect => ({
  ...{ x: x + width / 4, y: y + height / 4 },
  ...{ width: width / 2, height: height / 2 },
});

describe('in the place of a user', () => {
  test('an image stands 3.5 s after the last picture, until the next; without one, what was switched off is gone', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 9, mutes: [{ fromS: 1, toS: 6, kind: 'video' }] },
      { uid: '2', participant: GREEN, fromS: -1, toS: 9, videoToS: 1 },
      { uid: '3', participant: BLUE, fromS: -1, toS: 9, video: false },
    ];
    const images = {
      users: [
        { uid: '1', url: url('teal'), render: 'crop' as const },
        { uid: '3', url: url('violet'), render: 'crop' as const },
      ],
    };
    const made = await record(dir, users, plan(images), 7);
    expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
    const [red, green, blue] = viewsOf(made, bestFitRegions(3).map(small)) as [Reading[], Reading[], Reading[]];
    expect(spansOf(red, TEAL.yuv)).toEqual(about([1 + HELD_S, 6]));
    expect(presenceIn(red, RED.colour).map(({ fromS, toS }) => [fromS, toS])).toEqual(about([0, 1 + HELD_S], [6, 7]));
    expect(spansOf(green, BACKGROUND.yuv)).toEqual(about([1 + HELD_S, 7]));
    // Who never had a camera has nothing to be held.
    const [[sinceS = Number.NaN, untilS = Number.NaN] = []] = spansOf(blue, VIOLET.yuv);
    expect(sinceS).toBeLessThan(1);
    expect(untilS).toBeCloseTo(7, 0.7);
  });

  test('the image of all stands where there is no other, whole or cut as is asked for', async () => {
    const users: ScriptedUser[] = ['1', '2', '3'].map((uid) => ({
      ...{ uid, participant: RED, fromS: -1, toS: 6, video: false },
    }));
    const images = {
      defaultUser: url('orange'),
      users: [
        { uid: '1', url: url('violet'), render: 'fit' as const },
        { uid: '2', url: url('isNotThere'), render: 'fit' as const },
      ],
    };
    const made = await record(dir, users, plan(images, { width: 360, height: 360 }), 4);
    const [own, missing, none] = bestFitRegions(3) as [Rect, Rect, Rect];
    const bar = { ...own, x: own.x + 0.05, width: 0.4, y: own.y + 0.02, height: 0.1 };
    const side = { ...own, x: own.x + 0.02, width: 0.1, y: own.y + 0.2, height: 0.1 };
    const views = viewsOf(made, [small(missing), small(none), bar, side]);
    const last = views.map((view) => view.at(-1)!);
    const colours = [ORANGE, ORANGE, BACKGROUND, ORANGE];
    expect(last.map((reading, i) => isColour(reading, colours[i]!.yuv))).toEqual([true, true, true, true]);
  });
});

describe('under everybody', () => {
  test('an image covers the canvas once it is there, and another replaces it without a frame between', async () => {
    // The large window is kept for somebody who is not there.
    const look = { layout: { kind: 'vertical' as const, maxResolutionUid: '9' }, backgroundColor: BACKGROUND.hex };
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 9 }];
    const made = await record(dir, users, plan({ canvas: url('orange'), users: [] }, look), 8, 0, [
      { atS: 3, ...look, backgrounds: { canvas: url('teal'), users: [] } },
      { atS: 5, ...look, backgrounds: { canvas: url('hangs'), users: [] } },
      { atS: 6, ...look },
    ]);
    const [view] = viewsOf(made, [{ x: 0.1, y: 0.1, width: 0.6, height: 0.8 }]) as [Reading[]];
    const [[orangeS = Number.NaN, tealS = Number.NaN] = []] = spansOf(view, ORANGE.yuv);
    expect(orangeS).toBeLessThan(1);
    // Up to the first frame that was not made yet when the image came.
    expect(tealS).toBeGreaterThan(2.9);
    expect(tealS).toBeLessThan(4);
    expect(spansOf(view, TEAL.yuv)).toEqual([[tealS, expect.closeTo(6, 0.7)]]);
    expect(spansOf(view, BACKGROUND.yuv).at(-1)).toEqual([expect.closeTo(6, 0.7), expect.closeTo(8, 0.7)]);
  });
});

test('bad images cost nothing but themselves: each is told, in the report too, and the recording is whole', async () => {
  // What may do better later is still being asked when the recording ends, and holds nothing up.
  const patient = new Set(['hangs', 'hangsAfterHeaders', 'drips', 'breaksOff']);
  const bad = Object.keys(BAD_ANSWERS);
  const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -1, toS: 9 }];
  const images = {
    canvas: url('nothing'),
    users: bad.map((path, n) => ({ uid: `${100 + n}`, url: url(path), render: 'crop' as const })),
  };
  const made = await record(dir, users, plan(images), 4);
  const told = made.happenings.flatMap((happening) => (happening.type === 'degraded' ? happening.what : []));
  const named = told.map((what) => /^the image of (.*) is not shown: ./.exec(what)?.[1]);
  const refused = bad.flatMap((path, n) => (patient.has(path) ? [] : `backgroundConfig of user ${100 + n}`));
  expect(named.toSorted()).toEqual([...refused, 'backgroundImage'].toSorted());
  const report = JSON.parse(readFileSync(join(made.dir, `${BASE}_report.json`), 'utf8')) as QualityReport;
  expect(report.degraded.map(({ what }) => what)).toEqual(told);
  expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
  const [view] = viewsOf(made, [{ x: 0, y: 0, width: 1, height: 1 }]) as [Reading[]];
  expect(presenceIn(view, RED.colour).map(({ fromS, toS }) => [fromS, toS])).toEqual(about([0, 4]));
  expect(beepsIn(listen(made.mp4), { toneHz: RED.toneHz }).length).toBeGreaterThanOrEqual(3);
});
