/**
 * The seam between packets in order and whole encoded frames.
 */
import type { HostUs } from '../../../kernel/time.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { Ordered } from '../jitter-buffer.ts';

export type Depacketizer = {
  /** Takes the next packet and returns the samples it completes. */
  push(ordered: Ordered): ReceivedSample[];
  /** Returns what is whole by now, as nothing more of it came for a while. @param nowUs monotonic microseconds */
  settle(nowUs: HostUs): ReceivedSample[];
  /** Returns what is whole though no packet said so: nothing more will come. */
  flush(): ReceivedSample[];
  /** Frames thrown away so far because a part was lost or malformed. */
  readonly dropped: number;
  /**
   * What decoding needs beside the samples that come, as it was last sent; for a depacketizer that goes on for this
   * one.
   */
  decoderSets(): Buffer[];
};
