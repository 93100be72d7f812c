import { expect, test } from 'vitest';
import { slice } from '../../test/support/upload-scene.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { newHexId } from '../kernel/ids.ts';
import { CutSources, isInStore } from './cut-sources.ts';

const recordOf = (index: number, state: ObjectRecord['state']): ObjectRecord => {
  const file = slice(index);
  return { name: file.name, kind: 'slice', key: `p/${file.name}`, bytes: file.bytes, state, attempts: 1, file };
};

test('slices are taken from wherever they lie: the spool, the store, the backup, also for good', async () => {
  const fetched: string[] = [];
  const sources = new CutSources({
    spool: { read: async () => ({ files: [{ dir: '/spool', file: slice(0) }], leftovers: [] }) } as never,
    objectsOf: async () => [
      ...[recordOf(0, 'waiting'), recordOf(1, 'stored'), recordOf(2, 'backup'), recordOf(3, 'gaveUp')],
      ...[recordOf(4, 'lost'), recordOf(5, 'deleted')],
    ],
    storageOf: () => undefined,
    openTarget: async () => {
      throw new Error('no store is to be opened');
    },
    backup: { fetch: async (_sid, name) => void fetched.push(name) },
  });
  const sid = newHexId();
  const whole = await sources.whole(sid);
  expect(whole.map(({ file, at }) => [file.name, 'path' in at ? 'spool' : isInStore(at) ? 'store' : 'backup'])).toEqual(
    [
      ['x_1.ts', 'store'],
      ['x_2.ts', 'backup'],
      ['x_3.ts', 'backup'],
      ['x_0.ts', 'spool'],
    ],
  );
  const fetch = await sources.fetchFrom(sid, undefined);
  for (const { file, at } of whole.slice(1, 3)) await fetch.fetch(file.name, at, '/x', new AbortController().signal);
  expect(fetched).toEqual(['x_2.ts', 'x_3.ts']);
});

test('of a recording of a version that did not keep what is in its slices it is said so, not that they are gone', async () => {
  const sourcesOf = (objects: ObjectRecord[]) =>
    new CutSources({
      spool: { read: async () => ({ files: [], leftovers: [] }) } as never,
      objectsOf: async () => objects,
      storageOf: () => undefined,
      openTarget: async () => {
        throw new Error('no store is to be opened');
      },
      backup: { fetch: async () => {} },
    });
  const old = { ...recordOf(0, 'stored'), file: undefined };
  const impossible = { code: 'cut-impossible', message: expect.stringContaining('earlier version') };
  await expect(sourcesOf([old]).whole(newHexId())).rejects.toMatchObject(impossible);
  expect(await sourcesOf([{ ...old, state: 'deleted' }]).whole(newHexId())).toEqual([]);
  expect(await sourcesOf([old, recordOf(1, 'stored')]).whole(newHexId())).toHaveLength(1);
});
