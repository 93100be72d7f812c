import { describe, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Segment, WholeFile } from '../../media/segment.ts';
import { memoryLedger } from './ledger.ts';
import { RecordingUpload, type UploadEvent } from './recording-upload.ts';
import { retryAfterMs, retryDelayMs } from './retry.ts';
import type { Source } from './target/source.ts';
import type { PutOptions, Receipt, Target } from './target/target.ts';

const slice = (index: number): Segment => ({
  type: 'slice',
  name: `x_${index}.ts`,
  playlist: 'x.m3u8',
  index,
  startUtcMs: 1000 + index * 15_000,
  durationUs: 15_000_000,
  bytes: 100 + index,
  discontinuity: index === 0,
  starts: [],
  rotations: [],
});
const mp4: WholeFile = { type: 'mp4', name: 'x_0.mp4', index: 0, startUtcMs: 1000, durationUs: 30_000_000, bytes: 9 };

const down = new Fault('store-failed', 'the store is down', { blame: 'destination', retryable: true });
const denied = new Fault('store-failed', 'access denied', { blame: 'destination' });

type Call = {
  key: string;
  source: Source;
  contentType: string;
  succeed(): void;
  fail(error: unknown): void;
  aborted: boolean;
  options: PutOptions;
};

/** A store whose every put waits for the test to say how it ends. */
class FakeTarget implements Target {
  readonly description = 'a fake';
  open: Call[] = [];
  keys: string[] = [];
  most = 0;

  put(key: string, source: Source, contentType: string, options: PutOptions = {}): Promise<Receipt> {
    const { signal } = options;
    this.keys.push(key);
    return new Promise((resolve, reject) => {
      const settle = (run: () => void) => {
        this.open = this.open.filter((c) => c !== call);
        run();
      };
      const bytes = 'data' in source ? source.data.length : source.bytes;
      const call: Call = {
        key,
        source,
        contentType,
        options,
        aborted: false,
        succeed: () => settle(() => resolve({ key, bytes, evidence: 'digest' })),
        fail: (error) => settle(() => reject(error)),
      };
      signal?.addEventListener('abort', () => {
        call.aborted = true;
      });
      this.open.push(call);
      this.most = Math.max(this.most, this.open.length);
    });
  }

  call(name: string): Call {
    const call = this.open.find(({ key }) => key.endsWith(name));
    if (!call) throw new Error(`nobody is storing ${name}; open are: ${this.open.map((c) => c.key).join(' ')}`);
    return call;
  }

  async abandon(): Promise<void> {}
  async sweep(): Promise<void> {}
  async remove(): Promise<void> {}
  close(): void {}
}

