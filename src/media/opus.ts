/** What the first bytes of an Opus packet say about it (RFC 6716 §3.1). */

/** 120 ms at 48 kHz, the longest possible packet. */
const MAX_TICKS = 5760;
/** Frame lengths at 48 kHz by the low bits of the configuration number (RFC 6716 table 2). */
const SILK_TICKS = [480, 960, 1920, 2880];
const HYBRID_TICKS = [480, 960];
const CELT_TICKS = [120, 240, 480, 960];

/**
 * How long an Opus packet plays, in ticks of 48 kHz, which are its samples too. 0 when it is malformed: without frames,
 * or with more than 120 ms of them.
 */
export function opusTicks(packet: Buffer): number {
  const [toc, second = 0] = packet;
  if (toc === undefined) return 0;
  const config = toc >> 3;
  const frameTicks =
    config < 12 ? SILK_TICKS[config & 3]! : config < 16 ? HYBRID_TICKS[config & 1]! : CELT_TICKS[config & 3]!;
  const code = toc & 3;
  const frames = code === 0 ? 1 : code < 3 ? 2 : second & 0x3f;
  const ticks = frames * frameTicks;
  return ticks <= MAX_TICKS ? ticks : 0;
}

/** Whether an Opus packet has two channels. An SDP need not say so (RFC 7587 §6.1). */
export function isStereoOpus(packet: Buffer): boolean {
  return ((packet[0] ?? 0) & 0x04) !== 0;
}
