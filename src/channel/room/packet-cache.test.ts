import { describe, expect, test } from 'vitest';
import { AUDIO_CACHE_US, GopCache, MAX_GOP_BYTES, MAX_GOP_US, RecentCache } from './packet-cache.ts';

const packet = (
  sequence: number,
  timestamp: number,
  startsKeyFrame = false,
  arrivalUs = sequence * 1000,
  bytes = 1000,
) => ({
  datagram: Buffer.alloc(bytes, sequence & 0xff),
  sequence,
  timestamp,
  startsKeyFrame,
  arrivalUs,
});
const held = (cache: GopCache | RecentCache) => cache.packets().map((p) => p.sequence);

describe('a group of pictures', () => {
  test('holds nothing before the first key frame, then all from it on', () => {
    const cache = new GopCache();
    cache.add(packet(1, 100));
    expect(held(cache)).toEqual([]);
    cache.add(packet(2, 200, true));
    cache.add(packet(3, 200));
    cache.add(packet(4, 300));
    expect(held(cache)).toEqual([2, 3, 4]);
  });

  test('begins anew at the next key frame, and not at the second start within one', () => {
    const cache = new GopCache();
    for (const p of [packet(1, 100, true), packet(2, 100, true), packet(3, 200)]) cache.add(p);
    expect(held(cache)).toEqual([1, 2, 3]);
    cache.add(packet(4, 300, true));
    expect(held(cache)).toEqual([4]);
  });

  test('keeps the rest of a key frame whose first packet was sent again', () => {
    const cache = new GopCache();
    cache.add(packet(65533, 100, true, 1));
    // 65535 is the lost start; 65534 belongs to the picture before.
    cache.add(packet(65534, 200, false, 2));
    cache.add(packet(0, 300, false, 3));
    cache.add(packet(1, 300, false, 4));
    cache.add(packet(65535, 300, true, 5));
    expect(held(cache)).toEqual([0, 1, 65535]);
  });

  test('is given as it came in, group after group, and whatever became of the memory it came in', () => {
    const cache = new GopCache();
    for (let group = 0; group < 4; group++) {
      const sent: { bytes: string; arrivalUs: number }[] = [];
      for (let n = 0; n < 700 + group * 50; n++) {
        const sequence = group * 1000 + n;
        const p = packet(sequence, group, n === 0, sequence * 1000, 200 + ((n * 37) % 1200));
        p.datagram.writeUInt32BE(sequence, 0);
        sent.push({ bytes: p.datagram.toString('latin1'), arrivalUs: p.arrivalUs });
        cache.add(p);
        p.datagram.fill(0);
      }
      const given = cache.packets().map((p) => ({ bytes: p.datagram.toString('latin1'), arrivalUs: p.arrivalUs }));
      expect(given).toEqual(sent);
    }
    expect(cache.isEmpty).toBe(false);
    cache.clear();
    expect([cache.isEmpty, cache.packets()]).toEqual([true, []]);
  });

  test('that is too long or too big is given up until the next key frame', () => {
    const long = new GopCache();
    long.add(packet(1, 100, true, 0));
    long.add(packet(2, 200, false, MAX_GOP_US));
    expect(held(long)).toEqual([1, 2]);
    long.add(packet(3, 300, false, MAX_GOP_US + 1));
    long.add(packet(4, 400, false, MAX_GOP_US + 2));
    expect(held(long)).toEqual([]);
    long.add(packet(5, 500, true, MAX_GOP_US + 3));
    expect(held(long)).toEqual([5]);

    const big = new GopCache();
    const bytes = MAX_GOP_BYTES / 100;
    for (let n = 1; n <= 100; n++) big.add(packet(n, 100, n === 1, 0, bytes));
    expect(held(big)).toHaveLength(100);
    big.add(packet(101, 100, false, 1, 1));
    expect(held(big)).toEqual([]);
  });
});

test('sound is kept for half a second', () => {
  const cache = new RecentCache();
  for (let n = 0; n <= 100; n++) cache.add(packet(n, n * 960, false, n * 20_000));
  const first = 100 - AUDIO_CACHE_US / 20_000;
  expect(held(cache)).toEqual(Array.from({ length: 101 - first }, (_, i) => first + i));
});
