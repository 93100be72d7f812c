import { EventEmitter } from 'node:events';
import type { CDPSession } from 'playwright-core';
import { expect, test, vi } from 'vitest';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { PageView } from './page-view.ts';

type Asked = PromiseWithResolvers<unknown>;
const NUMBER = { result: { type: 'number', value: 0 } };

/** A page whose script and browser answer when they are told to, and all that they were asked. */
async function open() {
  const asked: Asked[] = [];
  const send = (method: string): Promise<unknown> => {
    if (method !== 'Runtime.evaluate' && method !== 'Page.captureScreenshot')
      return Promise.resolve({ frameTree: { frame: { id: 'main' } } });
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

test('a page that could not be drawn yet is drawn again until it was drawn twice', async () => {
  const { asked, clock, view } = await open();
  let isShown = false;
  const shown = view.shown(new AbortController().signal).then(() => {
    isShown = true;
  });
  asked[0]!.reject(new Error('Unable to capture screenshot'));
  await vi.waitFor(() => {
    clock.advance(50);
    expect(asked).toHaveLength(2);
  });
  asked[1]!.resolve({ data: '' });
  await vi.waitFor(() => expect(asked).toHaveLength(3));
  expect(isShown).toBe(false);
  asked[2]!.resolve({ data: '' });
  await shown;
  expect(asked).toHaveLength(3);
});

test('a page that is never drawn is waited for three seconds, and asked no more', async () => {
  const { asked, clock, view } = await open();
  const shown = view.shown(new AbortController().signal);
  clock.advance(2_999);
  expect(await Promise.race([shown, 'not yet'])).toBe('not yet');
  clock.advance(1);
  await shown;
  asked[0]!.reject(new Error('Target closed'));
  await Promise.resolve();
  clock.advance(1_000);
  expect(asked).toHaveLength(1);
});
