/** How large overlays are on a canvas, and where they stand. All values are even pixels. Pure. */
import type { Corner } from '../../../contract/line/overlays.ts';
import type { PixelRect } from '../../../stages/compose/layout/place.ts';

/** Luma of letters, and of the plates behind them. */
export const [INK, PLATE] = [235, 24];

export type OverlaySizes = {
  /** The height of a plate and of the line of text on it, and the room before and behind the text. */
  plate: number;
  line: number;
  padding: number;
  /** Distance from the edges of the area. */
  margin: number;
  /** Thickness of a border. */
  border: number;
};

export function overlaySizes({ width, height }: { width: number; height: number }): OverlaySizes {
  const side = Math.min(width, height);
  const line = Math.max(10, Math.round(side * 0.035));
  return {
    ...{ line, plate: evenUp(line * 1.3), padding: evenUp(line * 0.35) },
    ...{ margin: evenUp(side * 0.012), border: evenUp(side * 0.008) },
  };
}

/** Where something stands in a corner of an area; it is cut to the room that is left there. */
export function inCorner(
  area: PixelRect,
  corner: Corner,
  size: { width: number; height: number },
  margin: number,
): PixelRect | undefined {
  const width = Math.min(size.width, area.width - 2 * margin);
  const height = Math.min(size.height, area.height - 2 * margin);
  if (width < 2 || height < 2) return undefined;
  const isRight = corner.endsWith('right');
  const isBottom = corner.startsWith('bottom');
  return {
    x: isRight ? area.x + area.width - margin - width : area.x + margin,
    y: isBottom ? area.y + area.height - margin - height : area.y + margin,
    width,
    height,
  };
}

export function evenUp(size: number): number {
  return 2 * Math.ceil(size / 2);
}
