/**
 * The stamp: the content time of a made picture, drawn into it as black and white blocks, so that a judge reads from
 * any recorded frame when its content was made. 16 bits of tens of milliseconds (wrapping after 655.36 s) and a check
 * of 4. The blocks stand in the middle half of the width, which every layout's crop leaves in view.
 */

export const STAMP_BITS = 20;
/** Where the row of blocks lies, as fractions of the source picture. */
export const STAMP_AREA = { x: 0.25, y: 0.06, width: 0.5, height: 0.09 };
/** One unit of the stamp, microseconds. */
export const STAMP_UNIT_US = 10_000;
/** Units after which the stamp begins anew. */
export const STAMP_WRAP = 0x10000;
export const STAMP_DARK = 20;
export const STAMP_LIGHT = 200;

function checkOf(value: number): number {
  return ((value >> 12) ^ (value >> 8) ^ (value >> 4) ^ value ^ 0x9) & 0xf;
}

/** The bits of content time `tUs`, the most significant first. */
export function stampBits(tUs: number): boolean[] {
  const value = Math.floor(tUs / STAMP_UNIT_US) % STAMP_WRAP;
  const word = (value << 4) | checkOf(value);
  return Array.from({ length: STAMP_BITS }, (_, i) => ((word >> (STAMP_BITS - 1 - i)) & 1) === 1);
}

/** The content time in units (0 to STAMP_WRAP − 1), or undefined when the check does not hold. */
export function readStampBits(bits: readonly boolean[]): number | undefined {
  let word = 0;
  for (const bit of bits) word = (word << 1) | (bit ? 1 : 0);
  const value = word >> 4;
  return checkOf(value) === (word & 0xf) ? value : undefined;
}

/**
 * The full content time nearest to `nearUs` that reads as `value`, microseconds.
 * @param value units from `readStampBits`
 */
export function unwrapStamp(value: number, nearUs: number): number {
  const wrapUs = STAMP_WRAP * STAMP_UNIT_US;
  const tUs = value * STAMP_UNIT_US;
  return tUs + Math.round((nearUs - tUs) / wrapUs) * wrapUs;
}
