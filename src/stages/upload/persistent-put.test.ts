import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { denied, down, mp4, settled, slice, uploadScene } from '../../../test/support/upload-scene.ts';
import { Fault } from '../../kernel/fault.ts';
import { RecordingUpload } from './recording-upload.ts';
import type { Target } from './target/target.ts';

describe('a put that fails', () => {
  test('tries again with growing pauses, for as long as it takes', async () => {
    const { upload, fail, store, target, clock, events } = uploadScene([]);
    upload.add(mp4, '/spool');
    for (let attempt = 1; attempt <= 12; attempt++) {
      await fail('x_0.mp4', attempt === 3 ? new TypeError('odd') : down);
      const pauseMs = Math.min(60_000, 1000 * 2 ** (attempt - 1));
      clock.advance(pauseMs - 1);
      await settled();
      expect(target.open).toEqual([]);
      clock.advance(1);
      await settled();
      expect(target.open.map((c) => c.key)).toEqual(['x_0.mp4']);
    }
    expect(upload.state().fault).toBe(down);
    expect(events.map((e) => e.type === 'uploadFailed' && e.attempt)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    await store('x_0.mp4');
    expect(upload.state()).toMatchObject({ waiting: 0, fault: undefined });
  });

  test('says once what will not heal, and looks again each minute', async () => {
    const { upload, fail, store, target, clock, events } = uploadScene();
    for (let i = 0; i < 2; i++) upload.add(slice(i), '/spool');
    await fail('x_0.ts', denied);
    await fail('x_1.ts', denied);
    clock.advance(59_999);
    await settled();
    expect(target.open).toEqual([]);
    clock.advance(1);
    await settled();
    await fail('x_0.ts', denied);
    expect(events).toMatchObject([{ type: 'uploadFailed', key: 'a/b/x_0.ts', fault: denied, attempt: 1 }]);
    // Someone corrected the bucket's policy: the first success wakes the others.
    await store('x_1.ts');
    expect(target.open.map((c) => c.key)).toContain('a/b/x_0.ts');
  });

  test('breaks off a put that hangs, even one deaf to its signal, and tries again', async () => {
    const { upload, target, clock, events } = uploadScene();
    upload.add(mp4, '/spool');
    const hanging = target.call('x_0.mp4');
    clock.advance(59_000);
    await settled();
    expect(hanging.aborted).toBe(false);
    clock.advance(2000);
    await settled();
    expect(hanging.aborted).toBe(true);
    expect(events).toMatchObject([
      { type: 'uploadFailed', attempt: 1, fault: { code: 'upload-timeout', retryable: true } },
    ]);
    clock.advance(1000);
    await settled();
    expect(target.open).toHaveLength(2);
  });

  test('tells of a failure that might have passed when it has not for a minute, once until something works', async () => {
    const { events, clock, upload, fail, store } = uploadScene();
    upload.add(slice(0), '/spool');
    const told = () => events.filter((event) => event.type === 'uploadFailed' && event.lasting);
    for (let ms = 0; ms < 50_000; ms += 1000) {
      await fail('x_0.ts', down).catch(() => {});
      expect(told()).toEqual([]);
      clock.advance(1000);
      await settled();
    }
    for (let ms = 0; ms < 120_000; ms += 1000) {
      await fail('x_0.ts', down).catch(() => {});
      clock.advance(1000);
      await settled();
    }
    expect(told()).toMatchObject([{ key: 'a/b/x_0.ts', fault: { message: 'the store is down', retryable: true } }]);
    for (let ms = 0; ms < 60_000; ms += 1000) clock.advance(1000);
    await settled();
    await store('x_0.ts');
    expect(upload.state().fault).toBeUndefined();
  });

  test('goes on with a file in parts where an attempt ended, and soon while it comes further', async () => {
    const { target, clock, upload, fail } = uploadScene();
    upload.add(mp4, '/spool');
    for (let round = 1; round <= 8; round++) {
      const call = target.call('x_0.mp4');
      expect(call.options.resume?.parts.length).toBe(round === 1 ? undefined : round - 1);
      const parts = Array.from({ length: round }, (_, i) => ({ number: i + 1, etag: 'e', md5: 'm' }));
      call.options.onParts?.({ uploadId: 'u', partBytes: 5, parts });
      await fail('x_0.mp4', down);
      clock.advance(1000);
      await settled();
    }
    expect(target.keys).toHaveLength(9);
  });

  test('waits as long as a busy store asks for', async () => {
    const { target, clock, upload, fail } = uploadScene();
    upload.add(mp4, '/spool');
    const busy = { blame: 'destination', retryable: true, retryAfterMs: 20_000 } as const;
    await fail('x_0.mp4', new Fault('store-failed', 'SlowDown', busy));
    clock.advance(19_999);
    await settled();
    expect(target.open).toEqual([]);
    clock.advance(1);
    await settled();
    expect(target.open).toHaveLength(1);
  });

  test('sends at once again what was changed on the way', async () => {
    const { target, upload, fail, store } = uploadScene();
    upload.add(mp4, '/spool');
    await fail('x_0.mp4', new Fault('stored-bytes-differ', 'other', { blame: 'destination', retryable: true }));
    await store('x_0.mp4');
    expect(target.keys).toHaveLength(2);
  });

  test('takes a put of another size for failed', async () => {
    const { upload, events } = uploadScene();
    const target: Target = {
      description: 'a liar',
      put: async (key) => ({ key, bytes: 1, evidence: 'size' }),
      async abandon() {},
      async sweep() {},
      async fetch() {},
      async remove() {},
      erase: async () => undefined,
      has: async () => false,
      close() {},
    };
    const liar = new RecordingUpload({
      target,
      prefix: [],
      renderIndex: () => '',
      clock: new ManualClock(),
      log: { info() {}, warn() {} },
      onEvent: (event) => events.push(event),
    });
    liar.add(mp4, '/spool');
    await settled();
    expect(events).toMatchObject([{ type: 'uploadFailed', fault: { code: 'stored-size-wrong' } }]);
    liar.abort();
    upload.abort();
  });
});
