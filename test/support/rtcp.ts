/**
 * RTCP that senders send and the server never does.
 */
import { encodeReceiverReport, type ReportBlock } from '../../src/stages/rtp/rtcp.ts';

/** What a sender of media says of its clock (RFC 3550 §6.4.1); `ntpUs` counts microseconds since 1900. */
export function encodeSenderReport(report: {
  ssrc: number;
  ntpUs: number;
  rtpTimestamp: number;
  packetCount: number;
  octetCount: number;
  blocks?: ReportBlock[];
}): Buffer {
  const { ssrc, ntpUs, blocks = [] } = report;
  const seconds = Math.floor(ntpUs / 1_000_000);
  const info = Buffer.alloc(20);
  info.writeUInt32BE(seconds >>> 0, 0);
  info.writeUInt32BE(Math.floor(((ntpUs - seconds * 1_000_000) * 2 ** 32) / 1_000_000) >>> 0, 4);
  info.writeUInt32BE(report.rtpTimestamp >>> 0, 8);
  info.writeUInt32BE(report.packetCount >>> 0, 12);
  info.writeUInt32BE(report.octetCount >>> 0, 16);
  // The two kinds of report begin and end alike.
  const received = encodeReceiverReport({ senderSsrc: ssrc, blocks });
  const out = Buffer.concat([received.subarray(0, 8), info, received.subarray(8)]);
  out[1] = 200;
  out.writeUInt16BE(out.length / 4 - 1, 2);
  return out;
}

/** The sources of a session leave it (RFC 3550 §6.6). */
export function encodeBye(ssrcs: readonly number[]): Buffer {
  const out = Buffer.alloc(4 + ssrcs.length * 4);
  out[0] = 0x80 | ssrcs.length;
  out[1] = 203;
  out.writeUInt16BE(ssrcs.length, 2);
  ssrcs.forEach((ssrc, n) => {
    out.writeUInt32BE(ssrc, 4 + n * 4);
  });
  return out;
}
