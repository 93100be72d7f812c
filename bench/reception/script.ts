/**
 * The process that is asked what our own code costs for a packet, with no network and no library: sessions of ten
 * publishers are handed datagrams that are made meanwhile and not counted. Says it over IPC.
 */
import { readOffer } from '../../src/channel/whip/offer.ts';
import { RtpSession } from '../../src/channel/whip/rtp-session.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { encodePacket } from '../../src/stages/rtp/encode-packet.ts';
import { memoryForTests } from '../../test/support/channel-memory.ts';
import { median } from '../../test/support/judge/offsets.ts';
import { capturedOffer } from '../../test/support/offers/read-offer.ts';

export type ScriptReply = { type: 'script'; plainUs: number; withFeedbackUs: number };

const PUBLISHERS = 10;
const PACKETS = 100;
const ROUNDS = 200;
/** V8 has compiled what it will by then. */
const WARM_UP_ROUNDS = 100;
const PACKETS_PER_FRAME = 30;
const FRAMES_PER_KEY_FRAME = 60;
const PAYLOAD_BYTES = 1188;
const VP8 = 96;

type Stream = { session: RtpSession; ssrc: number; sent: number };

/** VP8's payload descriptor (RFC 7741 §4.2), and of a frame's first packet the bit that tells a key frame. */
function payloadOf(...begin: number[]): Buffer {
  const payload = Buffer.alloc(PAYLOAD_BYTES, 7);
  payload.set(begin);
  return payload;
}
const KEY_START = payloadOf(0x10, 0x10, 0, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1);
const START = payloadOf(0x10, 0x11);
const REST = payloadOf(0);

function nextOf(stream: Stream, sequenceId: number | undefined): Buffer {
  const { ssrc, sent } = stream;
  stream.sent++;
  const inFrame = sent % PACKETS_PER_FRAME;
  const frame = Math.floor(sent / PACKETS_PER_FRAME);
  const payload = inFrame > 0 ? REST : frame % FRAMES_PER_KEY_FRAME === 0 ? KEY_START : START;
  const marker = inFrame === PACKETS_PER_FRAME - 1;
  const fields = { payloadType: VP8, sequence: sent, timestamp: frame * 3000, ssrc, marker, payload };
  if (sequenceId === undefined) return encodePacket(fields);
  const extensions = new Map([[sequenceId, Buffer.of((sent >> 8) & 0xff, sent & 0xff)]]);
  return encodePacket({ ...fields, extensions });
}

/** Microseconds of CPU for each packet, by the median round. */
function measure(withFeedback: boolean): number {
  const memory = memoryForTests();
  // A sender that takes REMB is given that, and its packets carry no number.
  const withoutRemb = (sdp: string) => sdp.replaceAll(/^a=rtcp-fb:\d+ goog-remb\n/gm, '');
  const { sections } = readOffer(capturedOffer('chromium', withFeedback ? withoutRemb : undefined));
  const sequenceId = sections.find((section) => section.transportSequenceId !== undefined)?.transportSequenceId;
  const streams = Array.from({ length: PUBLISHERS }, (_, n): Stream => {
    const session = new RtpSession({ clock: systemClock, sections, memory, send() {} });
    const ssrc = sections.find(({ format }) => format.payloadType === VP8)?.streams[0]?.ssrc ?? 1000 + n;
    return { session, ssrc, sent: 0 };
  });
  const rounds: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const datagrams: [RtpSession, Buffer][] = [];
    for (let n = 0; n < PACKETS; n++)
      for (const stream of streams) datagrams.push([stream.session, nextOf(stream, sequenceId)]);
    const before = process.cpuUsage();
    for (const [session, datagram] of datagrams) session.onDatagram(datagram);
    for (const { session } of streams) session.tick();
    const { user, system } = process.cpuUsage(before);
    if (round >= WARM_UP_ROUNDS) rounds.push((user + system) / datagrams.length);
  }
  if (withFeedback !== (sequenceId !== undefined)) throw new Error('the offer does not agree on what is measured');
  const strays = streams.reduce((sum, { session }) => sum + session.strays, 0);
  if (strays > 0) throw new Error(`${strays} packets of this bench were strays`);
  return median(rounds);
}

const reply: ScriptReply = { type: 'script', plainUs: measure(false), withFeedbackUs: measure(true) };
process.send?.(reply);
process.disconnect?.();
