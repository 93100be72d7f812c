/**
 * What interrupted uploads leave in a store: parts that were not put together, which cost money and which no listing of
 * objects shows.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { refuse } from '../../../test/support/s3-stub.ts';
import { PART, setUpStoring } from '../../../test/support/storing.ts';
import type { SpooledFile } from '../../media/segment.ts';

const SOON = { timeout: 15_000 };

describe('parts of a file that nobody will put together are taken back', () => {
  /** A server that has sent some parts of the MP4 when it dies, and what the next one finds. */
  async function interrupted() {
    const set = await setUpStoring();
    const { dir, stub, files, begin, ledger } = set;
    const mp4 = files.find(({ type }) => type === 'mp4') as SpooledFile;
    stub.interfere = ({ action, query }) => action === 'Part' && Number(query.get('partNumber')) > 2;
    const first = begin();
    first.add(mp4, dir);
    await expect.poll(() => ledger.known(mp4.name)?.parts?.parts.length, SOON).toBe(2);
    first.abort();
    stub.interfere = undefined;
    expect(stub.unfinished).toEqual([`p/${mp4.name}`]);
    return { ...set, mp4 };
  }

  test('when it vanishes from the spool', async () => {
    const { dir, stub, begin, mp4, ledger } = await interrupted();
    rmSync(join(dir, mp4.name));
    const upload = begin();
    upload.add(mp4, dir);
    expect((await upload.finish()).lost).toEqual([mp4]);
    expect(stub.unfinished).toEqual([]);
    expect(ledger.known(mp4.name)?.state).toBe('lost');
    expect(ledger.known(mp4.name)?.parts).toBeUndefined();
  });

  test('when the next server does not find it on the spool any more', async () => {
    const { dir, stub, begin, files, mp4, ledger } = await interrupted();
    const upload = begin();
    for (const file of files) if (file !== mp4) upload.add(file, dir);
    await upload.finish();
    expect(stub.unfinished).toEqual([]);
    expect(ledger.known(mp4.name)?.state).toBe('lost');
    expect(ledger.known(mp4.name)?.parts).toBeUndefined();
    expect([...ledger.all()].filter(({ state }) => state === 'waiting')).toEqual([]);
  });

  test('when it was made anew', async () => {
    const { dir, stub, begin, mp4 } = await interrupted();
    const data = randomBytes(5 * PART + 3);
    writeFileSync(join(dir, mp4.name), data);
    const upload = begin();
    upload.add({ ...mp4, bytes: data.length }, dir);
    await upload.finish();
    expect(stub.unfinished).toEqual([]);
    expect(stub.read(`p/${mp4.name}`).equals(data)).toBe(true);
  });

  /** A server that dies after its store began parts of the MP4 and before it hears of them; others have begun too. */
  async function killedUnheard() {
    const set = await setUpStoring();
    const { dir, stub, files, begin, ledger } = set;
    const mp4 = files.find(({ type }) => type === 'mp4') as SpooledFile;
    const key = `p/${mp4.name}`;
    const others = [`${key}.old`, `other/${key}`];
    for (const other of others) stub.beginUpload(other);
    stub.interfere = ({ action }) => {
      if (action === 'Create') stub.beginUpload(key);
      return action === 'Create';
    };
    const first = begin();
    first.add(mp4, dir);
    await expect.poll(() => stub.unfinished, SOON).toContain(key);
    first.abort();
    stub.interfere = undefined;
    expect(ledger.known(mp4.name)).toMatchObject({ state: 'waiting', parts: undefined });
    return { ...set, mp4, others };
  }

  test('when a server was killed before it heard that they were begun; those of other keys stay', async () => {
    const { dir, stub, begin, mp4, others, ledger } = await killedUnheard();
    const upload = begin();
    upload.add(mp4, dir);
    expect(await upload.finish()).toMatchObject({ lost: [] });
    expect(stub.unfinished).toEqual(others);
    expect(stub.read(`p/${mp4.name}`).equals(readFileSync(join(dir, mp4.name)))).toBe(true);
    expect(ledger.known(mp4.name)?.state).toBe('stored');
  });

  test('when that server’s file is gone from the spool, or is small when it is made anew', async () => {
    const gone = await killedUnheard();
    const without = gone.begin();
    for (const file of gone.files) if (file !== gone.mp4) without.add(file, gone.dir);
    await without.finish();
    expect(gone.stub.unfinished).toEqual(gone.others);

    const anew = await killedUnheard();
    const data = randomBytes(PART - 1);
    writeFileSync(join(anew.dir, anew.mp4.name), data);
    const upload = anew.begin();
    upload.add({ ...anew.mp4, bytes: data.length }, anew.dir);
    await upload.finish();
    expect(anew.stub.unfinished).toEqual(anew.others);
    expect(anew.stub.read(`p/${anew.mp4.name}`).equals(data)).toBe(true);
  });

  test('when the answer that they were begun was lost on the way', async () => {
    const { dir, stub, files, begin } = await setUpStoring();
    const mp4 = files.find(({ type }) => type === 'mp4') as SpooledFile;
    let lost = 0;
    stub.interfere = ({ action, key }, response) => {
      if (action !== 'Create' || lost++ > 0) return false;
      stub.beginUpload(key);
      response.destroy();
      return true;
    };
    const upload = begin();
    upload.add(mp4, dir);
    await upload.finish();
    expect(lost).toBe(2);
    expect(stub.unfinished).toEqual([]);
  });

  test('and that the store does not say what was begun is warned of, and holds nothing up', async () => {
    const { dir, stub, begin, mp4, ledger, warnings } = await killedUnheard();
    stub.interfere = ({ action }, response) => {
      if (action === 'ListUploads') refuse(response, 403, 'AccessDenied', 'no');
      return action === 'ListUploads';
    };
    const upload = begin();
    upload.add(mp4, dir);
    expect(await upload.finish()).toMatchObject({ lost: [] });
    expect(ledger.known(mp4.name)?.state).toBe('stored');
    expect(warnings.join()).toMatch(/did not remove what was begun in parts/);
  });
});
