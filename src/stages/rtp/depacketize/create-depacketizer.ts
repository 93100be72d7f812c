/**
 * The choice of a codec's depacketizer.
 */
import type { TrackFormat } from '../../../media/track.ts';
import { Av1Assembly } from './av1.ts';
import type { Depacketizer } from './depacketizer.ts';
import { FrameDepacketizer } from './frame-depacketizer.ts';
import { G711Depacketizer } from './g711.ts';
import { H264Assembly } from './h264.ts';
import { OpusDepacketizer } from './opus.ts';
import { Vp8Assembly } from './vp8.ts';
import { Vp9Assembly } from './vp9.ts';

/** @param sets the result of `decoderSets` of another depacketizer of the same track */
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
