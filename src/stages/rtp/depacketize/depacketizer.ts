/** The interface between packets in order and whole encoded frames. */
import type { HostUs } from '../../../kernel/time.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';

export type Depacketizer = {
  /** Takes the next packet and returns the samples it completes. */
  push(ordered: Ordered): readonly ReceivedSample[];
  /**
   * Returns what counts as complete, because nothing more of it has come for a while.
   * @param nowUs monotonic microseconds
   */
  settle(nowUs: HostUs): readonly ReceivedSample[];
  /** Returns what is complete although no packet said so, because nothing more will come. */
  flush(): readonly ReceivedSample[];
  /** How many frames were dropped because a part was lost or malformed. */
  readonly dropped: number;
  /**
   * What decoding needs besides the samples that come, as it was last sent; for a depacketizer that continues this one.
   */
  decoderSets(): Buffer[];
};
