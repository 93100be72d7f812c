/**
 * Opus over RTP: every packet is one sample (RFC 7587 §4.2); its length in time stands in its first bytes (RFC 6716
 * §3.1).
 */
import { Fault } from '../../../kernel/fault.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';
import type { Depacketizer } from './depacketizer.ts';

/** 120 ms, the longest packet there may be, at 48 kHz. */
const MAX_TICKS = 5760;
/** Frame lengths at 48 kHz by the low bits of the configuration number (RFC 6716 table 2). */
const SILK_TICKS = [480, 960, 1920, 2880];
const HYBRID_TICKS = [480, 960];
const CELT_TICKS = [120, 240, 480, 960];

/**
 * How long an Opus packet plays, in ticks of 48 kHz.
 * @throws Fault `opus-malformed` when the packet has no frames, or more than 120 ms of them
 */
export function opusDurationTicks(payload: Buffer): number {
  const toc = payload[0];
  if (toc === undefined) throw malformed('it is empty');
  const config = toc >> 3;
  const frameTicks =
    config < 12 ? SILK_TICKS[config & 3]! : config < 16 ? HYBRID_TICKS[config & 1]! : CELT_TICKS[config & 3]!;
  const code = toc & 3;
  let frames = code === 0 ? 1 : 2;
  if (code === 3) {
    const second = payload[1];
    if (second === undefined) throw malformed('its frame count is missing');
    frames = second & 0x3f;
    if (frames === 0) throw malformed('it holds no frames');
  }
  const ticks = frames * frameTicks;
  if (ticks > MAX_TICKS) throw malformed(`it plays ${ticks / 48} ms, more than 120`);
  return ticks;
}

export class OpusDepacketizer implements Depacketizer {
  #afterLoss = false;
  #dropped = 0;

  get dropped(): number {
    return this.#dropped;
  }

  push(ordered: Ordered): ReceivedSample[] {
    const { packet, rtpTime, lostBefore } = ordered;
    if (lostBefore > 0) this.#afterLoss = true;
    if (packet.payload.length === 0) return [];
    try {
      opusDurationTicks(packet.payload);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#dropped++;
      this.#afterLoss = true;
      return [];
    }
    const afterLoss = this.#afterLoss;
    this.#afterLoss = false;
    return [{ rtpTime, data: packet.payload, keyFrame: true, afterLoss, arrivalUs: packet.arrivalUs }];
  }

  settle(): ReceivedSample[] {
    return [];
  }

  decoderSets(): Buffer[] {
    return [];
  }

  flush(): ReceivedSample[] {
    return [];
  }
}

function malformed(why: string): Fault {
  return new Fault('opus-malformed', `not a valid Opus packet: ${why}`, { blame: 'channel' });
}
