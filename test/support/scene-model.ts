/**
 * A model of a composite recording whose layout changes while users come and go and it is put on hold, for tests that
 * hold files against it: what colour each point of the canvas may have at each moment.
 */
import type { Layout } from '../../src/contract/line/plan.ts';
import { isColour } from './judge/picture.ts';
import { bestFitRegions, floatingRegions, type Rect, verticalRegions } from './judge/regions.ts';
import type { Reading } from './judge/watch.ts';
import { type Participant, type Rgb, WHITE, type Yuv, yuvOf } from './media/participants.ts';
import { STAMP_AREA } from './media/stamp.ts';

export type ModelStay = { uid: string; participant: Participant; fromS: number; toS: number };
/** What is drawn from a moment of the recording on. */
export type ModelLook = { atS: number; layout: Layout; backgroundColor: string };
/** Pictures have the canvas' shape. */
export type SceneModel = {
  /** In order of joining, which are further apart than `PRESENCE_S`. */
  stays: readonly ModelStay[];
  /** In order; the first holds from the beginning. */
  looks: readonly ModelLook[];
};

/** So long after someone came or went the picture may still be as before. */
export const PRESENCE_S = 0.6;
/** How long after its second a flash may be seen, and how early. */
const FLASH_S = { from: -0.04, to: 0.24 };
/** A point this near an edge, in parts of the canvas, may have any colour. */
const EDGE = 0.035;

export type Point = { x: number; y: number };

/** Points of the canvas, row by row, none of which lies on an edge of a usual layout. */
export const PROBES: readonly Point[] = Array.from({ length: 6 * 7 }, (_, n) => ({
  x: (0.5 + (n % 7)) / 7 + 0.011,
  y: (0.5 + Math.floor(n / 7)) / 6 + 0.017,
}));

/** The part of the canvas that is looked at around a point. */
export function around({ x, y }: Point): Rect {
  return { x: x - 0.012, y: y - 0.02, width: 0.024, height: 0.04 };
}

type Placed = { rect: Rect; participant: Participant; render: 'crop' | 'fit' };

/**
 * Whether a frame, of which `readings` tell each of `PROBES`, can be one of a moment of the recording: as it was at
 * most `slackS` before or after, with those who were there or had just come or gone. Undefined when it can; else what
 * each point should have been at the moment itself.
 */
export function differsFrom(
  model: SceneModel,
  readings: readonly Reading[],
  atS: number,
  slackS: number,
): string | undefined {
  const looks = new Set([atS - slackS, atS, atS + slackS].map((s) => lookAt(model, s)));
  const casts = new Map<string, ModelStay[]>();
  for (let s = atS - PRESENCE_S; s <= atS + slackS; s += 0.02) {
    const there = model.stays.filter(({ fromS, toS }) => s >= fromS && s < toS);
    casts.set(there.map(({ uid }) => uid).join(), there);
  }
  for (const look of looks)
    for (const cast of casts.values()) if (faults(readings, look, cast, atS).length === 0) return undefined;
  const there = model.stays.filter(({ fromS, toS }) => atS >= fromS && atS < toS);
  const look = lookAt(model, atS);
  const found = faults(readings, look, there, atS);
  return `at ${atS.toFixed(3)} s, with ${there.map(({ uid }) => uid)} in ${JSON.stringify(look)}: ${found.join('; ')}`;
}

function lookAt({ looks }: SceneModel, atS: number): ModelLook {
  return looks.findLast((look) => look.atS <= atS) ?? looks[0]!;
}

function faults(readings: readonly Reading[], look: ModelLook, cast: readonly ModelStay[], atS: number): string[] {
  const placed = placesOf(look.layout, cast);
  const background = yuvOf(rgbOf(look.backgroundColor));
  const mayFlash = (atS - FLASH_S.from) % 1 < FLASH_S.to - FLASH_S.from;
  return PROBES.flatMap((point, n) => {
    const wanted = colourAt(placed, background, point);
    const found = readings[n]!;
    if (!wanted || matches(found, wanted)) return [];
    if (mayFlash && wanted !== background && isColour(found, WHITE)) return [];
    return [`${point.x.toFixed(2)},${point.y.toFixed(2)} is ${found.y},${found.u},${found.v}`];
  });
}

