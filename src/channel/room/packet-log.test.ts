import { describe, expect, test } from 'vitest';
import { PacketArena, SLAB_BYTES } from './packet-arena.ts';
import { AUDIO_BEFORE_US, PacketLog } from './packet-log.ts';

const BOUNDS = { maxBytes: 1e9, maxUs: 1e12 };
const logOf = (kind: 'audio' | 'video' = 'video', arena = new PacketArena(1e9), bounds = BOUNDS) =>
  new PacketLog({ arena, bounds, hasKeyFrames: kind === 'video' });
const add = (log: PacketLog, sequence: number, atUs = sequence * 1000, startsGroup = false, bytes = 1000) => {
  const datagram = Buffer.alloc(bytes, sequence & 0xff);
  datagram.writeUInt32BE(sequence, 0);
  const index = log.append('rtp', datagram, sequence & 0xffff, atUs);
  if (startsGroup) log.startGroup();
  return index;
};
const sequencesFrom = (log: PacketLog, from: number) =>
  Array.from({ length: log.end - from }, (_, n) => log.datagram(from + n).readUInt32BE(0));

describe('where reading begins', () => {
  test('is with the last key frame before a moment, or with the moment when there is none', () => {
    const log = logOf();
    for (let n = 0; n < 30; n++) add(log, n, n * 1000, n === 5 || n === 20);
    expect([3_000, 5_000, 19_999, 20_000, 99_000].map((atUs) => log.startOf(atUs))).toEqual([3, 5, 5, 20, 20]);
    expect(log.hasStart).toBe(true);
  });

  test('keeps the rest of a key frame whose first packet was sent again', () => {
    const log = logOf();
    add(log, 65_533, 1, true);
    // 65535 is the lost start; 65534 belongs to the picture before.
    add(log, 65_534, 2);
    for (const [sequence, atUs] of [
      [0x10000, 3],
      [0x10001, 4],
    ] as const)
      add(log, sequence, atUs);
    add(log, 65_535, 5, true);
    expect(sequencesFrom(log, log.startOf(9))).toEqual([0x10000, 0x10001, 65_535]);
  });

  test('is half a second early for sound', () => {
    const log = logOf('audio');
    for (let n = 0; n <= 100; n++) add(log, n, n * 20_000);
    expect(log.startOf(2_000_000)).toBe(100 - AUDIO_BEFORE_US / 20_000);
  });
});

test('what is kept is as it came in, whatever became of the memory it came in, and of that before it', () => {
  const arena = new PacketArena(1e9);
  const log = logOf('video', arena);
  const sent: string[] = [];
  for (let n = 0; n < 5000; n++) {
    const datagram = Buffer.alloc(200 + ((n * 37) % 1200), n & 0xff);
    datagram.writeUInt32BE(n, 0);
    sent.push(datagram.toString('latin1'));
    log.append('rtp', datagram, n & 0xffff, n);
    datagram.fill(0);
    if (n % 700 === 699) log.trimTo(n - 300);
    const index = log.first + ((n * 7919) % (log.end - log.first));
    expect(log.datagram(index).toString('latin1')).toBe(sent[index]);
    expect(log.arrivalUs(index)).toBe(index);
  }
  expect(log.bytes).toBeLessThan(1100 * 1400 + 2 * SLAB_BYTES);
  log.trimTo(log.end);
  expect([log.bytes, arena.bytes, arena.users]).toEqual([0, 0, 0]);
});

test('room stays through key frames that leave next to nothing, and is given up after long when so much is not used', () => {
  const log = logOf();
  const groups = (count: number, packets: number) => {
    for (let n = 0; n < count * packets; n++) {
      add(log, log.end, log.end, n % packets === 0, 100);
      if (n % packets === 0) log.trimTo(log.end - 1);
      if (n % 97 === 0) expect(sequencesFrom(log, log.first)[0]).toBe(log.first);
    }
  };
  groups(1, 1000);
  const { room } = log;
  groups(20, 1000);
  expect(log.room).toBe(room);
  groups(200, 50);
  expect(log.room).toBe(room / 4);
  groups(200, 20);
  expect(log.room).toBe(room / 16);
  groups(3, 1000);
  expect(log.room).toBe(room);
});

test('a packet larger than the usual memory is kept too', () => {
  const log = logOf();
  const index = add(log, 1, 0, true, 60_000);
  add(log, 2);
  expect(log.datagram(index).length).toBe(60_000);
});

test('the newest report before a moment is known, also when it is not kept any more', () => {
  const log = logOf();
  for (let n = 0; n < 10; n++) {
    add(log, n, n * 1000);
    log.append('rtcp', Buffer.from(`report ${n}`), 0, n * 1000 + 500);
  }
  const at = (atUs: number) => log.reportBefore(atUs)?.datagram.toString();
  expect([at(0), at(4_500), at(4_501), at(1e9)]).toEqual([undefined, 'report 3', 'report 4', 'report 9']);
  log.trimTo(15);
  expect([at(6_501), at(7_501), at(8_600)]).toEqual(['report 6', 'report 7', 'report 8']);
});

test('all that was given up stands in one sum until the feeds are beyond it', () => {
  const log = logOf('video', new PacketArena(1e9), { maxBytes: 1e9, maxUs: 10_000 });
  for (let n = 0; n < 40; n++) add(log, n, n * 1000, n % 10 === 0);
  log.holdBounds(45_000);
  expect([log.first, log.dropped]).toEqual([30, { from: 0, fromUs: 0, toUs: 29_000 }]);
  expect([log.lacksStartOf(25_000), log.lacksStartOf(29_500), log.lacksStartOf(31_000)]).toEqual([true, false, false]);
  for (let n = 40; n < 60; n++) add(log, n, n * 1000, n % 10 === 0);
  log.holdBounds(65_000);
  expect(log.dropped).toEqual({ from: 0, fromUs: 0, toUs: 49_000 });
  log.trimTo(55);
  expect(log.dropped).toBeUndefined();
});
