import { expect, test } from 'vitest';
import { KeyFrameRequests } from './key-frame-requests.ts';

/** The milliseconds at which a request goes out, asking every 20 ms. */
function sent(requests: KeyFrameRequests, fromMs: number, untilMs: number, each: (ms: number) => void = () => {}) {
  const at: number[] = [];
  for (let ms = fromMs; ms < untilMs; ms += 20) {
    each(ms);
    if (requests.due(ms * 1000)) at.push(ms);
  }
  return at;
}

test('asks at once, then ever more seldom, at most once a second, until the key frame comes', () => {
  const requests = new KeyFrameRequests();
  requests.want();
  const at = sent(requests, 0, 6000);
  expect(at.slice(0, 4)).toEqual([0, 300, 760, 1440]);
  for (let n = 4; n < at.length; n++) expect(at[n]! - at[n - 1]!).toBe(1000);
  requests.onKeyFrame();
  expect(requests.wanted).toBe(false);
  expect(sent(requests, 6000, 9000)).toEqual([]);
});

test('however many want one, the sender hears of it at most every 300 ms', () => {
  const requests = new KeyFrameRequests();
  const at = sent(requests, 0, 3000, () => {
    requests.want();
    requests.onKeyFrame();
    requests.want();
  });
  expect(at.length).toBeGreaterThan(5);
  for (let n = 1; n < at.length; n++) expect(at[n]! - at[n - 1]!).toBeGreaterThanOrEqual(300);
});

test('asks for nothing that nobody wants', () => {
  expect(sent(new KeyFrameRequests(), 0, 1000)).toEqual([]);
});
