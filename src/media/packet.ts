/**
 * Packet: one parsed RTP packet with the moment it arrived. `payload` is a view of the datagram, not a copy.
 */
import type { HostUs } from '../kernel/time.ts';

/** The header extensions of one packet (RFC 8285). */
export type HeaderExtensions = {
  /** The data of the element with this id, a view of the datagram; of several the last. */
  get(id: number): Buffer | undefined;
};

export type Packet = {
  payloadType: number;
  /** The 16-bit sequence number as sent. */
  sequence: number;
  /** The 32-bit RTP timestamp as sent. */
  timestamp: number;
  ssrc: number;
  marker: boolean;
  /** Absent when the packet carries none. */
  extensions?: HeaderExtensions;
  /** Payload without padding; empty for padding-only packets. */
  payload: Buffer;
  /** Monotonic microseconds at arrival, by the clock of the host that received it. */
  arrivalUs: HostUs;
};
