/**
 * The seam between packets in order and whole encoded frames, and the choice of a codec's reader.
 */
import type { ReceivedSample } from '../../../media/sample.ts';
import type { TrackFormat } from '../../../media/track.ts';
import type { Ordered } from '../jitter-buffer.ts';
import { Av1Assembly } from './av1.ts';
import { FrameDepacketizer } from './frame-depacketizer.ts';
import { G711Depacketizer } from './g711.ts';
import { H264Assembly } from './h264.ts';
import { OpusDepacketizer } from './opus.ts';
import { Vp8Assembly } from './vp8.ts';
import { Vp9Assembly } from './vp9.ts';

export type Depacketizer = {
  /** Takes the next packet and returns the samples it completes. */
  push(ordered: Ordered): ReceivedSample[];
  /** Returns what is whole by now, as nothing more of it came for a while. @param nowUs monotonic microseconds */
  settle(nowUs: number): ReceivedSample[];
  /** Returns what is whole though no packet said so: nothing more will come. */
  flush(): ReceivedSample[];
  /** Frames thrown away so far because a part was lost or malformed. */
  readonly dropped: number;
  /** What decoding needs beside the samples that come, as it was last sent; for a depacketizer that goes on for this one. */
  decoderSets(): Buffer[];
};

/** @param sets what another one of the same track came to know, by `decoderSets` */
export function createDepacketizer(format: TrackFormat, sets: Buffer[] = []): Depacketizer {
  switch (format.codec) {
    case 'opus':
      return new OpusDepacketizer();
    case 'pcmu':
    case 'pcma':
      return new G711Depacketizer();
    case 'h264':
      return new FrameDepacketizer(new H264Assembly(format.fmtp, sets));
    case 'vp8':
      return new FrameDepacketizer(new Vp8Assembly());
    case 'vp9':
      return new FrameDepacketizer(new Vp9Assembly());
    case 'av1':
      return new FrameDepacketizer(new Av1Assembly(sets[0]));
  }
}
