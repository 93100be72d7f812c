/**
 * Opus over RTP: every packet is one sample (RFC 7587 §4.2); its first bytes tell how long it plays (RFC 6716 §3.1).
 */
import { opusTicks } from '../../../media/opus.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';
import type { Depacketizer } from './depacketizer.ts';

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
    if (opusTicks(packet.payload) === 0) {
      this.#dropped++;
      this.#afterLoss = true;
      return [];
    }
    const afterLoss = this.#afterLoss;
    this.#afterLoss = false;
    // A view would keep all that was read with it in memory for as long as the sample waits.
    const data = Buffer.from(packet.payload);
    return [{ rtpTime, data, keyFrame: true, afterLoss, arrivalUs: packet.arrivalUs }];
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
