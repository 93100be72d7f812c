/**
 * A real recorder process on a scripted feed, in real time: what it is told reaches the recording, and its file.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { presenceIn } from '../../test/support/judge/picture.ts';
import { watch } from '../../test/support/judge/watch.ts';
import { BLUE, GREEN } from '../../test/support/media/participants.ts';
import { ScriptedFeed } from '../../test/support/scripted-feed.ts';
import type { Fact } from '../contract/line/facts.ts';
import { systemClock } from '../kernel/clock.ts';
import { Forks } from './forks.ts';
import { Sharing } from './sharing.ts';
import { Supervisor } from './supervisor.ts';

const FPS = 15;
const TWO_FRAMES_S = 2 / FPS;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-main-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('changes told before it is up, and while it records, show in the file at their times', {
  timeout: 60_000,
}, async () => {
  const lines: string[] = [];
  const line = (_details: object, text: string) => void lines.push(text);
  const log = { debug: line, info: line, warn: line, error: line };
  const forks = new Forks({ clock: systemClock, log, env: {} });
  const supervisor = new Supervisor({
    clock: systemClock,
    log,
    forks,
    entry: join(import.meta.dirname, '../app/cli/main.ts'),
    args: ['recorder'],
    env: {},
    readyTimeoutMs: 20_000,
    stopTimeoutMs: 20_000,
    completeArgs: [],
    warmRecorders: 0,
    sharing: new Sharing(1),
    completeParallel: 1,
    completeTimeoutMs: 60_000,
  });
  const zeroMonoUs = systemClock.monoUs();
  const users = [
    { uid: '1', participant: GREEN, fromS: -1, toS: 10 },
    { uid: '2', participant: BLUE, codec: 'vp8' as const, fromS: -1, toS: 10 },
  ];
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), users, zeroMonoUs, zeroMonoUs);
  const facts: Fact[] = [];
  const exited = Promise.withResolvers<string>();
  const recorder = supervisor.launch(
    {
      type: 'start',
      plan: {
        mode: 'mix',
        sid: 'c'.repeat(32),
        baseName: 'c',
        video: {
          width: 320,
          height: 180,
          fps: FPS,
          bitrateKbps: 500,
          layout: { kind: 'bestFit' },
          backgroundColor: '#000000',
        },
        subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
        files: { hls: true, mp4: true },
        maxIdleMs: 5000,
        mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
      },
      generation: 1,
      source: { kind: 'feed', path: feed.path },
      spoolDir: dir,
      earlierDirs: [],
      changes: [],
      zeroUtcMs: systemClock.nowMs(),
      zeroMonoUs,
    },
    { onProcess: () => {}, onFact: (fact) => facts.push(fact), onExit: exited.resolve },
  );
  const atS = (seconds: number) => zeroMonoUs + seconds * 1e6;
  const region = (uid: string, x: number) =>
    ({ uid, x, y: 0, width: 0.5, height: 1, alpha: 1, render: 'crop' }) as const;
  try {
    recorder.change({
      type: 'changeLayout',
      atMonoUs: atS(1.4),
      layout: { kind: 'custom', regions: [region('2', 0), region('1', 0.5)] },
      backgroundColor: '#000000',
    });
    let changed = false;
    // The feed is as the time is: what has happened by now.
    for (let nowUs = systemClock.monoUs(); nowUs < atS(4.5); nowUs = systemClock.monoUs()) {
      await feed.playUntil(nowUs);
      if (!changed && facts.some(({ type }) => type === 'joined')) {
        changed = true;
        recorder.change({
          type: 'changeSubscription',
          atMonoUs: atS(2.6),
          subscribe: { audio: { kind: 'all' }, video: { kind: 'only', uids: ['1'] } },
        });
      }
      await pause(10);
    }
    recorder.stop(atS(4));
    expect(await exited.promise, lines.join('\n')).toBe('the recorder process ended with exit code 0');
  } finally {
    await supervisor.close();
    await forks.close();
    await feed.close();
  }
  expect(facts.filter(({ type }) => type === 'sliceStarted')).toMatchObject([{ trackType: 'video' }]);
  const [left, right] = watch(
    join(dir, 'c_0.mp4'),
    [0, 0.5].map((x) => ({ rect: { x, y: 0, width: 0.5, height: 1 } })),
  ).views;
  const spans = [presenceIn(left ?? [], GREEN.colour), presenceIn(left ?? [], BLUE.colour)];
  const expected = [[[0, 1.4]], [[1.4, 2.6]]];
  for (const [i, user] of spans.entries()) {
    expect(user).toHaveLength(expected[i]?.length ?? 0);
    user.forEach(({ fromS, toS }, n) => {
      expect(Math.abs(fromS - (expected[i]?.[n]?.[0] ?? 0))).toBeLessThanOrEqual(TWO_FRAMES_S);
      expect(Math.abs(toS - (expected[i]?.[n]?.[1] ?? 0))).toBeLessThanOrEqual(TWO_FRAMES_S);
    });
  }
  expect(presenceIn(right ?? [], GREEN.colour).at(-1)?.toS).toBeGreaterThan(3.8);
});
