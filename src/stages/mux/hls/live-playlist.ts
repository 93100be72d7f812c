/**
 * The playlists of a recording that goes on, for low-latency HLS (RFC 8216bis): its slices from the beginning on, and
 * the parts of the newest. Pure.
 */
import { US } from '../../../kernel/time.ts';

type LivePart = { durationUs: number; isIndependent: boolean };
export type LiveSlice = {
  /** UTC of its first sample, Unix milliseconds. */
  startUtcMs: number;
  /** Undefined while it is being written. */
  durationUs: number | undefined;
  /** It does not go on from the one before. */
  discontinuity: boolean;
  parts: readonly LivePart[];
};

export type LivePlaylistOptions = {
  /** Numbered from 0 on, which are their media sequence numbers. */
  slices: readonly LiveSlice[];
  /** Nothing comes any more. */
  isEnded: boolean;
  partTargetUs: number;
  /** The longest slice that is to be expected, seconds. */
  targetS: number;
  /** Of a slice by its number, and of a part of it, relative to the playlist. */
  sliceUri(slice: number): string;
  partUri(slice: number, part: number): string;
  /** Leaves out what a player that has an earlier version knows already (§6.2.5.1). */
  skips?: boolean;
};

/** How far behind the end players stay, in parts: what is recommended (§4.4.3.8). */
const HOLD_BACK_PARTS = 3;
/** Players that know no parts stay so many of the longest slices behind. */
const HOLD_BACK_TARGETS = 3;
/** Slices that end longer ago than so many of the longest may be left out; fewer are not allowed. */
const SKIP_TARGETS = 6;
/** Parts are listed of the slice that is being written and of so many before it. */
const SLICES_WITH_PARTS = 1;

/** How many of the newest slices have their parts listed. */
export const LISTED_WITH_PARTS = SLICES_WITH_PARTS + 1;

export function renderLivePlaylist(options: LivePlaylistOptions): string {
  const { slices, isEnded, partTargetUs, targetS, sliceUri, partUri, skips = false } = options;
  const skipped = skips && !isEnded ? skippable(slices, targetS) : 0;
  const control = [
    'CAN-BLOCK-RELOAD=YES',
    `PART-HOLD-BACK=${seconds(HOLD_BACK_PARTS * partTargetUs)}`,
    `HOLD-BACK=${HOLD_BACK_TARGETS * targetS}`,
    `CAN-SKIP-UNTIL=${SKIP_TARGETS * targetS}`,
  ];
  const lines = [
    '#EXTM3U',
    '#EXT-X-VERSION:9',
    `#EXT-X-TARGETDURATION:${targetS}`,
    `#EXT-X-SERVER-CONTROL:${control.join(',')}`,
    `#EXT-X-PART-INF:PART-TARGET=${seconds(partTargetUs)}`,
    '#EXT-X-MEDIA-SEQUENCE:0',
    '#EXT-X-PLAYLIST-TYPE:EVENT',
    ...(skipped > 0 ? [`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`] : []),
  ];
  const withParts = isEnded ? slices.length : slices.length - LISTED_WITH_PARTS;
  for (const [n, { startUtcMs, durationUs, discontinuity, parts }] of slices.entries()) {
    if (n < skipped) continue;
    if (discontinuity && n > 0) lines.push('#EXT-X-DISCONTINUITY');
    lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(startUtcMs).toISOString()}`);
    if (n >= withParts) for (const [i, part] of parts.entries()) lines.push(partLine(part, partUri(n, i)));
    if (durationUs !== undefined) lines.push(`#EXTINF:${seconds(durationUs)},`, sliceUri(n));
  }
  lines.push(isEnded ? '#EXT-X-ENDLIST' : `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${nextUri(slices, partUri)}"`);
  return `${lines.join('\n')}\n`;
}

/** A user's picture and sound, which lie in slices of their own (§4.4.6). */
export type LiveRendition = { kind: 'audio' | 'video'; uri: string };

/** The playlist that names both. @param bandwidth of the picture and the sound, bit/s */
export function renderLiveRenditions(renditions: readonly LiveRendition[], bandwidth: number): string {
  const [audio, video] = (['audio', 'video'] as const).map((kind) => renditions.find((each) => each.kind === kind));
  const group = 'GROUP-ID="sound",NAME="sound",DEFAULT=YES,AUTOSELECT=YES';
  const lines = ['#EXTM3U', '#EXT-X-VERSION:9'];
  if (audio && video) lines.push(`#EXT-X-MEDIA:TYPE=AUDIO,${group},URI="${audio.uri}"`);
  const stream = `#EXT-X-STREAM-INF:BANDWIDTH=${bandwidth}${audio && video ? ',AUDIO="sound"' : ''}`;
  for (const each of video ? [video] : audio ? [audio] : []) lines.push(stream, each.uri);
  return `${lines.join('\n')}\n`;
}

function partLine({ durationUs, isIndependent }: LivePart, uri: string): string {
  return `#EXT-X-PART:DURATION=${seconds(durationUs)},URI="${uri}"${isIndependent ? ',INDEPENDENT=YES' : ''}`;
}

/** The part that comes next (§4.4.5.3). */
function nextUri(slices: readonly LiveSlice[], partUri: LivePlaylistOptions['partUri']): string {
  const newest = slices.at(-1);
  return newest && newest.durationUs === undefined
    ? partUri(slices.length - 1, newest.parts.length)
    : partUri(slices.length, 0);
}

/** How many slices a player may be taken to know: those that end further from the end than is announced. */
function skippable(slices: readonly LiveSlice[], targetS: number): number {
  let leftUs = SKIP_TARGETS * targetS * US;
  for (let n = slices.length - 1; n >= 0; n--) {
    if (leftUs <= 0) return n + 1;
    const { durationUs, parts } = slices[n]!;
    leftUs -= durationUs ?? parts.reduce((sum, part) => sum + part.durationUs, 0);
  }
  return 0;
}

function seconds(us: number): string {
  return (us / US).toFixed(5);
}
