/**
 * The RTP header extensions (RFC 8285) that are agreed with publishers, and what reads them.
 */

/** Chromium sends generated pictures (canvas, screens) in full range, and says so only in this extension. */
export const COLOR_SPACE = 'http://www.webrtc.org/experiments/rtp-hdrext/color-space';
/**
 * Phones that are held upright send their pictures lying on the side, and say so in this extension; when it is not
 * agreed, they turn each picture themselves.
 */
export const VIDEO_ORIENTATION = 'urn:3gpp:video-orientation';
/** Numbers all packets of the transport, for the feedback `transport-cc`. */
export const TRANSPORT_WIDE_CC = 'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01';
/** How loud the sound of a packet is (RFC 6464), for the list of who is in a channel. */
export const AUDIO_LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level';
/** Which section a packet belongs to (RFC 9143 §15). */
export const MID = 'urn:ietf:params:rtp-hdrext:sdes:mid';
/** Which stream of a simulcast a packet belongs to, or repeats (RFC 8852 §3). */
export const RID = 'urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id';
export const REPAIRED_RID = 'urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id';

/** Agreeing to these costs nothing. */
const ALWAYS: readonly string[] = [MID, COLOR_SPACE, VIDEO_ORIENTATION, TRANSPORT_WIDE_CC, AUDIO_LEVEL];
const WITH_RIDS: readonly string[] = [...ALWAYS, RID, REPAIRED_RID];

export type Extension = { id: number; uri: string };

/** @param hasRids whether the section's streams are told apart by their rids */
export function chooseExtensions(offered: readonly Extension[], hasRids: boolean): Extension[] {
  const taken = hasRids ? WITH_RIDS : ALWAYS;
  return offered.filter(({ uri }) => taken.includes(uri)).map(({ id, uri }) => ({ id, uri }));
}

export function extensionId(extensions: readonly Extension[], uri: string): number | undefined {
  return extensions.find((extension) => extension.uri === uri)?.id;
}
