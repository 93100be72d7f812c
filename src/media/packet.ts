/**
 * Packet: one parsed RTP packet with the moment it arrived. `payload` is a view of the datagram, not a copy.
 */
import type { HostUs } from '../kernel/time.ts';

export type Packet = {
  payloadType: number;
  /** The 16-bit sequence number as sent. */
  sequence: number;
  /** The 32-bit RTP timestamp as sent. */
  timestamp: number;
  ssrc: number;
  marker: boolean;
  /** Header extensions by id (RFC 8285), absent when the packet carries none. */
  extensions?: Map<number, Buffer>;
  /** Payload without padding; empty for padding-only packets. */
  payload: Buffer;
  /** Monotonic microseconds at arrival, by the clock of the host that received it. */
  arrivalUs: HostUs;
};
