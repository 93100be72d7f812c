/**
 * What a sender with odd habits puts on the wire: padding, several layers by one track, a clock that steps.
 */
import { expect, test } from 'vitest';
import { parsePacket } from '../../../src/stages/rtp/parse-packet.ts';
import { encodeNack, encodePictureLossIndication, parseCompound } from '../../../src/stages/rtp/rtcp.ts';
import { OutgoingTrack, RID_ID, type RtcTrack } from './outgoing-track.ts';

const OWN = 1000;
const OTHER = 2000;
const VIDEO = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' } as const;

function openTrack() {
  const sent: Buffer[] = [];
  const asked: string[] = [];
  const wire = { isOpen: () => true, sendMessageBinary: (datagram: Buffer) => sent.push(datagram) };
  const track = new OutgoingTrack(wire as unknown as RtcTrack, VIDEO, {
    ...{ ssrc: OWN, offset: 500, lossRate: 0, rid: 'h' },
    onKeyFrameWanted: () => asked.push('key frame'),
  });
  return { track, sent, asked };
}

test('padding goes on in sequence, says its layer, and holds nothing', () => {
  const { track, sent } = openTrack();
  track.pad();
  expect(sent).toHaveLength(0);
  track.send(Buffer.alloc(100), 9000);
  track.pad();
  const [picture, padding] = sent.map((datagram) => parsePacket(datagram, 0));
  expect(padding?.sequence).toBe(((picture?.sequence ?? 0) + 1) & 0xffff);
  expect(padding).toMatchObject({ ssrc: OWN, timestamp: 9500, marker: false });
  expect(padding?.payload).toHaveLength(0);
  expect(padding?.extensions?.get(RID_ID)?.toString()).toBe('h');
});

test('a layer does what is asked of it, and leaves what is asked of another', () => {
  const { track, sent, asked } = openTrack();
  track.send(Buffer.alloc(100), 9000);
  const { sequence } = parsePacket(sent[0] as Buffer, 0);
  track.onFeedback(encodeNack(1, OTHER, [sequence]));
  track.onFeedback(encodePictureLossIndication(1, OTHER));
  expect(sent).toHaveLength(1);
  expect(asked).toEqual([]);
  track.onFeedback(encodeNack(1, OWN, [sequence]));
  track.onFeedback(encodePictureLossIndication(1, OWN));
  expect(sent).toHaveLength(2);
  expect(asked).toEqual(['key frame']);
});

test('a clock that steps takes timestamps and sender reports with it', () => {
  const { track, sent } = openTrack();
  track.send(Buffer.alloc(100), 9000);
  track.forget(-45_000);
  track.send(Buffer.alloc(100), 12_000);
  track.report(1_000_000, 12_000);
  expect(sent.slice(0, 2).map((datagram) => parsePacket(datagram, 0).timestamp)).toEqual([9500, 57_500]);
  expect(parseCompound(sent[2] as Buffer)[0]).toMatchObject({ type: 'senderReport', rtpTimestamp: 57_500 });
});