/** What is written and moves upon a picture is brighter or darker, and of the same hue. */
function matches({ y, u, v }: Reading, wanted: Yuv): boolean {
  return isColour({ y: Math.abs(u - 128) + Math.abs(v - 128) > 20 ? wanted.y : y, u, v }, wanted);
}

/** Undefined where it may be any. */
function colourAt(placed: readonly Placed[], background: Yuv, point: Point): Yuv | undefined {
  for (const { rect, participant, render } of placed.toReversed()) {
    const shown = render === 'fit' ? fitted(rect) : rect;
    if (isNearEdge(rect, point) || isNearEdge(shown, point)) return undefined;
    if (!isWithin(rect, point)) continue;
    if (!isWithin(shown, point)) return background;
    const [x, y] = inPicture(shown, point, render);
    const margin = 0.08;
    const isStamp =
      x > STAMP_AREA.x - margin &&
      x < STAMP_AREA.x + STAMP_AREA.width + margin &&
      y > STAMP_AREA.y - margin &&
      y < STAMP_AREA.y + STAMP_AREA.height + margin;
    return isStamp ? undefined : participant.colour;
  }
  return background;
}

function isWithin({ x, y, width, height }: Rect, at: Point): boolean {
  return at.x >= x && at.x < x + width && at.y >= y && at.y < y + height;
}

function isNearEdge({ x, y, width, height }: Rect, at: Point): boolean {
  const grown = { x: x - EDGE, y: y - EDGE, width: width + 2 * EDGE, height: height + 2 * EDGE };
  const shrunk = { x: x + EDGE, y: y + EDGE, width: width - 2 * EDGE, height: height - 2 * EDGE };
  return isWithin(grown, at) && !isWithin(shrunk, at);
}

/** Of the canvas' own shape, in the middle of `rect`. */
function fitted({ x, y, width, height }: Rect): Rect {
  const side = Math.min(width, height);
  return { x: x + (width - side) / 2, y: y + (height - side) / 2, width: side, height: side };
}

/** Where in the picture, in parts of it, a point of the canvas lies: pictures and canvas have one shape. */
function inPicture(rect: Rect, at: Point, render: 'crop' | 'fit'): [x: number, y: number] {
  const side = render === 'crop' ? Math.max(rect.width, rect.height) : rect.width;
  const left = rect.x - (side - rect.width) / 2;
  const top = rect.y - (side - rect.height) / 2;
  return [(at.x - left) / side, (at.y - top) / side];
}

function placesOf(layout: Layout, cast: readonly ModelStay[]): Placed[] {
  if (cast.length === 0) return [];
  const inTurn = (rects: Rect[], people: readonly ModelStay[]): Placed[] =>
    people.map(({ participant }, n) => ({ participant, rect: rects[n]!, render: 'crop' as const }));
  if (layout.kind === 'bestFit') return inTurn(bestFitRegions(cast.length), cast);
  if (layout.kind === 'floating') return inTurn(floatingRegions(cast.length), cast);
  if (layout.kind === 'custom') {
    const named = layout.regions.map(({ uid }) => uid);
    const others = cast.filter(({ uid }) => !named.includes(uid));
    return layout.regions.flatMap(({ uid, render, x, y, width, height }) => {
      const shown = uid ? cast.find((stay) => stay.uid === uid) : others.shift();
      return shown ? [{ participant: shown.participant, rect: { x, y, width, height }, render }] : [];
    });
  }
  const { maxResolutionUid } = layout;
  const large = cast.find(({ uid }) => uid === maxResolutionUid);
  const small = cast.filter((stay) => stay !== large);
  if (maxResolutionUid === undefined && cast.length === 1) return inTurn([{ x: 0, y: 0, width: 1, height: 1 }], cast);
  const regions = verticalRegions(Math.max(2, small.length + 1));
  const shown = inTurn(regions.small, small);
  return large ? [{ participant: large.participant, rect: regions.large, render: 'fit' }, ...shown] : shown;
}

function rgbOf(hex: string): Rgb {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
  return { r, g, b };
}