/** Lets everything run that waits for nothing but its turn. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

function setUp(prefix: string[] = ['a', 'b']) {
  const target = new FakeTarget();
  const clock = new ManualClock();
  const events: UploadEvent[] = [];
  const ledger = memoryLedger();
  const upload = new RecordingUpload({
    target,
    prefix,
    ledger,
    renderIndex: (_name, rows) =>
      rows
        .flat()
        .map((s) => `${s.discontinuity ? '!' : ''}${s.index}`)
        .join(' '),
    clock,
    log: { info() {}, warn() {} },
    onEvent: (event) => events.push(event),
    random: () => 0,
  });
  const store = async (name: string) => {
    target.call(name).succeed();
    await settled();
  };
  const fail = async (name: string, error: unknown) => {
    target.call(name).fail(error);
    await settled();
  };
  const listed = () => {
    const { source } = target.call('.m3u8');
    return 'data' in source ? source.data.toString() : '';
  };
  return { target, clock, events, upload, store, fail, listed, ledger };
}

describe('RecordingUpload', () => {
  test('stores a document as a file of its own, in no playlist', async () => {
    const { target, upload, store, listed } = setUp();
    upload.add(slice(0), '/spool');
    upload.add({ ...mp4, type: 'document', kind: 'report', name: 'x_report.json' }, '/spool');
    expect(target.call('x_report.json').contentType).toBe('application/json');
    await store('x_report.json');
    await store('x_0.ts');
    expect(listed()).toBe('!0');
    await store('.m3u8');
    const finishing = upload.finish();
    await settled();
    if (target.open.length > 0) await store('.m3u8');
    expect((await finishing).files.map(({ kind }) => kind)).toEqual(['playlist', 'slice', 'document']);
  });

  test('notes which run made each file, and of a playlist the newest', async () => {
    const { upload, store, ledger } = setUp();
    upload.add(slice(0), '/spool/1', 1);
    upload.add(slice(1), '/spool/2', 2);
    await store('x_0.ts');
    await store('x_1.ts');
    await store('.m3u8');
    const runs = ['x_0.ts', 'x_1.ts', 'x.m3u8'].map((name) => ledger.known(name)?.generation);
    expect(runs).toEqual([1, 2, 2]);
  });

  test('a retry that is asked for need not wait for its time', async () => {
    const { upload, target, fail } = setUp();
    upload.add(slice(0), '/spool');
    await fail('x_0.ts', denied);
    expect(target.open).toEqual([]);
    upload.retry();
    await settled();
    expect(target.call('x_0.ts')).toBeDefined();
  });

  test('stores files from the spool under prefix and name, six at a time', async () => {
    const { target, upload, store } = setUp();
    for (let i = 0; i < 8; i++) upload.add(slice(i), '/spool');
    upload.add(mp4, '/spool');
    upload.add(mp4, '/spool');
    await settled();
    expect(target.open.map((c) => c.key)).toEqual(Array.from({ length: 6 }, (_, i) => `a/b/x_${i}.ts`));
    expect(target.call('x_0.ts')).toMatchObject({
      source: { path: '/spool/x_0.ts', bytes: 100 },
      contentType: 'video/mp2t',
    });
    expect(upload.state()).toMatchObject({ waiting: 9, waitingBytes: 837, files: [] });
    const others = ['x_2.ts', 'x_1.ts', 'x_5.ts', 'x_4.ts', 'x_3.ts', 'x_6.ts', 'x_7.ts', 'x_0.mp4'];
    for (const name of others) await store(name);
    expect(target.open.map((c) => c.key)).toEqual(['a/b/x_0.ts']);
    expect(target.most).toBe(6);
    expect(target.keys).toHaveLength(9);
  });

  test('names a slice in the playlist only when it and all before it are stored', async () => {
    const { upload, store, listed, events, target } = setUp();
    for (let i = 0; i < 3; i++) upload.add(slice(i), '/spool');
    await store('x_1.ts');
    await store('x_2.ts');
    expect(target.open.map((c) => c.key)).toEqual(['a/b/x_0.ts']);
    await store('x_0.ts');
    expect(listed()).toBe('!0 1 2');
    expect(target.call('.m3u8').contentType).toBe('application/vnd.apple.mpegurl');
    await store('.m3u8');
    expect(events.at(-1)).toMatchObject({
      type: 'playlistStored',
      key: 'a/b/x.m3u8',
      slices: 3,
      firstStartUtcMs: 1000,
    });
  });

  test('has one version of the playlist under way, and then sends the newest', async () => {
    const { upload, store, listed, target, events } = setUp();
    for (let i = 0; i < 4; i++) upload.add(slice(i), '/spool');
    await store('x_0.ts');
    for (const i of [1, 2, 3]) await store(`x_${i}.ts`);
    expect(target.open).toHaveLength(1);
    expect(listed()).toBe('!0');
    await store('.m3u8');
    expect(listed()).toBe('!0 1 2 3');
    await store('.m3u8');
    expect(target.open).toEqual([]);
    expect(events.filter((e) => e.type === 'playlistStored').map((e) => e.slices)).toEqual([1, 4]);
  });

  test('a playlist that could not be stored goes out anew, not as it was', async () => {
    const { upload, store, fail, listed, clock } = setUp();
    upload.add(slice(0), '/spool');
    upload.add(slice(1), '/spool');
    await store('x_0.ts');
    await fail('.m3u8', down);
    clock.advance(1);
    await store('x_1.ts');
    clock.advance(1000);
    await settled();
    expect(listed()).toBe('!0 1');
  });

  test('finishes when all files and the last playlist are stored', async () => {
    const { upload, store } = setUp();
    upload.add(slice(0), '/spool');
    upload.add(mp4, '/spool');
    let summary: unknown;
    const ending = upload.finish();
    void ending.then((s) => (summary = s));
    expect(upload.finish()).toBe(ending);
    expect(() => upload.add(slice(1), '/spool')).toThrow(/came after the end/);
    await store('x_0.mp4');
    await store('x_0.ts');
    expect(summary).toBeUndefined();
    await store('.m3u8');
    const stored = { bytes: 2, startUtcMs: 1000, durationUs: 15_000_000 };
    expect(summary).toEqual({
      lost: [],
      backedUp: false,
      accepted: false,
      files: [
        { kind: 'playlist', key: 'a/b/x.m3u8', ...stored },
        { kind: 'slice', key: 'a/b/x_0.ts', ...stored, bytes: 100 },
        { kind: 'mp4', key: 'a/b/x_0.mp4', startUtcMs: 1000, durationUs: 30_000_000, bytes: 9 },
      ],
    });
  });

  test('puts the final playlist once more when a put of an older one, given up unheard, may come after it', async () => {
    const { upload, store, listed, target, clock } = setUp();
    upload.add(slice(0), '/spool');
    await store('x_0.ts');
    expect(listed()).toBe('!0');
    clock.advance(61_000);
    await settled();
    upload.add(slice(1), '/spool');
    await store('x_1.ts');
    clock.advance(1000);
    await settled();
    const isNewer = (call: Call) => 'data' in call.source && call.source.data.toString() === '!0 1';
    target.open.find(isNewer)?.succeed();
    let isOver = false;
    void upload.finish().then(() => (isOver = true));
    await settled();
    clock.advance(8000);
    await settled();
    expect([isOver, target.open.filter(isNewer)]).toEqual([false, []]);
    clock.advance(2000);
    await settled();
    expect(target.open.filter(isNewer)).toHaveLength(1);
    target.open.find(isNewer)?.succeed();
    await settled();
    expect(isOver).toBe(true);
  });

  test.each([
    ['of the same playlist', 0],
    ['long ago', 20_000],
  ])('ends at once after a put that failed %s', async (_when, laterMs) => {
    const { upload, store, fail, clock } = setUp();
    upload.add(slice(0), '/spool');
    await store('x_0.ts');
    await fail('.m3u8', down);
    clock.advance(1000);
    await settled();
    await store('.m3u8');
    clock.advance(laterMs);
    if (laterMs > 0) {
      upload.add(slice(1), '/spool');
      await store('x_1.ts');
      await store('.m3u8');
    }
    expect(await upload.finish()).toMatchObject({ lost: [] });
  });

  test('finishes at once with nothing to store', async () => {
    expect(await setUp().upload.finish()).toMatchObject({ files: [], lost: [], backedUp: false });
  });

  test('tries again with growing pauses, for as long as it takes', async () => {
    const { upload, fail, store, target, clock, events } = setUp([]);
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
    const { upload, fail, store, target, clock, events } = setUp();
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
    const { upload, target, clock, events } = setUp();
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
    const { events, clock, upload, fail, store } = setUp();
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
    const { target, clock, upload, fail } = setUp();
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
    const { target, clock, upload, fail } = setUp();
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
    const { target, upload, fail, store } = setUp();
    upload.add(mp4, '/spool');
    await fail('x_0.mp4', new Fault('stored-bytes-differ', 'other', { blame: 'destination', retryable: true }));
    await store('x_0.mp4');
    expect(target.keys).toHaveLength(2);
  });

  test('takes a put of another size for failed', async () => {
    const { upload, events } = setUp();
    const target: Target = {
      description: 'a liar',
      put: async (key) => ({ key, bytes: 1, evidence: 'size' }),
      async abandon() {},
      async sweep() {},
      async remove() {},
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

  test('a slice that vanished from the spool leaves a marked gap and does not hold up the rest', async () => {
    const { upload, store, fail, listed } = setUp();
    for (let i = 0; i < 3; i++) upload.add(slice(i), '/spool');
    await store('x_0.ts');
    await store('.m3u8');
    await fail('x_1.ts', new Fault('source-missing', 'gone', { blame: 'self' }));
    await store('x_2.ts');
    expect(listed()).toBe('!0 !2');
    const ending = upload.finish();
    await store('.m3u8');
    expect((await ending).lost.map((f) => f.name)).toEqual(['x_1.ts']);
  });

  test('a slice number that never came is waited for until the end', async () => {
    const { upload, store, listed, target } = setUp();
    upload.add(slice(0), '/spool');
    upload.add(slice(2), '/spool');
    await store('x_0.ts');
    await store('.m3u8');
    await store('x_2.ts');
    expect(target.open).toEqual([]);
    const ending = upload.finish();
    expect(listed()).toBe('!0 !2');
    await store('.m3u8');
    expect((await ending).files[0]).toMatchObject({ kind: 'playlist', durationUs: 30_000_000 });
  });

  test('aborting breaks off, stops all waiting and rejects the end', async () => {
    const { upload, target, fail, clock, events } = setUp();
    for (let i = 0; i < 5; i++) upload.add(slice(i), '/spool');
    await fail('x_0.ts', down);
    const ending = upload.finish();
    upload.abort();
    upload.abort();
    await expect(ending).rejects.toMatchObject({ code: 'upload-aborted' });
    expect(target.open.every((c) => c.aborted)).toBe(true);
    const tried = target.keys.length;
    clock.advance(1_000_000);
    await settled();
    expect(target.keys).toHaveLength(tried);
    expect(events.filter((e) => e.type === 'uploadFailed')).toHaveLength(1);
    await expect(upload.finish()).rejects.toMatchObject({ code: 'upload-aborted' });
  });
});

test('retries come back between half of the pause and all of it', () => {
  expect([1, 2, 6, 7, 50].map((attempt) => retryDelayMs(attempt, true, 0))).toEqual([
    1000, 2000, 32_000, 60_000, 60_000,
  ]);
  expect(retryDelayMs(3, true, 0.999_999)).toBe(2000);
  expect(retryDelayMs(1, false, 0.5)).toBe(60_000);
});

test.each([
  ['20', undefined, 20_000],
  ['3600', undefined, 60_000],
  ['Thu, 26 Nov 2026 19:00:30 GMT', Date.UTC(2026, 10, 26, 19), 30_000],
  ['Thu, 26 Nov 2026 18:00:00 GMT', Date.UTC(2026, 10, 26, 19), 0],
  ['Thu, 26 Nov 2026 19:00:30 GMT', undefined, undefined],
  ['soon', 0, undefined],
  [undefined, 0, undefined],
])('Retry-After: %s at %s is a pause of %s ms', (header, nowMs, pauseMs) => {
  expect(retryAfterMs(header, nowMs)).toBe(pauseMs);
});
