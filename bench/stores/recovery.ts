/**
 * How soon the files of a recording whose server died are taken up again: from reading the spool until its files are
 * noted in the ledger of an embedded database, and until the store has them.
 */
import { basename, join } from 'node:path';
import { systemClock } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import { Journal } from '../../src/stages/spool/journal.ts';
import { createRunFolder, readRecording, recordingFolder } from '../../src/stages/spool/recording-spool.ts';
import { ObjectTables } from '../../src/store/object-tables.ts';
import { openDatabase } from '../../src/store/open-database.ts';
import { Vault } from '../../src/store/vault.ts';
import { addRecording, holdOf } from '../../test/support/stored-recording.ts';
import { atMost, type Figure } from '../measure.ts';
import { spool } from './spool.ts';
import { openUpload, sliceOf } from './upload.ts';

const FILES = 1000;
const BYTES = 100_000;

/** @param dir a folder to work in @param port where the store listens */
export async function measureRecovery(dir: string, port: number): Promise<Figure> {
  const database = await openDatabase({ url: '', pgliteDir: join(dir, 'database') });
  try {
    const sid = await addRecording(database, newHexId());
    const spoolRoot = join(dir, 'recovery');
    const run = await createRunFolder(spoolRoot, sid, 1);
    const journal = await Journal.open(run);
    for (const [index, path] of spool(run, FILES, BYTES).entries())
      await journal.append(sliceOf(basename(path), index, BYTES));
    await journal.close();
    const line = () => {};
    const log = { debug: line, info: line, warn: line, error: line };
    const vault = new Vault([Vault.newKey()]);
    const tables = new ObjectTables({ database, vault, folder: 'bench', clock: systemClock, log });

    const began = performance.now();
    const ledger = await tables.open(holdOf(sid));
    const { upload, target } = await openUpload(port, { ledger });
    const { files } = await readRecording(recordingFolder(spoolRoot, sid));
    for (const { dir: from, file } of files) upload.add(file, from);
    await ledger.settled();
    const notedMs = performance.now() - began;
    const { files: stored } = await upload.finish();
    await ledger.settled();
    const storedS = (performance.now() - began) / 1000;
    target.close();
    if (stored.length !== FILES + 1) throw new Error(`${stored.length} of ${FILES} files and a playlist were stored`);
    const detail = `read back and noted after ${notedMs.toFixed(0)} ms; the figure is until the store has all`;
    return atMost(`recovery of a spool of ${FILES} files`, storedS, 5, 's', detail);
  } finally {
    await database.close();
  }
}
