import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { noticeOf } from '../../test/support/stored-recording.ts';
import { newSid } from '../kernel/ids.ts';
import type { OutboxTables, StoredEvent } from '../store/outbox-tables.ts';
import { Delivery, nextAttempt, wants } from './delivery.ts';

const HOUR = 3_600_000;
const DAY = { forMs: 24 * HOUR, maxRetries: 0 };
const at = (attempts: number, nowMs = 0, firstTriedMs = 0) => ({ attempts, firstTriedMs, nowMs });

test('waits grow from a second to ten minutes', () => {
  const waits = Array.from({ length: 14 }, (_, i) => nextAttempt(at(i + 1), DAY, 0.5));
  expect(waits).toEqual([1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 600, 600, 600, 600].map((s) => s * 1_000));
});

test('chance moves a wait by a fifth at most', () => {
  expect(nextAttempt(at(3), DAY, 0)).toBe(3_200);
  expect(nextAttempt(at(3), DAY, 1 - Number.EPSILON)).toBe(4_800);
  expect(nextAttempt(at(2_000), DAY, 0.5)).toBe(600_000);
});

test('the last try is at the end of the time, and then it is given up', () => {
  expect(nextAttempt(at(200, 24 * HOUR - 1_000), DAY, 0.5)).toBe(24 * HOUR);
  expect(nextAttempt(at(201, 24 * HOUR), DAY, 0.5)).toBeUndefined();
  expect(nextAttempt(at(1, 5, 5), { forMs: 0, maxRetries: 0 }, 0.5)).toBeUndefined();
});

test('the number of retries may be limited', () => {
  const three = { forMs: 24 * HOUR, maxRetries: 3 };
  expect(nextAttempt(at(3), three, 0.5)).toBe(4_000);
  expect(nextAttempt(at(4), three, 0.5)).toBeUndefined();
});

test('an app wants the types it lists, or all', () => {
  const webhook = { url: 'http://x', secret: 's', events: [] as number[] };
  expect(wants(undefined, 31)).toBe(false);
  expect(wants(webhook, 31)).toBe(true);
  expect(wants({ ...webhook, events: [11, 31] }, 31)).toBe(true);
  expect(wants({ ...webhook, events: [11] }, 31)).toBe(false);
});

test.each([
  ['alone', false, 0, undefined, 'unwanted'],
  ['with others', true, 0, 'elsewhere', 'pending'],
  ['with others, once nobody would send it again', true, 24 * HOUR, undefined, 'unwanted'],
] as const)(
  'an event of an app without a webhook here, on a database that the server has %s',
  async (_how, shared, agedMs, next, state) => {
    const sid = newSid();
    const clock = new ManualClock();
    const notice = noticeOf(sid, 0);
    notice.payload.sendts = clock.nowMs() - agedMs;
    let event: Pick<StoredEvent, 'appid' | 'notice' | 'nextAttemptMs' | 'state'> | undefined = {
      appid: 'another server’s',
      notice,
      nextAttemptMs: undefined,
      state: 'pending',
    };
    const last = event;
    const events = {
      nextOf: async () => event,
      unwanted: async () => {
        last.state = 'unwanted';
        event = undefined;
      },
    } as unknown as OutboxTables;
    const line = () => {};
    const delivery = new Delivery({
      events,
      shared,
      clock,
      retry: DAY,
      webhookOf: () => undefined,
      send: () => Promise.reject(new Error('nothing is to be sent')),
      log: { debug: line, info: line, warn: line, error: line },
    });
    expect(await delivery.run(sid, new AbortController().signal)).toBe(next);
    expect(last.state).toBe(state);
  },
);
