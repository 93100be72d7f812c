import { describe, expect, test } from 'vitest';
import { settled, slice, uploadScene } from '../../../test/support/upload-scene.ts';
import type { ObjectRecord } from '../../contract/line/objects.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Segment } from '../../media/segment.ts';

/** Another node made runs 1 and 2; the third and all after it are this one's. */
const STRETCHES = [
  { from: 1, isHere: false },
  { from: 3, isHere: true },
];

/** A slice of the other node, as the ledger has it. */
function left(file: Segment, state: ObjectRecord['state'], generation = 1): ObjectRecord {
  const { name, bytes } = file;
  return { name, kind: 'slice', generation, key: `a/b/${name}`, bytes, state, attempts: 1, file };
}
/** A slice of this node, which counts from 0 again, `afterS` after the recording's zero. */
const own = (index: number, afterS: number): Segment => ({
  ...slice(index),
  name: `own_${index}.ts`,
  startUtcMs: 1000 + afterS * 1000,
});

/** The names in the playlist that is on its way, `!` before each discontinuity. */
function scene(known: ObjectRecord[]) {
  const names = uploadScene(['a', 'b'], { stretches: STRETCHES, known });
  return { ...names, listed: () => names.listed() };
}

describe('a recording that another node had before', () => {
  test('has what that node stored in its playlist at once, and what is made here after a discontinuity', async () => {
    const { upload, store, listed, target } = scene([left(slice(0), 'stored'), left(slice(1), 'stored')]);
    expect(listed()).toBe('!0 1');
    await store('.m3u8');
    upload.add(own(0, 40), '/spool/x/3', 3);
    await store('own_0.ts');
    expect(listed()).toBe('!0 1 !0');
    expect(target.keys.filter((key) => key.endsWith('.ts'))).toEqual(['a/b/own_0.ts']);
  });

  test('leaves out what only that node has, with a discontinuity, and does not give it up', async () => {
    const known = [left(slice(0), 'stored'), left(slice(1), 'waiting'), left(slice(2), 'stored', 2)];
    const { upload, listed, store, ledger } = scene(known);
    expect(listed()).toBe('!0 !2');
    await store('.m3u8');
    const finished = upload.finish();
    await settled();
    expect(ledger.known('x_1.ts')).toMatchObject({ state: 'waiting' });
    // The other node's last put of the playlist may still come.
    await settled();
    expect(await Promise.race([finished.then(() => 'finished'), settled().then(() => 'waits')])).toBe('waits');
  });

  test('gets what that node stores later into its place, once', async () => {
    const { upload, store, listed, ledger, target } = scene([left(slice(0), 'stored'), left(slice(1), 'waiting')]);
    await store('.m3u8');
    upload.add(own(0, 40), '/spool/x/3', 3);
    await store('own_0.ts');
    await store('.m3u8');
    ledger.note(left(slice(1), 'stored'));
    upload.recall();
    expect(listed()).toBe('!0 1 !0');
    await store('.m3u8');
    upload.recall();
    expect(target.open).toEqual([]);
  });

  test('leaves out what it recorded itself as well, as when the other was cut off, and nothing that it lacks', async () => {
    const { upload, store, listed, ledger } = scene([left(slice(0), 'stored')]);
    await store('.m3u8');
    for (const [index, afterS] of [
      [0, 20],
      [1, 35],
    ] as const) {
      upload.add(own(index, afterS), '/spool/x/3', 3);
      await store(`own_${index}.ts`);
      await store('.m3u8');
    }
    // Slices 1 to 3 of the other node: only the second has nothing of its own.
    for (const index of [1, 2, 3]) ledger.note(left(slice(index), 'stored'));
    upload.recall();
    expect(listed()).toBe('!0 1 !0 1 !3');
  });

  test('tells of whole files that the other node stored, and of no other', () => {
    const file = { type: 'mp4', name: 'x_0.mp4', index: 0, startUtcMs: 1, durationUs: 1, bytes: 1 } as const;
    const known: ObjectRecord[] = [{ ...left(slice(0), 'stored'), name: file.name, kind: 'mp4', key: 'k', file }];
    const { events } = scene(known);
    expect(events).toEqual([{ type: 'fileRecalled', file, key: 'k' }]);
  });

  test('is as before for a node that alone has ever had it, whatever the ledger knows', () => {
    const { target, events } = uploadScene(['a'], { known: [left(slice(0), 'stored')] });
    expect(target.open).toEqual([]);
    expect(events).toEqual([]);
  });
});

describe('a node that may have lost the recording', () => {
  test('begins no put before it is sure that it has not', async () => {
    const sure = Promise.withResolvers<void>();
    const { upload, target } = uploadScene(['a'], { certainty: () => sure.promise });
    upload.add(slice(0), '/spool/x/1');
    await settled();
    expect(target.keys).toEqual([]);
    sure.resolve();
    await settled();
    expect(target.keys).toEqual(['a/x_0.ts']);
  });

  test('asks again before each attempt', async () => {
    let asked = 0;
    const { upload, fail, store, clock } = uploadScene(['a'], {
      async certainty() {
        asked++;
      },
    });
    upload.add(slice(0), '/spool/x/1');
    await settled();
    await fail('.ts', new Fault('store-failed', 'away', { blame: 'destination', retryable: true }));
    expect(asked).toBe(1);
    clock.advance(5_000);
    await settled();
    expect(asked).toBe(2);
    await store('.ts');
    expect(asked).toBe(3); // for the playlist
  });

  test('puts nothing more when another has it, and its end fails with that', async () => {
    const fault = new Fault('task-fenced', 'another has it', { blame: 'self' });
    const { upload, target } = uploadScene(['a'], { certainty: () => Promise.reject(fault) });
    upload.add(slice(0), '/spool/x/1');
    await expect(upload.finish()).rejects.toBe(fault);
    expect(target.keys).toEqual([]);
  });
});
