/**
 * An RtpSession on a held clock: what it sends, and what it hands on of what comes in.
 */
import type { Encoding, EncodingReader } from '../../src/channel/room/encoding.ts';
import { readOffer } from '../../src/channel/whip/offer.ts';
import { RtpSession } from '../../src/channel/whip/rtp-session.ts';
import { parseCompound, type RtcpPacket } from '../../src/stages/rtp/rtcp.ts';
import { memoryForTests } from './channel-memory.ts';
import { ManualClock } from './manual-clock.ts';
import { capturedOffer } from './offers/read-offer.ts';

/**
 * Opens a session by a captured offer, with a reader of all its encodings, one second into the clock. Of what comes
 * back, `sent` is the RTCP that the session sent (`ms` since it was opened), `of` that of one type, `heard` what the
 * reader was told, `seen` the RTP datagrams of it; `run` has time pass in steps of 20 ms, `each` at every one.
 * @param change of the offer's SDP
 */
export function openRtpSession(
  change?: (sdp: string) => string,
  captured: 'chromium' | 'chromium-simulcast' = 'chromium',
) {
  const clock = new ManualClock();
  clock.advance(1000);
  const sent: { ms: number; packets: RtcpPacket[] }[] = [];
  const heard: { kind: 'rtp' | 'rtcp'; encoding: Encoding; arrivalUs: number }[] = [];
  const seen: Buffer[] = [];
  const session = new RtpSession({
    clock,
    sections: readOffer(capturedOffer(captured, change)).sections,
    memory: memoryForTests(),
    send: (datagram) => sent.push({ ms: clock.nowMs() - startMs, packets: parseCompound(datagram) }),
  });
  const reader: EncodingReader = {
    onPacket: (encoding, index) => {
      seen.push(Buffer.from(encoding.log.datagram(index)));
      heard.push({ kind: 'rtp', encoding, arrivalUs: encoding.log.arrivalUs(index) });
    },
    onRtcp: (encoding) => {
      heard.push({ kind: 'rtcp', encoding, arrivalUs: encoding.log.arrivalUs(encoding.log.end - 1) });
    },
    needs: () => Number.POSITIVE_INFINITY,
  };
  for (const { encodings } of session.publications) for (const encoding of encodings) encoding.readers.add(reader);
  const startMs = clock.nowMs();
  const run = (ms: number, each: () => void = () => {}) => {
    for (let at = 0; at < ms; at += 20) {
      clock.advance(20);
      each();
      session.tick();
    }
  };
  const of = <T extends RtcpPacket['type']>(type: T) =>
    sent.flatMap(({ ms, packets }) =>
      packets.flatMap((p) => (p.type === type ? [{ ms, ...(p as Extract<RtcpPacket, { type: T }>) }] : [])),
    );
  return { clock, session, sent, heard, seen, run, of };
}
