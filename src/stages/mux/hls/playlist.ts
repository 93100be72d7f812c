/**
 * The M3U8 text of a recording (contract §4.3, RFC 8216). Pure.
 */
import { US, utcStamp } from '../../../kernel/time.ts';
import type { Segment } from '../../../media/segment.ts';

export type PlaylistOptions = {
  /**
   * Whether to write the comma after EXTINF's duration that RFC 8216 §4.3.2.1 asks for and the contract's playlists
   * lack.
   */
  extinfComma: boolean;
};

/**
 * The whole playlist of `slices` in their order. Every version ends with EXT-X-ENDLIST, even one that will be replaced
 * while the recording goes on.
 */
export function renderPlaylist(slices: readonly Segment[], options: PlaylistOptions): string {
  const longestUs = slices.reduce((longest, slice) => Math.max(longest, slice.durationUs), 0);
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:3',
    '#EXT-X-MEDIA-SEQUENCE:0',
    '#EXT-X-ALLOW-CACHE:YES',
    // At least as long as the longest slice, not merely rounded: players plan their buffers by it.
    `#EXT-X-TARGETDURATION:${Math.max(1, Math.ceil(longestUs / US))}`,
  ];
  for (const slice of slices) {
    if (slice.discontinuity) lines.push('#EXT-X-DISCONTINUITY');
    for (const { width, height, rotate, utcMs } of slice.rotations)
      lines.push(`#EXT-X-AGORA-ROTATE:WIDTH=${width},HEIGHT=${height},ROTATE=${rotate},TIME=${utcStamp(utcMs)}`);
    for (const { kind, startUtcMs } of slice.starts)
      lines.push(`#EXT-X-AGORA-TRACK-EVENT:EVENT=START,TRACK_TYPE=${kind.toUpperCase()},TIME=${utcStamp(startUtcMs)}`);
    lines.push(`#EXTINF:${seconds(slice.durationUs)}${options.extinfComma ? ',' : ''}`, slice.name);
  }
  lines.push('#EXT-X-ENDLIST');
  return `${lines.join('\n')}\n`;
}

/** Microseconds as seconds with six decimals, exact for every length. */
function seconds(us: number): string {
  return `${Math.floor(us / US)}.${String(us % US).padStart(6, '0')}`;
}
