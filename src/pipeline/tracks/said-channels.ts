/**
 * How many channels a sender says that its sound has, before any of it came.
 */
import type { TrackFormat } from '../../media/track.ts';

/** Opus is stereo where its sender says so (RFC 7587 §6.1), or turns out to be; the rest is mono. */
export function saidChannels(format: TrackFormat): 1 | 2 {
  return format.kind === 'audio' && format.codec === 'opus' && /\bsprop-stereo=1\b/.test(format.fmtp) ? 2 : 1;
}
