import { describe, expect, test } from 'vitest';
import { BandwidthEstimate, MAX_BITRATE_BPS, MIN_BITRATE_BPS, QueueDelay, START_BITRATE_BPS } from './bandwidth.ts';

const MBIT = 1_000_000;

describe('the estimate', () => {
  test('holds nobody back on a clean path and rises by 8 % a second to its bound', () => {
    const estimate = new BandwidthEstimate();
    expect(estimate.bitrateBps).toBe(START_BITRATE_BPS);
    estimate.onInterval({ lossRatio: 0, receivedBps: 2.5 * MBIT, queueMs: 0 });
    expect(estimate.bitrateBps).toBeCloseTo(START_BITRATE_BPS * 1.08);
    for (let n = 0; n < 100; n++) estimate.onInterval({ lossRatio: 0.01, receivedBps: 2.5 * MBIT, queueMs: 30 });
    expect(estimate.bitrateBps).toBe(MAX_BITRATE_BPS);
  });

  test('falls below what is sent in the first second of heavy loss', () => {
    const estimate = new BandwidthEstimate();
    estimate.onInterval({ lossRatio: 0.2, receivedBps: 2 * MBIT, queueMs: 0 });
    expect(estimate.bitrateBps).toBeCloseTo(0.85 * 2.5 * MBIT);
  });

  test('stays where it is with 2 to 10 % of loss, and when nothing comes', () => {
    const estimate = new BandwidthEstimate();
    estimate.onInterval({ lossRatio: 0.05, receivedBps: 2 * MBIT, queueMs: 0 });
    estimate.onInterval({ lossRatio: 0, receivedBps: 0, queueMs: 0 });
    expect(estimate.bitrateBps).toBe(START_BITRATE_BPS);
  });

  test('never falls below its bound', () => {
    const estimate = new BandwidthEstimate();
    for (let n = 0; n < 100; n++) estimate.onInterval({ lossRatio: 1, receivedBps: 1000, queueMs: 0 });
    expect(estimate.bitrateBps).toBe(MIN_BITRATE_BPS);
  });

  test('gives way to a queue that grows, waits while it stands, and rises when it is gone', () => {
    const estimate = new BandwidthEstimate();
    const second = (queueMs: number) => {
      estimate.onInterval({ lossRatio: 0, receivedBps: MBIT, queueMs });
      return estimate.bitrateBps;
    };
    second(60);
    expect(second(140)).toBeCloseTo(0.85 * MBIT);
    const after = second(145);
    expect(after).toBeCloseTo(0.85 * MBIT);
    expect(second(20)).toBeCloseTo(after * 1.08);
  });

  test('takes one sudden step for a jump of timestamps', () => {
    const estimate = new BandwidthEstimate();
    for (const queueMs of [0, 400, 400, 400]) estimate.onInterval({ lossRatio: 0, receivedBps: MBIT, queueMs });
    expect(estimate.bitrateBps).toBeGreaterThanOrEqual(START_BITRATE_BPS);
  });

  /** A link of 1 Mbit/s with 300 ms of queue, a sender of 2.5 Mbit/s that obeys: what is over is lost. */
  test('settles a sender on what the path carries', () => {
    const estimate = new BandwidthEstimate();
    const link = MBIT;
    let queueBits = 0;
    const late: number[] = [];
    for (let s = 0; s < 60; s++) {
      const sent = Math.min(2.5 * MBIT, estimate.bitrateBps);
      const over = Math.max(0, queueBits + sent - link);
      queueBits = Math.min(0.3 * link, over);
      const lossRatio = (over - queueBits) / sent;
      estimate.onInterval({ lossRatio, receivedBps: Math.min(link, sent), queueMs: (queueBits / link) * 1000 });
      if (s >= 20) late.push(sent);
    }
    expect(Math.max(...late)).toBeLessThan(1.3 * link);
    expect(Math.min(...late)).toBeGreaterThan(0.6 * link);
  });
});

describe('the delay of a queue', () => {
  /**
   * Seconds of 30 packets; `waitMs` of the packet's second in the queue, and up to 40 ms more for every other packet.
   */
  function feed(delay: QueueDelay, waits: readonly number[], firstTimestamp = 4_294_000_000): number[] {
    return waits.map((waitMs, second) => {
      for (let n = 0; n < 30; n++) {
        const sentMs = second * 1000 + (n * 1000) / 30;
        const timestamp = (firstTimestamp + sentMs * 90) % 2 ** 32;
        delay.onPacket(Math.floor(timestamp), Math.round((5000 + sentMs + waitMs + (n % 2) * 40) * 1000), 90_000);
      }
      return Math.round(delay.takeMs());
    });
  }

  test('is what the fastest packet of the second waited, jitter aside, over a wrap of the timestamps too', () => {
    expect(feed(new QueueDelay(), [0, 0, 80, 200, ...Array(20).fill(0)])).toEqual([
      0,
      0,
      80,
      200,
      ...Array(20).fill(0),
    ]);
  });

  test('is nothing when nothing came, and nothing again after the timestamps began anew', () => {
    const delay = new QueueDelay();
    expect(delay.takeMs()).toBe(0);
    feed(delay, [0, 0]);
    expect(delay.takeMs()).toBe(0);
    expect(feed(delay, [0, 0], 12_345)).toEqual([0, 0]);
  });

  test('forgets within a minute what the way was like before', () => {
    const waits = feed(new QueueDelay(), [0, ...Array(45).fill(150)]);
    expect(waits[10]).toBe(150);
    expect(waits.at(-1)).toBe(0);
  });
});
