import { beforeEach, describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import { KeyFrameSender } from '../../../test/support/key-frame-sender.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { Encoding } from '../room/encoding.ts';
import { nextKeyFrame, readKeyFrame } from './key-frame.ts';

let clock: ManualClock;
let sender: KeyFrameSender;
beforeEach(() => {
  clock = new ManualClock();
  clock.advance(60_000);
  sender = new KeyFrameSender(clock);
});
const read = () => readKeyFrame(sender.encoding())?.datagrams;

describe('the newest key frame', () => {
  test('is all its packets and nothing else, as long as it is the newest', () => {
    sender.send(false);
    expect(read()).toBeUndefined();
    clock.advance(40);
    const key = sender.send(true);
    expect(read()).toEqual(key);
    for (let n = 0; n < 300; n++) {
      clock.advance(33);
      sender.send(false);
    }
    expect(read()).toEqual(key);
    expect(readKeyFrame(sender.encoding())?.arrivalUs).toBe(60_040_000);
    clock.advance(33);
    const next = sender.send(true);
    expect(read()).toEqual(next);
  });

  test('is none until the last of it is there', () => {
    const key = sender.make(true);
    for (const datagram of key.slice(0, 3)) {
      sender.arrive([datagram]);
      expect(read()).toBeUndefined();
    }
    sender.arrive(key.slice(3));
    expect(read()).toEqual(key);
  });

  test.each([
    ['its first packet', 0],
    ['a packet of its middle', 2],
    ['its last packet', 3],
  ])('comes in the sender’s order where %s was lost and sent again, behind other pictures', (_what, lost) => {
    const key = sender.make(true);
    sender.arrive(key.filter((_, n) => n !== lost));
    clock.advance(33);
    sender.send(false);
    expect(read()).toBeUndefined();
    clock.advance(33);
    sender.arrive([key[lost]!]);
    sender.send(false);
    expect(read()).toEqual(key);
  });

  test('has no padding behind it', () => {
    const key = sender.send(true);
    const { timestamp, sequence } = parsePacket(key[3]!, 0);
    const fields = { payloadType: 96, ssrc: 1, timestamp, sequence: sequence + 1, marker: false, paddingBytes: 200 };
    sender.arrive([encodePacket({ ...fields, payload: Buffer.alloc(0) })]);
    expect(read()).toEqual(key);
  });

  test('is none of another source than the one that sends now', () => {
    sender.send(true);
    const { extensions: _, ...other } = parsePacket(sender.make(false)[0]!, 0);
    sender.arrive([encodePacket({ ...other, ssrc: 77 })]);
    expect(read()).toBeUndefined();
  });

  test('has before it what its decoding needs and an earlier picture brought', () => {
    const format = { kind: 'video', codec: 'h264', payloadType: 102, clockRate: 90000, fmtp: '' } as const;
    const encoding = new Encoding({ format, memory: memoryForTests(), onKeyFrameWanted() {} });
    const take = (sequence: number, timestamp: number, payload: Buffer) => {
      const fields = { payloadType: 102, ssrc: 1, sequence, timestamp, marker: true, payload };
      const datagram = encodePacket(fields);
      encoding.take(parsePacket(datagram, timestamp), datagram);
    };
    const [sps, pps] = [Buffer.from([0x67, 1, 2, 3]), Buffer.from([0x68, 4, 5])];
    take(1, 1000, sps);
    take(2, 1000, pps);
    take(3, 1000, Buffer.from([0x65, 0x88, 1]));
    const idr = Buffer.from([0x65, 0x88, 9]);
    take(4, 4000, idr);
    const payloads = readKeyFrame(encoding)?.datagrams.map((each) => parsePacket(each, 0).payload);
    expect(payloads).toEqual([sps, pps, idr]);
  });
});

describe('the next key frame', () => {
  const wait = (ask: boolean) =>
    nextKeyFrame(sender.encoding(), readKeyFrame(sender.encoding()), { clock, limitMs: 1_000, ask });

  test('is asked for, and resolved to when it is whole', async () => {
    sender.send(true);
    clock.advance(20_000);
    sender.send(false);
    const found = wait(true);
    expect(sender.asked).toEqual([1]);
    clock.advance(100);
    const key = sender.make(true);
    sender.arrive(key.slice(0, 2));
    clock.advance(20);
    sender.arrive(key.slice(2));
    expect((await found)?.datagrams).toEqual(key);
    expect(sender.encoding().readers.size).toBe(0);
  });

  test('is none when it has not come in time', async () => {
    sender.send(true);
    const found = wait(false);
    clock.advance(900);
    sender.send(false);
    clock.advance(100);
    expect(await found).toBeUndefined();
    expect(sender.asked).toEqual([0]);
    expect(sender.encoding().readers.size).toBe(0);
  });
});
