/**
 * Where users must stand on the canvas, worked out from the contract's layout tables (§4.7) apart from the server's own
 * geometry, so that the two check each other.
 */

/** A part of the canvas in fractions of its size, origin at the top left. */
export type Rect = { x: number; y: number; width: number; height: number };

/** Best fit: regions of `n` users in join order, 1 to 17. */
export function bestFitRegions(n: number): Rect[] {
  if (n < 1 || n > 17) throw new RangeError(`best fit shows 1 to 17 users, not ${n}`);
  if (n === 1) return [{ x: 0, y: 0, width: 1, height: 1 }];
  if (n === 2) return [0, 1].map((i) => ({ x: i / 2, y: 0, width: 0.5, height: 1 }));
  if (n === 17) {
    const cells = Array.from({ length: 16 }, (_, i) => ({
      x: 0.1 + 0.2 * (i % 4),
      y: 0.2 * Math.floor(i / 4),
      width: 0.2,
      height: 0.2,
    }));
    return [...cells, { x: 0.4, y: 0.8, width: 0.2, height: 0.2 }];
  }
  const side = n <= 4 ? 2 : n <= 9 ? 3 : 4;
  return Array.from({ length: n }, (_, i) => ({
    x: (i % side) / side,
    y: Math.floor(i / side) / side,
    width: 1 / side,
    height: 1 / side,
  }));
}

/** Floating: the first user fills the canvas, the others lie over it from the bottom left. */
export function floatingRegions(n: number): Rect[] {
  if (n < 1 || n > 17) throw new RangeError(`floating shows 1 to 17 users, not ${n}`);
  return Array.from({ length: n }, (_, k) => {
    if (k === 0) return { x: 0, y: 0, width: 1, height: 1 };
    const i = k - 1;
    return { x: 0.012 + (i % 4) * 0.247, y: 1 - (Math.floor(i / 4) + 1) * 0.247, width: 0.235, height: 0.235 };
  });
}

/**
 * Vertical: the large window of `maxResolutionUid`, who is there, and the small ones of the `n` − 1 others in join
 * order.
 */
export function verticalRegions(n: number): { large: Rect; small: Rect[] } {
  if (n < 2 || n > 17) throw new RangeError(`the table of vertical is for 2 to 17 users, not ${n}`);
  const [wide, high, columns] = n <= 5 ? [5, 4, 1] : n <= 7 ? [7, 6, 1] : n <= 9 ? [9, 8, 1] : [10, 8, 2];
  const large = { x: 0, y: 0, width: (wide - columns) / wide, height: 1 };
  const small = Array.from({ length: n - 1 }, (_, i) => ({
    x: large.width + Math.floor(i / high) / wide,
    y: (i % high) / high,
    width: 1 / wide,
    height: 1 / high,
  }));
  return { large, small };
}
