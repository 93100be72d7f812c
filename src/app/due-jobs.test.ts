import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { addRecording, beginNode } from '../../test/support/stored-recording.ts';
import { openTestDatabase } from '../../test/support/test-database.ts';
import { newHexId } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import type { Database } from '../store/database.ts';
import { KeyedJobs } from '../store/jobs.ts';
import { otherFolderOf } from '../store/place-tables.ts';
import { DueJobs } from './due-jobs.ts';

const log = createLog('silent');
let database: Database;
beforeAll(async () => {
  database = await openTestDatabase();
}, 60_000);
afterAll(() => database?.close());

/** A server of this data folder, for which nothing comes due by itself. */
async function begin(folder: string) {
  const worked: string[] = [];
  const jobs = new KeyedJobs({ database, queue: `due-${folder}`, log });
  const due = new DueJobs({
    ...{ jobs, clock: new ManualClock(), log, due: async () => [], failed: 'it failed' },
    async otherQueue(sid) {
      const other = await otherFolderOf(database, sid, folder);
      return other && `due-${other}`;
    },
  });
  onTestFinished(() => due.close());
  await due.start(async (key) => void worked.push(key));
  return { due, jobs, worked };
}

test('a server that is asked has the one do it that has the recording, and does not wait for its next look', async () => {
  const { folder } = await beginNode(database, { clock: new ManualClock() });
  const [theirs, ours] = [await begin(folder), await begin(newHexId())];
  const sid = await addRecording(database, newHexId());
  await database.query('update tasks set folder = $2 where sid = $1', [sid, folder]);
  await ours.due.lookFor(sid);
  // What others ask of it is looked for every few seconds, and whenever something of its own comes.
  await theirs.jobs.enqueue('something else');
  await expect.poll(() => theirs.worked).toContain(sid);
  expect(ours.worked).toEqual([]);
});

test('nobody else is asked where the server that has the recording is gone, and a look that fails is told of', async () => {
  const { folder, owner } = await beginNode(database, { clock: new ManualClock() });
  const ours = await begin(newHexId());
  const sid = await addRecording(database, newHexId());
  await database.query('update tasks set folder = $2 where sid = $1', [sid, folder]);
  // It has not made its queue yet.
  await ours.due.lookFor(sid);
  await database.query(`update owners set lease_until = now() - interval '1 s' where owner = $1`, [owner]);
  expect(await otherFolderOf(database, sid, 'ours')).toBeUndefined();
  await ours.due.lookFor(sid);
  expect(ours.worked).toEqual([]);
});
