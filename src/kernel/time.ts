/**
 * Media time: whole ticks with a rate, and the one text form of a moment that file names and playlists use.
 */

/** Ticks of `from` per second expressed in ticks of `to` per second, rounded to nearest. */
export function rescale(ticks: number, from: number, to: number): number {
  return Math.round((ticks * to) / from);
}

/** Microseconds per second, the rate of every `…Us` value. */
export const US = 1_000_000;

/** `yyyyMMddHHmmssSSS` in UTC, 17 digits (contract §4.1). */
export function utcStamp(unixMs: number): string {
  return new Date(unixMs).toISOString().replace(/[-:TZ.]/g, '');
}

declare const clock: unique symbol;
/**
 * A moment told by one clock, as a number. The type-checker refuses a moment of another clock in its place, but accepts
 * the result of arithmetic, which is a plain number (ADR 0017).
 */
type Moment<C extends string> = number & { readonly [clock]?: C };
/** Microseconds of a host's monotonic clock, the same for all processes of the host (`Clock.monoUs`). */
export type HostUs = Moment<'host'>;
/** Microseconds since a recording's zero. */
export type RecordingUs = Moment<'recording'>;
/**
 * Microseconds from where a recording's files begin. Holds do not count: after a hold files go on as if no time had
 * passed (ADR 0020).
 */
export type FileUs = Moment<'file'>;
/**
 * Microseconds of the timeline of a writer's or reader's samples: a composite's files, or the recording where every
 * user is recorded separately. Whoever joins the two must know which it is; the type-checker accepts either.
 */
export type StreamUs = number;
/** Microseconds of a track's RTP clock: its ticks by its clock rate. */
export type MediaUs = Moment<'media'>;
/** Microseconds since the Unix epoch, by the host's wall clock. */
export type UtcUs = Moment<'utc'>;
/** Microseconds since 1900 by a sender's wall clock, as its sender reports tell them (RFC 3550 §4). */
export type SenderUs = Moment<'sender'>;
/**
 * Ticks of a track's RTP clock, unwrapped to grow beyond 32 bits. The format's clock rate tells how many make a second.
 */
export type RtpTicks = Moment<'rtp'>;

/** A host's moment as one of the recording whose zero is at `zeroUs`. */
export function toRecording(hostUs: HostUs, zeroUs: HostUs): RecordingUs {
  return hostUs - zeroUs;
}

/** A moment of the recording whose zero is at `zeroUs` as one of the host. */
export function toHost(recordingUs: RecordingUs, zeroUs: HostUs): HostUs {
  return zeroUs + recordingUs;
}
