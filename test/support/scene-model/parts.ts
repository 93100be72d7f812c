/**
 * What a composite shows in one moment: parts of the canvas that lie over each other, each with the colours that it may
 * have. Worked out from the guide (composite.md), apart from the server's own drawing.
 */
import type { Corner, Overlays, Watermark } from '../../../src/contract/line/overlays.ts';
import type { Layout } from '../../../src/contract/line/plan.ts';
import { isColour } from '../judge/picture.ts';
import { bestFitRegions, floatingRegions, type Rect, verticalRegions } from '../judge/regions.ts';
import { BLACK, type Rgb, WHITE, type Yuv, yuv601 } from '../media/participants.ts';
import { STAMP_AREA } from '../media/stamp.ts';
import type { ModelLook, ModelStay, SceneModel } from './scene.ts';

/** Pixels of 360 lines: how far plates are from edges, how high; how wide letters of clocks are; how thick borders. */
const [MARGIN, PLATE_HIGH, LETTER, PADDING, BORDER] = [6, 18, 8, 6, 4];
/** Labels of the names in these scenes are at least and at most so wide. */
const LABEL = { least: 50, most: 150 };
/** How long after its second a flash may be seen, and how early. */
const FLASH_S = { from: -0.04, to: 0.24 };
/** How long it may take until an image is there that a look names. */
const LOADING_S = 1.5;
/** Pictures are held for so long. */
const HELD_S = 3.5;
/** Nothing is asked of what lies this near to an edge, in pixels: pictures are scaled and coded. */
const EDGE = 8;

export type Allowed = { what: string; fits(found: Yuv): boolean };
/** A part of the canvas. `probes` are places in it to look at, besides those all over the canvas. */
export type Part = {
  z: number;
  /** It is nowhere else than in `most`, and all over `least`. */
  most: Rect;
  least: Rect | undefined;
  colours: Allowed[];
  /** What is beneath may be seen instead. */
  mayLack?: boolean;
  /** Of the least: any colour may be there. */
  except?: Rect;
  probes?: Rect[];
};
/** Who may have a place, and what of them is there to be seen. */
export type Shown = { uid: string; stay: ModelStay; view: 'live' | 'still' | 'none' };

const rgbOf = (hex: string): Rgb => {
  const [r, g, b] = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16)) as [number, number, number];
  return { r, g, b };
};
const exactly = (what: string, colour: Yuv): Allowed => ({ what, fits: (found) => isColour(found, colour) });
/** What is written and moves upon a picture is brighter or darker, and of the same hue. */
const ofHue = (what: string, colour: Yuv): Allowed => ({
  ...{ what, fits: (found) => isColour({ ...found, y: colour.y }, colour) },
});
const GREY = ofHue('a plate', BLACK);
const FLASH = exactly('a flash', WHITE);

/** Places all over a canvas. */
export function GRID({ width, height }: SceneModel['canvas']): Rect[] {
  const [columns, rows] = [Math.floor(width / 16), Math.floor(height / 16)];
  return Array.from({ length: columns * rows }, (_, n) => {
    return { x: 5 + 16 * (n % columns), y: 5 + 16 * Math.floor(n / columns), width: 6, height: 6 };
  });
}

/** Who may have a place at a moment. */
export function shownOf(stays: readonly ModelStay[], atS: number, hides: boolean): Shown[] {
  return stays.flatMap((stay): Shown[] => {
    if (atS < stay.fromS || atS >= stay.toS) return [];
    const cameraToS = stay.camera === false ? Number.NEGATIVE_INFINITY : (stay.cameraToS ?? stay.toS);
    const lack = stay.noPicture?.find(({ fromS, toS }) => fromS <= atS && atS < toS);
    const pictureS = Math.min(atS, cameraToS, lack?.fromS ?? atS);
    const isStill = atS - pictureS >= HELD_S;
    if (isStill && hides) return [];
    return [{ uid: stay.uid, stay, view: !isStill ? 'live' : cameraToS > atS ? 'still' : 'none' }];
  });
}

export type Moment = {
  look: ModelLook;
  overlays: Overlays;
  shown: readonly Shown[];
  /** Who has spoken, the last one first. */
  spoke: readonly string[];
  atS: number;
};

