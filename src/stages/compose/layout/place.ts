/**
 * Where each user stands on the canvas: the four layouts of contract §4.7. Pure geometry, in fractions of the canvas
 * with the origin at the top left.
 */
import type { Layout, Region } from '../../../contract/line/plan.ts';

export type Placement = {
  uid: string;
  x: number;
  y: number;
  width: number;
  height: number;
  /** 1 is opaque. */
  alpha: number;
  render: 'crop' | 'fit';
  /** Higher lies on top. */
  z: number;
};

/** A rectangle of the canvas in whole, even pixels. */
export type PixelRect = { x: number; y: number; width: number; height: number };

type Box = { x: number; y: number; width: number; height: number };

/** The most users that a picture shows; others are heard but not seen. */
export const MAX_SHOWN = 17;

/**
 * Places users, who are given in join order; the result begins with the lowest. Users for whom a layout has no place
 * are left out.
 * @param uids without repeats
 */
export function placeUsers(layout: Layout, uids: string[]): Placement[] {
  switch (layout.kind) {
    case 'floating':
      return inBoxes(uids, floatingBox);
    case 'bestFit':
      return inBoxes(uids, bestFitBox);
    case 'vertical':
      return placeVertical(layout.maxResolutionUid, uids);
    case 'custom':
      return placeCustom(layout.regions, uids);
  }
}

/**
 * A placement in pixels of an even-sized canvas. Edges are rounded, not sizes, so that regions that share an edge meet
 * exactly. Undefined when nothing of it remains.
 */
export function toPixels(box: Box, width: number, height: number): PixelRect | undefined {
  const left = evenEdge(box.x, width);
  const right = evenEdge(box.x + box.width, width);
  const top = evenEdge(box.y, height);
  const bottom = evenEdge(box.y + box.height, height);
  if (right <= left || bottom <= top) return undefined;
  return { x: left, y: top, width: right - left, height: bottom - top };
}

function evenEdge(fraction: number, size: number): number {
  // Edges that are computed in different ways, such as 3 × 0.2 and 0.4 + 0.2, become equal by this small addition.
  const edge = 2 * Math.round((fraction * size) / 2 + 1e-6);
  return Math.min(size, Math.max(0, edge));
}

function inBoxes(uids: string[], boxOf: (index: number, count: number) => Box): Placement[] {
  const shown = uids.slice(0, MAX_SHOWN);
  return shown.map((uid, index) => ({ uid, ...boxOf(index, shown.length), alpha: 1, render: 'crop', z: index }));
}

/** The first user fills the canvas; the others lie on top, from the bottom left to the right and upwards. */
function floatingBox(index: number): Box {
  if (index === 0) return { x: 0, y: 0, width: 1, height: 1 };
  const column = (index - 1) % 4;
  const row = Math.floor((index - 1) / 4);
  return { x: 0.012 + column * 0.247, y: 1 - (row + 1) * 0.247, width: 0.235, height: 0.235 };
}

/** Equal cells, filled row by row. */
function bestFitBox(index: number, count: number): Box {
  if (count === 17) {
    if (index === 16) return { x: 0.4, y: 0.8, width: 0.2, height: 0.2 };
    return { x: 0.1 + 0.2 * (index % 4), y: 0.2 * Math.floor(index / 4), width: 0.2, height: 0.2 };
  }
  const columns = count <= 1 ? 1 : count <= 4 ? 2 : count <= 9 ? 3 : 4;
  const rows = count <= 2 ? 1 : columns;
  return {
    x: (index % columns) / columns,
    y: Math.floor(index / columns) / rows,
    width: 1 / columns,
    height: 1 / rows,
  };
}

/**
 * Columns of small windows at the right: from how many windows on they are used, the canvas's width in small widths,
 * and rows per column.
 */
const VERTICAL = [
  { windows: 5, widths: 5, rows: 4, columns: 1 },
  { windows: 7, widths: 7, rows: 6, columns: 1 },
  { windows: 9, widths: 9, rows: 8, columns: 1 },
  { windows: 17, widths: 10, rows: 8, columns: 2 },
] as const;

/**
 * One large window at the left for `maxResolutionUid`, shown whole, and small ones at the right. While that user is
 * absent the large window stays empty and still counts as a window, because its place is kept.
 */
function placeVertical(maxResolutionUid: string | undefined, uids: string[]): Placement[] {
  const first = uids[0];
  if (first === undefined) return [];
  if (maxResolutionUid === undefined && uids.length === 1)
    return [{ uid: first, x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'crop', z: 0 }];

  const small = uids.filter((uid) => uid !== maxResolutionUid).slice(0, MAX_SHOWN - 1);
  const table = VERTICAL.find(({ windows }) => small.length + 1 <= windows) ?? VERTICAL[3];
  const { widths, rows, columns } = table;
  const bigWidth = (widths - columns) / widths;
  const placed: Placement[] = small.map((uid, index) => ({
    uid,
    x: bigWidth + Math.floor(index / rows) / widths,
    y: (index % rows) / rows,
    width: 1 / widths,
    height: 1 / rows,
    alpha: 1,
    render: 'crop',
    z: index + 1,
  }));
  if (maxResolutionUid !== undefined && uids.includes(maxResolutionUid)) {
    const big = { x: 0, y: 0, width: bigWidth, height: 1 };
    placed.unshift({ uid: maxResolutionUid, ...big, alpha: 1, render: 'fit', z: 0 });
  }
  return placed;
}

/** Regions with a uid wait for that user; users whom no region names fill the others in join order. */
function placeCustom(regions: Region[], uids: string[]): Placement[] {
  const named = new Set(regions.map((region) => region.uid).filter(isName));
  const unnamed = uids.filter((uid) => !named.has(uid));
  const present = new Set(uids);
  const placed: Placement[] = [];
  regions.slice(0, MAX_SHOWN).forEach((region, index) => {
    const uid = isName(region.uid) ? region.uid : unnamed.shift();
    if (uid === undefined || !present.delete(uid)) return;
    const { x, y, width, height, alpha, render } = region;
    placed.push({ uid, x, y, width, height, alpha, render, z: index });
  });
  return placed;
}

/** Clients send an empty uid for "not set" (contract §1.2.3). */
function isName(uid: string | undefined): uid is string {
  return uid !== undefined && uid !== '';
}
