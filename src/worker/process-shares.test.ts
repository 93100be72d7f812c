import { expect, test } from 'vitest';
import { ProcessShares, type ProcessUsage } from './process-shares.ts';

function scene() {
  const now: ProcessUsage = { cpuUs: 0, rssBytes: 0, peakRssBytes: 0 };
  const packets = { a: 0, b: 0 };
  const shares = new ProcessShares(() => ({ ...now }));
  const spend = (cpuUs: number) => {
    now.cpuUs += cpuUs;
  };
  return { now, packets, shares, spend };
}

test('a run that is alone has all that its process takes, from the start of the process on', () => {
  const { now, packets, shares, spend } = scene();
  spend(300);
  shares.add('a', () => packets.a);
  spend(100);
  Object.assign(now, { rssBytes: 50, peakRssBytes: 70 });
  expect(shares.of('a')).toEqual({ cpuUs: 400, rssBytes: 50, peakRssBytes: 70 });
});

test('CPU time goes by packets, memory evenly, and all shares together are what the process took', () => {
  const { now, packets, shares, spend } = scene();
  shares.add('a', () => packets.a);
  spend(100);
  shares.add('b', () => packets.b);
  Object.assign(now, { rssBytes: 60, peakRssBytes: 60 });
  Object.assign(packets, { a: 29, b: 9 });
  spend(400);
  expect(shares.of('a')).toEqual({ cpuUs: 100 + 300, rssBytes: 30, peakRssBytes: 30 });
  expect(shares.of('b')).toEqual({ cpuUs: 100, rssBytes: 30, peakRssBytes: 30 });
  // Who takes no packets has some work too.
  spend(200);
  expect(shares.of('a').cpuUs + shares.of('b').cpuUs).toBe(700);
  expect(shares.of('b').cpuUs).toBe(200);
});

test('what a run took before another came or left stays its own', () => {
  const { now, packets, shares, spend } = scene();
  shares.add('a', () => packets.a);
  shares.add('b', () => packets.b);
  Object.assign(now, { rssBytes: 100 });
  packets.a = 100;
  spend(102);
  shares.remove('a');
  spend(50);
  now.rssBytes = 80;
  expect(shares.of('b')).toEqual({ cpuUs: 1 + 50, rssBytes: 80, peakRssBytes: 80 });
  expect(shares.of('a')).toEqual({ cpuUs: 0, rssBytes: 0, peakRssBytes: 0 });
});