/** The parts of a moment, the lowest first. */
export function partsOf(model: SceneModel, moment: Moment): Part[] {
  const { look, overlays, shown, spoke, atS } = moment;
  const recent = recently(model.looks, atS);
  const { width, height } = model.canvas;
  const whole = { x: 0, y: 0, width, height };
  const canvases = recent.map(({ backgrounds }) => backgrounds?.canvas);
  const under = exactly('background', yuv601(rgbOf(look.backgroundColor)));
  const parts: Part[] = [
    { z: -1, most: whole, least: whole, colours: uniquely([...canvases.map((url) => imageOf(model, url) ?? under)]) },
  ];
  const mayFlash = (atS - FLASH_S.from) % 1 < FLASH_S.to - FLASH_S.from;
  const places = placesOf(
    overlays.speaker?.layout ? speakerLayout(overlays.speaker.layout, spoke, shown) : look.layout,
    shown,
  );
  for (const { uid, stay, view, rect, render, alpha, z } of places) {
    if (alpha === 0) continue;
    const place = inPixels(rect, whole);
    const named = recent.map(({ backgrounds }) => {
      const own = backgrounds?.users.find((user) => user.uid === uid && model.images.has(user.url));
      const everybody = { url: backgrounds?.defaultUser, render: 'crop' as const };
      return { first: own ?? everybody, everybody };
    });
    const isSure = named.length === 1;
    // While the user's own image is loading, that of everybody may be there.
    const images =
      view === 'live' ? [] : named.flatMap(({ first, everybody }) => (isSure ? [first] : [first, everybody]));
    const found = images.filter(({ url }) => url !== undefined && model.images.has(url));
    const colours = found.flatMap(({ url }) => imageOf(model, url) ?? []);
    const lacks = view !== 'live' && (colours.length === 0 || (!isSure && found.length < images.length));
    const renders = [...found.map((image) => image.render), ...(view === 'live' || lacks || !isSure ? [render] : [])];
    const isPicture = view === 'live' || (view === 'still' && lacks);
    const fitting = renders.includes('fit') ? fitted(place) : place;
    if (view === 'live' || view === 'still' || colours.length > 0)
      parts.push({
        z,
        most: renders.includes('crop') ? place : fitting,
        least: fitting,
        colours: uniquely([
          ...colours,
          ...(isPicture || (view === 'still' && !isSure) ? [ofHue(uid, stay.participant.colour)] : []),
          ...(isPicture && mayFlash ? [FLASH] : []),
        ]),
        mayLack: view === 'none' && lacks,
        ...(isPicture && { except: stampIn(fitting, place, render) }),
      });
    parts.push(...borderOf(overlays, spoke[0] === uid, place, z), ...labelOf(overlays, uid, place, z));
  }
  parts.push(...watermarkOf(model, atS), ...clockOf(overlays, whole));
  return parts.toSorted((a, b) => a.z - b.z);
}

/** What a rectangle of the canvas may show; undefined where that is any. */
export function wantedAt(parts: readonly Part[], rect: Rect): Allowed[] | undefined {
  const allowed: Allowed[] = [];
  for (const { most, least, colours, mayLack, except, probes } of parts.toReversed()) {
    const edge = probes?.includes(rect) ? 0 : EDGE;
    if (!touches(rect, most, edge)) continue;
    if (!least || !isWithin(rect, least, edge) || (except && touches(rect, except, 0))) return undefined;
    allowed.push(...colours);
    if (!mayLack) return allowed;
  }
  return allowed;
}

/** Those that hold at a moment, or held while images may still have been loading. */
function recently<T extends { atS: number }>(of: readonly T[], atS: number): T[] {
  const first = of.findLastIndex((each) => each.atS <= atS - LOADING_S);
  // Frames of a change may come a little early.
  return of.slice(Math.max(0, first)).filter((each) => each.atS <= atS + 0.2);
}

function imageOf({ images }: SceneModel, url: string | undefined): Allowed | undefined {
  const colour = url === undefined ? undefined : images.get(url);
  return colour && exactly(`image ${url}`, colour);
}

