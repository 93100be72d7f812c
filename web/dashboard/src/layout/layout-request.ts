/**
 * What updateLayout and `transcodingConfig` have of a layout (contract §1.2.3, §1.4), as it is designed: checked, placed
 * and warned of by the server's own code. Pure.
 */
import './without-eval.ts';
import { lintLayout } from '../../../../src/contract/lint/layout.ts';
import { toLayout } from '../../../../src/contract/rest/to-layout.ts';
import { parseUpdateLayout } from '../../../../src/contract/rest/update-layout.ts';
import { MAX_SHOWN, placeUsers } from '../../../../src/stages/compose/layout/place.ts';

export type RegionEntry = {
  uid?: string;
  x_axis: number;
  y_axis: number;
  width: number;
  height: number;
  alpha?: number;
  render_mode?: 0 | 1;
};
/** As it is sent; members that are not here go with it untouched. */
export type LayoutRequest = {
  mixedVideoLayout?: 0 | 1 | 2 | 3;
  layoutConfig?: RegionEntry[];
  maxResolutionUid?: string;
  backgroundColor?: string;
};
export type Canvas = { width: number; height: number };
/** Fractions of the canvas. `index` is the region's, where the layout is a custom one. */
type Placed = { uid: string | undefined; index: number; x: number; y: number; width: number; height: number };

type Checked =
  | { request: LayoutRequest; warnings: string[]; error?: undefined }
  | { error: string; request?: undefined; warnings?: undefined };

export const MOST_REGIONS = MAX_SHOWN;
/** Decimals that the contract has. */
const DIGITS = 6;
const STEP = 0.01;
const LEAST = 0.02;

/** Reads JSON as the API would: what it says of a fault, and what it warns of. */
export function checkLayout(text: string, canvas: Canvas): Checked {
  let request: unknown;
  try {
    request = JSON.parse(text);
  } catch {
    return { error: 'It is not JSON.' };
  }
  if (typeof request !== 'object' || request === null || Array.isArray(request))
    return { error: 'It must be an object.' };
  try {
    parseUpdateLayout({ cname: 'any', uid: '1', clientRequest: request });
  } catch (problem) {
    return { error: (problem as Error).message };
  }
  const warnings = lintLayout(request as Record<string, unknown>, '', canvas);
  return { request: request as LayoutRequest, warnings: warnings.map(({ path, message }) => `${path}: ${message}`) };
}

export function textOf(request: LayoutRequest): string {
  return JSON.stringify(request, null, 2);
}

/** Where everybody is, the lowest first; of a custom layout the regions that nobody fills as well. */
export function placed(request: LayoutRequest, uids: string[]): Placed[] {
  const { layout } = toLayout(parseUpdateLayout({ cname: 'any', uid: '1', clientRequest: request }).clientRequest);
  const people = placeUsers(layout, uids);
  if (layout.kind !== 'custom') return people.map((each, index) => ({ ...each, index }));
  return layout.regions.map(({ x, y, width, height }, index) => {
    const uid = people.find(({ z }) => z === index)?.uid;
    return { uid, index, x, y, width, height };
  });
}

/** Another kind of layout; custom regions begin where everybody was. */
export function ofKind(request: LayoutRequest, kind: 0 | 1 | 2 | 3, uids: string[]): LayoutRequest {
  const { layoutConfig: _regions, maxResolutionUid, ...rest } = request;
  const [first] = uids;
  if (kind !== 3)
    return {
      ...{ ...rest, mixedVideoLayout: kind },
      ...(kind === 2 && first !== undefined && { maxResolutionUid: maxResolutionUid ?? first }),
    };
  const wide = request.mixedVideoLayout === 2 ? maxResolutionUid : undefined;
  const regions = placed(request, uids).map(
    ({ uid, x, y, width, height }): RegionEntry => ({
      ...(uid !== undefined && uid === wide && { uid, render_mode: 1 as const }),
      ...inside({ x_axis: x, y_axis: y, width, height }),
    }),
  );
  return { ...rest, mixedVideoLayout: 3, layoutConfig: regions };
}

export function withRegion(request: LayoutRequest, index: number, change: Partial<RegionEntry>): LayoutRequest {
  const regions = request.layoutConfig ?? [];
  return {
    ...request,
    layoutConfig: regions.map((region, each) => (each === index ? tidy({ ...region, ...change }) : region)),
  };
}

export function withoutRegion(request: LayoutRequest, index: number): LayoutRequest {
  return { ...request, layoutConfig: (request.layoutConfig ?? []).filter((_region, each) => each !== index) };
}

/** In the middle, over the others. */
export function withNewRegion(request: LayoutRequest): LayoutRequest {
  const added = { x_axis: 0.35, y_axis: 0.35, width: 0.3, height: 0.3 };
  return { ...request, layoutConfig: [...(request.layoutConfig ?? []), added] };
}

/** What an arrow key does: it moves a region, or with shift changes its size. */
export function byKey(region: RegionEntry, key: string, sizes: boolean): RegionEntry | undefined {
  const [dx, dy] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
  if (dx === 0 && dy === 0) return undefined;
  return sizes
    ? sized(region, region.width + dx! * STEP, region.height + dy! * STEP)
    : moved(region, dx! * STEP, dy! * STEP);
}

export function moved(region: RegionEntry, dx: number, dy: number): RegionEntry {
  return inside({
    ...region,
    x_axis: clamp(region.x_axis + dx, 0, 1 - region.width),
    y_axis: clamp(region.y_axis + dy, 0, 1 - region.height),
  });
}

export function sized(region: RegionEntry, width: number, height: number): RegionEntry {
  return inside({
    ...region,
    width: clamp(width, LEAST, 1 - region.x_axis),
    height: clamp(height, LEAST, 1 - region.y_axis),
  });
}

/**
 * Moves a dragged edge to one that is near: of the canvas, its middle, or another region.
 * @returns what to add, so that one of `edges` lies on one of `lines`
 */
export function pull(edges: number[], lines: number[], reach: number): number {
  let best = 0;
  let least = reach;
  for (const edge of edges)
    for (const line of lines)
      if (Math.abs(line - edge) < least) {
        least = Math.abs(line - edge);
        best = line - edge;
      }
  return best;
}

/** Sums of rounded numbers may pass the canvas's edge by the last digit. */
function inside(region: RegionEntry): RegionEntry {
  const [x, y] = [rounded(region.x_axis), rounded(region.y_axis)];
  const [width, height] = [rounded(region.width), rounded(region.height)];
  return {
    ...region,
    ...{ x_axis: x, y_axis: y },
    ...{ width: Math.min(width, rounded(1 - x)), height: Math.min(height, rounded(1 - y)) },
  };
}

/** Without what says nothing. */
function tidy({ uid, ...region }: RegionEntry): RegionEntry {
  return { ...(uid && { uid }), ...region };
}

function rounded(value: number): number {
  return Number(value.toFixed(DIGITS));
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(most, Math.max(least, value));
}
