import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type AmfValue, decodeAmf, encodeAmf } from './amf.ts';
import { ChunkReader, FIRST_CHUNK_SIZE, MESSAGE, type Message, toChunks } from './chunks.ts';

const message = (type: number, timestamp: number, payload: Buffer): Message => ({
  type,
  timestamp,
  stream: 1,
  payload,
});

test('messages come out as they went in, however the network cuts them', () => {
  const messages = fc.array(
    fc.record({
      type: fc.constantFrom(MESSAGE.audio, MESSAGE.video, MESSAGE.command, MESSAGE.data),
      // Beyond 24 bits, which need more room, and at the last moment of 32.
      timestamp: fc.oneof(fc.nat(70_000), fc.constantFrom(0xfffffe, 0xffffff, 0x1000000, 0xffffffff)),
      payload: fc.uint8Array({ maxLength: 700 }).map((bytes) => Buffer.from(bytes)),
    }),
    { maxLength: 6 },
  );
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 400 }), (sent, cut) => {
      const bytes = Buffer.concat(sent.map((each) => toChunks({ ...each, stream: 1 }, FIRST_CHUNK_SIZE)));
      const reader = new ChunkReader();
      const read: Message[] = [];
      for (let at = 0; at < bytes.length; at += cut) read.push(...reader.read(bytes.subarray(at, at + cut)));
      expect(read).toEqual(sent.map(({ type, timestamp, payload }) => message(type, timestamp, payload)));
    }),
    { numRuns: 100 },
  );
});

test('short headers of other senders are understood: times as steps, lengths as before', () => {
  const whole = toChunks(message(MESSAGE.command, 1000, Buffer.from('abc')), 128);
  // Chunk stream 3, format 1: a step of 20 ms, three bytes, a command; then format 2: 30 ms; then format 3.
  const stepped = Buffer.from([0x43, 0, 0, 20, 0, 0, 3, MESSAGE.command, ...Buffer.from('def')]);
  const shorter = Buffer.from([0x83, 0, 0, 30, ...Buffer.from('ghi')]);
  const shortest = Buffer.from([0xc3, ...Buffer.from('jkl')]);
  const read = new ChunkReader().read(Buffer.concat([whole, stepped, shorter, shortest]));
  expect(read.map(({ timestamp, payload }) => [timestamp, payload.toString()])).toEqual([
    [1000, 'abc'],
    [1020, 'def'],
    [1050, 'ghi'],
    [1080, 'jkl'],
  ]);
});

test('a server that changes its chunk size is followed', () => {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(1000);
  const long = Buffer.alloc(900, 'x');
  const bytes = [toChunks(message(MESSAGE.chunkSize, 0, size), 128), toChunks(message(MESSAGE.data, 0, long), 1000)];
  expect(new ChunkReader().read(Buffer.concat(bytes)).at(-1)?.payload).toEqual(long);
});

test.each([
  ['a message that is too long', toChunks(message(MESSAGE.data, 0, Buffer.alloc(2_000_000)), 128)],
  ['a chunk of no message', Buffer.of(0xc3, 1, 2, 3)],
])('%s is refused', (_, bytes) => {
  expect(() => new ChunkReader().read(bytes)).toThrow(/does not speak RTMP/);
});

test('values of commands come out as they went in', () => {
  const values: AmfValue[] = ['connect', 1, { app: 'live', nested: { yes: true, no: false } }, null, undefined, -0.5];
  expect(decodeAmf(encodeAmf(...values))).toEqual(values);
});

test('what is no command is refused, however it ends', () => {
  const whole = encodeAmf('onStatus', 0, null, { level: 'status', code: 'x' });
  for (const at of [1, 5, 15, 19, whole.length - 1])
    expect(() => decodeAmf(whole.subarray(0, at)), `${at}`).toThrow(/cannot be read/);
  expect(() => decodeAmf(Buffer.alloc(100, 3))).toThrow(/cannot be read/);
});
