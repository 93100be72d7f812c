/**
 * The playlists of a recording that goes on, for low-latency HLS (RFC 8216bis): its segments from the beginning on, and
 * the parts of the newest. Pure.
 */
import { US } from '../../../kernel/time.ts';

type LivePart = { durationUs: number; isIndependent: boolean };
export type LiveSegment = {
  /** UTC of its first sample, Unix milliseconds, where it begins a slice; those behind it follow from it. */
  startUtcMs: number | undefined;
  /** Undefined while it is being written. */
  durationUs: number | undefined;
  /** It does not go on from the one before. */
  discontinuity: boolean;
  parts: readonly LivePart[];
};

/**
 * Media sequence number of a recording's first segment. hls.js 1.7.4 forgets what it has buffered of a segment 0 that
 * it loads in parts, loads it again, and puts it behind itself.
 */
export const FIRST_SEGMENT = 1;

export type LivePlaylistOptions = {
  /** In order from the first on. */
  segments: readonly LiveSegment[];
  /** Nothing comes any more. */
  isEnded: boolean;
  partTargetUs: number;
  /** The longest segment that is to be expected, seconds. */
  targetS: number;
  /** Of a segment by its number, and of a part of it, relative to the playlist. */
  segmentUri(segment: number): string;
  partUri(segment: number, part: number): string;
  /** Leaves out what a player that has an earlier version knows already (§6.2.5.1). */
  skips?: boolean;
};

/** How far behind the end players stay, in parts: what is recommended (§4.4.3.8). */
const HOLD_BACK_PARTS = 3;
/** Players that know no parts stay so many of the longest segments behind. */
const HOLD_BACK_TARGETS = 3;
/** Segments that end longer ago than so many of the longest may be left out; fewer are not allowed. */
const SKIP_TARGETS = 6;
/** Parts are listed of what ended so short a while ago: at least the segment before the one that is being written. */
const WITH_PARTS_US = 18 * US;

export function renderLivePlaylist(options: LivePlaylistOptions): string {
  const { segments, isEnded, partTargetUs, targetS, segmentUri, partUri, skips = false } = options;
  // A player may be taken to know those that end further from the end than is announced.
  const skipped = skips && !isEnded ? newest(segments, SKIP_TARGETS * targetS * US) : 0;
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
    `#EXT-X-MEDIA-SEQUENCE:${FIRST_SEGMENT}`,
    '#EXT-X-PLAYLIST-TYPE:EVENT',
    ...(skipped > 0 ? [`#EXT-X-SKIP:SKIPPED-SEGMENTS=${skipped}`] : []),
  ];
  const withParts = isEnded ? segments.length : newest(segments, WITH_PARTS_US);
  for (let n = skipped; n < segments.length; n++) {
    const { startUtcMs, durationUs, discontinuity, parts } = segments[n]!;
    if (discontinuity && n > 0) lines.push('#EXT-X-DISCONTINUITY');
    if (startUtcMs !== undefined) lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(startUtcMs).toISOString()}`);
    if (n >= withParts)
      for (const [i, part] of parts.entries()) lines.push(partLine(part, partUri(n + FIRST_SEGMENT, i)));
    if (durationUs !== undefined) lines.push(`#EXTINF:${seconds(durationUs)},`, segmentUri(n + FIRST_SEGMENT));
  }
  lines.push(isEnded ? '#EXT-X-ENDLIST' : `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="${nextUri(segments, partUri)}"`);
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
function nextUri(segments: readonly LiveSegment[], partUri: LivePlaylistOptions['partUri']): string {
  const last = segments.at(-1);
  return last && last.durationUs === undefined
    ? partUri(segments.length - 1 + FIRST_SEGMENT, last.parts.length)
    : partUri(segments.length + FIRST_SEGMENT, 0);
}

/** The number of the first segment of the last so many microseconds. */
function newest(segments: readonly LiveSegment[], spanUs: number): number {
  let leftUs = spanUs;
  for (let n = segments.length - 1; n >= 0; n--) {
    if (leftUs <= 0) return n + 1;
    const { durationUs, parts } = segments[n]!;
    leftUs -= durationUs ?? parts.reduce((sum, part) => sum + part.durationUs, 0);
  }
  return 0;
}

function seconds(us: number): string {
  return (us / US).toFixed(5);
}
