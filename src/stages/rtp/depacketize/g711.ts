/**
 * PCMU and PCMA over RTP: every packet is one sample, a byte for each tick of 8 kHz (RFC 3551 §4.5.14).
 */
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';
import type { Depacketizer } from './depacketizer.ts';

export class G711Depacketizer implements Depacketizer {
  /** In G.711 no byte is invalid. */
  readonly dropped = 0;
  #afterLoss = false;

  push({ packet, rtpTime, lostBefore }: Ordered): ReceivedSample[] {
    if (lostBefore > 0) this.#afterLoss = true;
    if (packet.payload.length === 0) return [];
    const afterLoss = this.#afterLoss;
    this.#afterLoss = false;
    // A view would keep all that was read with it in memory for as long as the sample waits.
    return [{ rtpTime, data: Buffer.from(packet.payload), keyFrame: true, afterLoss, arrivalUs: packet.arrivalUs }];
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
