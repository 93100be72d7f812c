/**
 * Simulcast as offers and answers write it (RFC 8853): the same picture in several sizes, one stream each. Streams are
 * named by rid or, in the older way, by the SSRCs of an `a=ssrc-group:SIM`.
 */
import type { MediaDescription } from 'sdp-transform';
import { RID } from './extensions.ts';

/** One stream of a section, as far as the offer describes it. Without simulcast a section has one. */
export type OfferedStream = {
  rid: string | undefined;
  ssrc: number | undefined;
  /** SSRC of its RTX stream. */
  rtxSsrc: number | undefined;
};

/** Browsers send three at most. */
const MAX_STREAMS = 4;

/**
 * The streams of a section that will be taken, in the offer's order; at least one.
 * @param payloadType of the codec that is taken: streams that are not sent in it are left out
 */
export function readStreams(line: MediaDescription, payloadType: number): OfferedStream[] {
  const rids = line.type === 'video' ? readRids(line, payloadType) : [];
  if (rids.length > 0) return rids.map((rid) => ({ rid, ssrc: undefined, rtxSsrc: undefined }));
  const groups = (line.ssrcGroups ?? []).map(({ semantics, ssrcs }) => ({
    semantics,
    ssrcs: ssrcs.split(' ').map(Number),
  }));
  // The first of a FID pair carries the media, the second its RTX.
  const pairs = groups.filter(({ semantics }) => semantics === 'FID').map(({ ssrcs }) => ssrcs);
  const repair = new Set(pairs.flatMap((pair) => pair.slice(1)));
  const announced = (line.ssrcs ?? []).map((ssrc) => Number(ssrc.id)).filter((ssrc) => !repair.has(ssrc));
  const layers = line.type === 'video' ? groups.find(({ semantics }) => semantics === 'SIM')?.ssrcs : undefined;
  const ssrcs = layers ? layers.slice(0, MAX_STREAMS) : [announced[0]];
  return ssrcs.map((ssrc) => ({ rid: undefined, ssrc, rtxSsrc: pairs.find(([media]) => media === ssrc)?.[1] }));
}

/** The answer's lines: we receive everything that is sent (RFC 8853 §5.3.2). */
export function writeStreams(streams: readonly OfferedStream[]): string[] {
  const rids = streams.flatMap(({ rid }) => rid ?? []);
  if (rids.length === 0) return [];
  return [...rids.map((rid) => `a=rid:${rid} recv`), `a=simulcast:recv ${rids.join(';')}`];
}

/**
 * The rids to be sent: of alternatives (`1,2`) the first that can be taken; those that begin paused (`~1`) count as
 * well. None when packets do not carry their rid: the sender then falls back to one stream.
 */
function readRids(line: MediaDescription, payloadType: number): string[] {
  const { simulcast } = line;
  if (!simulcast || !line.ext?.some(({ uri }) => uri === RID)) return [];
  const list = simulcast.dir1 === 'send' ? simulcast.list1 : simulcast.dir2 === 'send' ? simulcast.list2 : undefined;
  const usable = new Set(
    (line.rids ?? [])
      .filter(({ direction, params }) => direction === 'send' && isSentAs(payloadType, params ?? ''))
      .map(({ id }) => String(id)),
  );
  const rids = (list ?? '').split(';').flatMap(
    (alternatives) =>
      alternatives
        .split(',')
        .map((id) => id.replace(/^~/, ''))
        .find((id) => usable.has(id)) ?? [],
  );
  return [...new Set(rids)].slice(0, MAX_STREAMS);
}

/** A rid may name the payload types that it is sent in (RFC 8851 §10); without them it is sent in all. */
function isSentAs(payloadType: number, params: string): boolean {
  const formats = /(?:^|;)\s*pt=([\d,]+)/.exec(params)?.[1];
  return formats === undefined || formats.split(',').map(Number).includes(payloadType);
}