const uniquely = (of: readonly Allowed[]) => [...new Map(of.map((each) => [each.what, each])).values()];

type Place = Shown & { rect: Rect; render: 'crop' | 'fit'; alpha: number; z: number };

function placesOf(layout: Layout, shown: readonly Shown[]): Place[] {
  if (shown.length === 0) return [];
  const inTurn = (rects: Rect[], people: readonly Shown[], from = 0): Place[] =>
    people.map((each, n) => ({ ...each, rect: rects[n]!, render: 'crop', alpha: 1, z: from + n }));
  if (layout.kind === 'bestFit') return inTurn(bestFitRegions(shown.length), shown);
  if (layout.kind === 'floating') return inTurn(floatingRegions(shown.length), shown);
  if (layout.kind === 'custom') {
    const named = layout.regions.map(({ uid }) => uid);
    const others = shown.filter(({ uid }) => !named.includes(uid));
    return layout.regions.flatMap(({ uid, render, alpha, x, y, width, height }, z) => {
      const found = uid ? shown.find((each) => each.uid === uid) : others.shift();
      return found ? [{ ...found, rect: { x, y, width, height }, render, alpha, z }] : [];
    });
  }
  const { maxResolutionUid } = layout;
  const whole = { x: 0, y: 0, width: 1, height: 1 };
  if (maxResolutionUid === undefined && shown.length === 1) return inTurn([whole], shown);
  const large = shown.find(({ uid }) => uid === maxResolutionUid);
  const small = shown.filter((each) => each !== large);
  const regions = verticalRegions(Math.max(2, small.length + 1));
  const placed = inTurn(regions.small, small, 1);
  return large ? [{ ...large, rect: regions.large, render: 'fit', alpha: 1, z: 0 }, ...placed] : placed;
}

function speakerLayout(kind: 'large' | 'alone', spoke: readonly string[], shown: readonly Shown[]): Layout {
  const uid = spoke.find((each) => shown.some((one) => one.uid === each)) ?? shown[0]?.uid;
  if (uid === undefined) return { kind: 'bestFit' };
  if (kind === 'large' && shown.length > 1) return { kind: 'vertical', maxResolutionUid: uid };
  return { kind: 'custom', regions: [{ uid, x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'fit' }] };
}

function borderOf({ speaker }: Overlays, speaks: boolean, { x, y, width, height }: Rect, z: number): Part[] {
  // Where nobody else is shown no border is needed.
  if (!speaker?.border || speaker.layout === 'alone' || !speaks) return [];
  const colours = [ofHue('the border', yuv601(rgbOf(speaker.border)))];
  const bars = [
    { x, y, width, height: BORDER },
    { x, y: y + height - BORDER, width, height: BORDER },
    { x, y, width: BORDER, height },
    { x: x + width - BORDER, y, width: BORDER, height },
  ];
  return bars.map((bar) => {
    const along = bar.width > bar.height ? { x: bar.x + bar.width / 4, width: bar.width / 2 } : {};
    const down = bar.height > bar.width ? { y: bar.y + bar.height / 4, height: bar.height / 2 } : {};
    return { z: z + 0.25, most: bar, least: bar, colours, probes: [even({ ...bar, ...along, ...down })] };
  });
}

function labelOf({ nameLabels }: Overlays, uid: string, place: Rect, z: number): Part[] {
  if (!nameLabels || nameLabels.names[uid] === undefined) return [];
  const room = place.width - 2 * MARGIN;
  const of = (width: number) =>
    inCorner(place, nameLabels.corner, { width: Math.min(width, room), height: PLATE_HIGH });
  const least = of(LABEL.least);
  return [{ z: z + 0.5, most: of(LABEL.most), least, colours: [GREY], probes: [inner(least)] }];
}

