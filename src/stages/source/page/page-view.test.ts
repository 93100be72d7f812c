import { EventEmitter } from 'node:events';
import type { CDPSession } from 'playwright-core';
import { expect, test, vi } from 'vitest';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { PageView } from './page-view.ts';

type Asked = PromiseWithResolvers<unknown>;
const NUMBER = { result: { type: 'number', value: 0 } };

/** A page whose script answers when it is told to, and all that it was asked. */
async function open() {
  const asked: Asked[] = [];
  const send = (method: string): Promise<unknown> => {
    if (method !== 'Runtime.evaluate') return Promise.resolve({ frameTree: { frame: { id: 'main' } } });
    asked.push(Promise.withResolvers());
    return asked.at(-1)!.promise;
  };
  const session = Object.assign(new EventEmitter(), { send }) as unknown as CDPSession;
  const clock = new ManualClock();
  const view = await PageView.of({ session, clock, onFailed: () => {}, onNavigated: () => {} });
  return { asked, clock, view };
}

test('a script that says nothing in time hangs', async () => {
  const { asked, clock, view } = await open();
  const answers = view.answers(15_000);
  clock.advance(14_999);
  expect(await Promise.race([answers, 'not yet'])).toBe('not yet');
  clock.advance(1);
  expect(await answers).toBe(false);
  asked[0]!.resolve(NUMBER);
});

test('a page that goes elsewhere while it is asked does not hang when the next one answers', async () => {
  const { asked, view } = await open();
  const answers = view.answers(15_000);
  asked[0]!.reject(new Error('Inspected target navigated or closed'));
  await vi.waitFor(() => expect(asked).toHaveLength(2));
  asked[1]!.resolve(NUMBER);
  expect(await answers).toBe(true);
});

test('a page that crashed does not answer', async () => {
  const { asked, view } = await open();
  const answers = view.answers(15_000);
  asked[0]!.reject(new Error('Target crashed'));
  await vi.waitFor(() => expect(asked).toHaveLength(2));
  asked[1]!.reject(new Error('Target crashed'));
  expect(await answers).toBe(false);
});
