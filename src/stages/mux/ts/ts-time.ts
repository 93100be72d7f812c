/** Times of a transport stream: 33 bits of 90,000 a second, which wrap after 26.5 hours. Loads no codec. */
const TS_WRAP = 2 ** 33;

/** The value that equals `ticks` modulo 2^33 and is nearest to `near`. */
export function unwrapTs(ticks: number, near: number): number {
  return ticks + Math.round((near - ticks) / TS_WRAP) * TS_WRAP;
}