/** A change of it is sure to be seen only once the image is there. */
function watermarkOf(model: SceneModel, atS: number): Part[] {
  const { canvas, overlays } = model;
  const whole = { x: 0, y: 0, ...canvas };
  const marks = recently(overlays, atS).map(({ overlays: { watermark } }) => watermark);
  const areas = marks.map((mark) => mark && watermarkArea(mark, whole));
  const isSure = new Set(marks.map((mark) => JSON.stringify(mark))).size === 1;
  return areas.flatMap((area, n): Part[] => {
    const { shown } = marks[n] ?? {};
    const colour = shown?.kind === 'image' ? imageOf(model, shown.image) : undefined;
    if (!area || !colour || (isSure && n > 0)) return [];
    return [{ z: 100, most: area, least: isSure ? area : undefined, colours: [colour], probes: [inner(area)] }];
  });
}

/** Images of watermarks are twice as wide as high. */
function watermarkArea({ place, size }: Watermark, canvas: Rect): Rect {
  const height = 2 * Math.round((canvas.height * size) / 2);
  const area = { width: 2 * Math.round(canvas.height * size), height };
  if (place !== 'center') return inCorner(canvas, place, area);
  return { x: (canvas.width - area.width) / 2, y: (canvas.height - area.height) / 2, ...area };
}

/** Of letters that are all as wide. */
function clockOf({ clock }: Overlays, canvas: Rect): Part[] {
  if (!clock) return [];
  const area = inCorner(canvas, clock.corner, {
    width: clock.format.length * LETTER + 2 * PADDING,
    height: PLATE_HIGH,
  });
  return [{ z: 101, most: area, least: area, colours: [GREY], probes: [inner(area)] }];
}

function inCorner({ x, y, width, height }: Rect, corner: Corner, size: { width: number; height: number }): Rect {
  return {
    x: corner.endsWith('right') ? x + width - MARGIN - size.width : x + MARGIN,
    y: corner.startsWith('bottom') ? y + height - MARGIN - size.height : y + MARGIN,
    ...size,
  };
}

function inner({ x, y, width, height }: Rect): Rect {
  return { x: x + 4, y: y + 4, width: width - 8, height: height - 8 };
}

function even({ x, y, width, height }: Rect): Rect {
  const down = (pixels: number) => 2 * Math.floor(pixels / 2);
  return { x: down(x), y: down(y), width: Math.max(2, down(width)), height: Math.max(2, down(height)) };
}

function inPixels({ x, y, width, height }: Rect, canvas: Rect): Rect {
  const edge = (fraction: number, size: number) => 2 * Math.round((fraction * size) / 2 + 1e-6);
  const [left, top] = [edge(x, canvas.width), edge(y, canvas.height)];
  return {
    x: left,
    y: top,
    width: edge(x + width, canvas.width) - left,
    height: edge(y + height, canvas.height) - top,
  };
}

/** Of the canvas' own shape, 16 to 9, in the middle of `rect`. */
function fitted({ x, y, width, height }: Rect): Rect {
  const wide = Math.min(width, (height * 16) / 9);
  const high = (wide * 9) / 16;
  return { x: x + (width - wide) / 2, y: y + (height - high) / 2, width: wide, height: high };
}

/** Where the stamp of a picture of the canvas' shape may be. */
function stampIn(shown: Rect, place: Rect, render: 'crop' | 'fit'): Rect {
  const wide = render === 'crop' ? Math.max(place.width, (place.height * 16) / 9) : shown.width;
  const high = (wide * 9) / 16;
  const [left, top] = [place.x + (place.width - wide) / 2, place.y + (place.height - high) / 2];
  const margin = 0.08;
  return {
    ...{ x: left + (STAMP_AREA.x - margin) * wide, y: top + (STAMP_AREA.y - margin) * high },
    ...{ width: (STAMP_AREA.width + 2 * margin) * wide, height: (STAMP_AREA.height + 2 * margin) * high },
  };
}

function isWithin(rect: Rect, area: Rect, edge: number): boolean {
  return (
    rect.x >= area.x + edge &&
    rect.y >= area.y + edge &&
    rect.x + rect.width <= area.x + area.width - edge &&
    rect.y + rect.height <= area.y + area.height - edge
  );
}

function touches(rect: Rect, area: Rect, edge: number): boolean {
  return (
    rect.x < area.x + area.width + edge &&
    rect.x + rect.width > area.x - edge &&
    rect.y < area.y + area.height + edge &&
    rect.y + rect.height > area.y - edge
  );
}
