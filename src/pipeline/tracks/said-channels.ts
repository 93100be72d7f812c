/** How many channels a sender says that its sound has, before any sound came. */
import type { TrackFormat } from '../../media/track.ts';

/** Opus is stereo when its sender says so (RFC 7587 §6.1) or it turns out to be; other codecs are mono. */
export function saidChannels(format: TrackFormat): 1 | 2 {
  return format.kind === 'audio' && format.codec === 'opus' && /\bsprop-stereo=1\b/.test(format.fmtp) ? 2 : 1;
}
