/**
 * Notifications as the server has them: recordings' tables, the outbox, pg-boss, and real HTTP to a receiver that fails
 * in every way.
 */

import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import { Notifications } from '../../src/notify/notifications.ts';
import { newTaskState } from '../../src/session/task.ts';
import type { Database } from '../../src/store/database.ts';
import { KeyedJobs } from '../../src/store/jobs.ts';
import { openDatabase } from '../../src/store/open-database.ts';
import { OutboxTables } from '../../src/store/outbox-tables.ts';
import type { Ownership } from '../../src/store/ownership.ts';
import { RecordingTables } from '../../src/store/recording-tables.ts';
import { Vault } from '../../src/store/vault.ts';
import { addRecording, beginOwner, holdOf, noticeOf } from '../support/stored-recording.ts';
import { type Behaviour, WebhookReceiver } from '../support/webhook-receiver.ts';

const vault = new Vault([Vault.newKey()]);

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

type Server = {
  database: Database;
  recordings: RecordingTables;
  ownership: Ownership;
  notifications: Notifications;
};

describe.each(targets)('%s', (_name, url) => {
  let folder: string;
  let receiver: WebhookReceiver;
  let appid: string;
  let queue: string;
  let server: Server;

  beforeEach(async () => {
    folder = mkdtempSync(join(tmpdir(), 'aircheck-notify-'));
    receiver = await new WebhookReceiver().start();
    appid = newHexId();
    queue = `test-${newHexId()}`;
    server = await begin();
  });
  afterEach(async () => {
    await end();
    await receiver.close();
    await rm(folder, { recursive: true, force: true });
  });

  async function begin(): Promise<Server> {
    const database = await openDatabase({ url, pgliteDir: join(folder, 'db') });
    const notifications = new Notifications({
      tables: new OutboxTables(database),
      jobs: new KeyedJobs({ database, log, queue }),
      webhookOf: (each) => (each === appid ? receiver.webhook : undefined),
      shared: false,
      configured: true,
      clock: systemClock,
      log,
      retry: { forMs: 3_600_000, maxRetries: 0, firstMs: 20, longestMs: 200 },
      timeoutMs: 500,
      retentionDays: 30,
    });
    await notifications.start();
    const ownership = await beginOwner(database);
    const recordings = new RecordingTables(database, ownership, vault, notifications.outbox);
    return { database, recordings, ownership, notifications };
  }
  async function end(): Promise<void> {
    await server.notifications.close();
    await server.ownership.close();
    await server.database.close();
  }
  const save = (sid: string, ...notices: Notice[]) =>
    server.recordings.saveState(holdOf(sid), newTaskState(), systemClock.nowMs(), notices);
  const numbers = (sid: string) => receiver.taken(sid).map(({ notice }) => notice.payload.sequence);
  /** In the order of their first arrival. */
  const firsts = (sid: string) => [...new Set(numbers(sid))];

  test('an event is posted as soon as it is committed', async () => {
    const sid = await addRecording(server.database, appid);
    await save(sid, noticeOf(sid, 0));
    await receiver.until(() => receiver.taken(sid).length === 1);
    const took: number[] = [];
    for (let sequence = 1; sequence <= 10; sequence++) {
      await save(sid, noticeOf(sid, sequence));
      const savedMs = performance.now();
      await receiver.until(() => receiver.taken(sid).length === sequence + 1);
      took.push(performance.now() - savedMs);
    }
    expect(numbers(sid)).toEqual(Array.from({ length: 11 }, (_, i) => i));
    // Far below the interval of any poll; how fast exactly depends on the machine.
    expect(took.sort((a, b) => a - b)[5]).toBeLessThan(500);
  });

  test('whatever the receiver does, everything arrives, signed and in order per recording', async () => {
    const ways: Behaviour[] = [500, 'drop', 204, 'hang', 302, 200, 503, 200, 200];
    let turn = 0;
    receiver.behave = () => ways[turn++ % ways.length] as Behaviour;
    const sids = await Promise.all(Array.from({ length: 6 }, () => addRecording(server.database, appid)));
    await Promise.all(
      sids.map(async (sid) => {
        for (let i = 0; i < 4; i++) await save(sid, noticeOf(sid, 2 * i), noticeOf(sid, 2 * i + 1));
      }),
    );
    await receiver.until(() => sids.every((sid) => firsts(sid).length === 8));
    for (const sid of sids) expect(numbers(sid)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(receiver.received.every(({ signed, body }) => signed && JSON.stringify(JSON.parse(body)) === body)).toBe(
      true,
    );
  });

  test('of one recording never two sendings are under way at once, of several recordings they are', async () => {
    const waiting: (() => void)[] = [];
    receiver.behave = () => new Promise((resolve) => waiting.push(() => resolve(200)));
    const [one, two] = [await addRecording(server.database, appid), await addRecording(server.database, appid)];
    await save(one, noticeOf(one, 0), noticeOf(one, 1));
    await save(two, noticeOf(two, 0));
    const both = Promise.withResolvers<void>();
    const { behave } = receiver;
    receiver.behave = (notice) => {
      if (receiver.received.length >= 2) both.resolve();
      return behave(notice);
    };
    if (receiver.received.length >= 2) both.resolve();
    await both.promise;
    expect(receiver.received.map(({ notice }) => notice.sid).sort()).toEqual([one, two].sort());
    // More comes while the first is held.
    await save(one, noticeOf(one, 2));
    receiver.behave = () => 200;
    for (const answer of waiting) answer();
    await receiver.until(() => receiver.taken(one).length === 3 && receiver.taken(two).length === 1);
    expect(numbers(one)).toEqual([0, 1, 2]);
    expect(receiver.overlap).toBe(1);
  });

  test('a server that starts again goes on where the last one ended', async () => {
    const sid = await addRecording(server.database, appid);
    receiver.behave = ({ payload }) => (payload.sequence < 2 ? 200 : 500);
    await save(sid, noticeOf(sid, 0), noticeOf(sid, 1), noticeOf(sid, 2), noticeOf(sid, 3));
    await receiver.until(() => receiver.received.some(({ behaviour }) => behaviour === 500));
    await end();
    expect(numbers(sid)).toEqual([0, 1]);
    receiver.behave = () => 200;
    server = await begin();
    await save(sid, noticeOf(sid, 4));
    await receiver.until(() => receiver.taken(sid).length === 5);
    expect(numbers(sid)).toEqual([0, 1, 2, 3, 4]);
    const { events } = await server.notifications.list(appid, { sid, after: 0, limit: 10 });
    expect(events.map(({ notice }) => notice.payload.sequence)).toEqual([0, 1, 2, 3, 4]);
  });
});
