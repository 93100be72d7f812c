/**
 * Sample: one encoded access unit. Received ones carry their RTP time; encoded ones their recording time.
 */
import type { HostUs, RtpTicks, StreamUs } from '../kernel/time.ts';
import type { MediaKind } from './track.ts';

/** One whole frame put together from RTP, not yet placed in the recording's time. */
export type ReceivedSample = {
  /** RTP timestamp unwrapped to a growing number, in ticks of the track's clock rate. */
  rtpTime: RtpTicks;
  /** Annex B byte stream for H.264, one frame for VP8, one packet for Opus. */
  data: Buffer;
  keyFrame: boolean;
  /**
   * True when packets before this sample were lost for good, so that a predicted frame may decode to a damaged picture.
   * Also true for a key frame after which a track's reception goes on, when it held frames back because of a loss.
   */
  afterLoss: boolean;
  /** The picture has another size than those before it and is no key frame: a spatial layer was switched on or off. */
  resized?: boolean;
  /** When the sample's last packet arrived, monotonic microseconds. */
  arrivalUs: HostUs;
};

/** One encoded access unit in the recording's time, ready to be muxed. */
export type EncodedSample = {
  kind: MediaKind;
  /** Presentation and decode time in microseconds from the recording's start. */
  ptsUs: StreamUs;
  dtsUs: StreamUs;
  durationUs: number;
  keyFrame: boolean;
  /** Annex B for H.264, raw AAC without ADTS. */
  data: Buffer;
};
