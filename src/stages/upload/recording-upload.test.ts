import { describe, expect, test } from 'vitest';
import { denied, down, mp4, type PutCall, settled, slice, uploadScene } from '../../../test/support/upload-scene.ts';
import { Fault } from '../../kernel/fault.ts';

describe('RecordingUpload', () => {
  test('stores a document as a file of its own, in no playlist', async () => {
    const { target, upload, store, listed } = uploadScene();
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
    const { upload, store, ledger } = uploadScene();
    upload.add(slice(0), '/spool/1', 1);
    upload.add(slice(1), '/spool/2', 2);
    await store('x_0.ts');
    await store('x_1.ts');
    await store('.m3u8');
    const runs = ['x_0.ts', 'x_1.ts', 'x.m3u8'].map((name) => ledger.known(name)?.generation);
    expect(runs).toEqual([1, 2, 2]);
  });

  test('a retry that is asked for need not wait for its time', async () => {
    const { upload, target, fail } = uploadScene();
    upload.add(slice(0), '/spool');
    await fail('x_0.ts', denied);
    expect(target.open).toEqual([]);
    upload.retry();
    await settled();
    expect(target.call('x_0.ts')).toBeDefined();
  });

  test('stores files from the spool under prefix and name, six at a time', async () => {
    const { target, upload, store } = uploadScene();
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
    const { upload, store, listed, events, target } = uploadScene();
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
    const { upload, store, listed, target, events } = uploadScene();
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
    const { upload, store, fail, listed, clock } = uploadScene();
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
    const { upload, store } = uploadScene();
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
    const { upload, store, listed, target, clock } = uploadScene();
    upload.add(slice(0), '/spool');
    await store('x_0.ts');
    expect(listed()).toBe('!0');
    clock.advance(61_000);
    await settled();
    upload.add(slice(1), '/spool');
    await store('x_1.ts');
    clock.advance(1000);
    await settled();
    const isNewer = (call: PutCall) => 'data' in call.source && call.source.data.toString() === '!0 1';
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
    const { upload, store, fail, clock } = uploadScene();
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
    expect(await uploadScene().upload.finish()).toMatchObject({ files: [], lost: [], backedUp: false });
  });

  test('a slice that vanished from the spool leaves a marked gap and does not hold up the rest', async () => {
    const { upload, store, fail, listed } = uploadScene();
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
    const { upload, store, listed, target } = uploadScene();
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
    const { upload, target, fail, clock, events } = uploadScene();
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
