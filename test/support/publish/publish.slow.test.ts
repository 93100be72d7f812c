/**
 * The publishers against a real server: what they send arrives, and they leave, pause, vanish and lose packets as told.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { BLUE, GREEN, RED } from '../media/participants.ts';
import { ServerProcess } from '../server-process.ts';
import { type Publisher, publishWithFfmpeg, publishWithRtc } from './publisher.ts';

type TrackState = { kind: string; codec: string; receiving: boolean; packets: number; lost: number };
type Seen = { uid: string; tracks: TrackState[] };

const SHAPE = { width: 640, height: 360, fps: 30, bitrateKbps: 600 };
const dataDir = mkdtempSync(join(tmpdir(), 'publish-'));
let server: ServerProcess;

beforeAll(async () => {
  // It is asked often.
  server = await ServerProcess.start({ dataDir, env: { AIRCHECK_RATE_LIMIT_PER_S: '0' } });
});
afterAll(async () => {
  await server.stop();
  rmSync(dataDir, { recursive: true });
});

async function seen(cname: string): Promise<Seen[]> {
  const { url, appid, customerId, customerSecret } = server;
  const answer = await fetch(`${url}/v1/apps/${appid}/aircheck/channels/${cname}`, {
    headers: { authorization: `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}` },
  });
  const body = (await answer.json()) as { participants: Seen[] } | Seen[];
  return Array.isArray(body) ? body : body.participants;
}
/** Waits until `test` holds for what the server sees in the channel. */
async function until(cname: string, test: (users: Seen[]) => boolean, withinMs: number): Promise<Seen[]> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const users = await seen(cname);
    if (test(users)) return users;
    if (performance.now() > deadline) throw new Error(`the channel stays ${JSON.stringify(users)}`);
    await pause(100);
  }
}
/** A publisher that is ended with the test. */
async function kept(publishing: Promise<Publisher>, onTestFinished: TestContext['onTestFinished']) {
  const publisher = await publishing;
  onTestFinished(() => publisher.stop());
  return publisher;
}
const codecs = (users: Seen[], uid: string) => {
  const tracks = users.find((u) => u.uid === uid)?.tracks ?? [];
  return tracks
    .filter((t) => t.receiving && t.packets > 20)
    .map((t) => t.codec)
    .sort();
};

test('FFmpeg, VP8, H.264 and a loop arrive with both tracks, and leave with a goodbye', async ({ onTestFinished }) => {
  const publishers: Publisher[] = [];
  for (const publishing of [
    () => publishWithFfmpeg({ ...server.whip('all', '1'), participant: RED, ...SHAPE }),
    () => publishWithRtc({ ...server.whip('all', '2'), participant: GREEN, codec: 'vp8', ...SHAPE }),
    () => publishWithRtc({ ...server.whip('all', '3'), participant: BLUE, codec: 'h264', loop: true, ...SHAPE }),
  ])
    publishers.push(await kept(publishing(), onTestFinished));
  const all = (users: Seen[]) => ['1', '2', '3'].every((uid) => codecs(users, uid).length === 2);
  const users = await until('all', all, 10_000);
  expect(['1', '2', '3'].map((uid) => codecs(users, uid))).toEqual([
    ['h264', 'opus'],
    ['opus', 'vp8'],
    ['h264', 'opus'],
  ]);
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  await until('all', (left) => left.length === 0, 10_000);
});

test('a wrong token is refused in words', async () => {
  const { url } = server.whip('door', '1');
  const options = { url, token: 'nonsense', participant: RED, codec: 'vp8' as const, ...SHAPE };
  await expect(publishWithRtc(options)).rejects.toThrow(/RED.*401/);
});

// How those that vanish are missed is waited for by silent-publishers.quiet.test.ts.
describe.concurrent('publishers', () => {
  test('a pause stops the media and not the session', async ({ onTestFinished }) => {
    const publisher = await kept(
      publishWithRtc({ ...server.whip('hush', '1'), participant: RED, codec: 'vp8', ...SHAPE }),
      onTestFinished,
    );
    await until('hush', (users) => codecs(users, '1').length === 2, 5_000);
    await publisher.pause();
    await until('hush', (users) => users[0]?.tracks.every((t) => !t.receiving) ?? false, 5_000);
    await publisher.resume();
    await until('hush', (users) => codecs(users, '1').length === 2, 5_000);
  });

  test('lost packets are asked for again and sent again', async ({ onTestFinished }) => {
    const options = { participant: RED, codec: 'vp8' as const, ...SHAPE, lossRate: 0.05 };
    await kept(publishWithRtc({ ...server.whip('lossy', '1'), ...options }), onTestFinished);
    const users = await until('lossy', (all) => (all[0]?.tracks ?? []).some((t) => t.packets > 400), 15_000);
    const video = users[0]?.tracks.find((t) => t.kind === 'video');
    // Of 400 packets 20 were not sent at first; RFC 3550 counts those that came late as received.
    expect(video?.lost).toBeLessThan(8);
  });
});
