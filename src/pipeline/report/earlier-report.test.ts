import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { qualityReportSchema } from '../../contract/line/quality-report.ts';
import type { Track } from '../../media/track.ts';
import { goOnFrom, keepReport, readEarlierReport } from './earlier-report.ts';
import { QualityCollector } from './quality-collector.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-report-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const S = 1_000_000;
const SOUND: Track = {
  ...{ track: 1, uid: '1' },
  format: { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' },
};
const collector = (generation: number, startedS: number) =>
  new QualityCollector({
    ...{ sid: 's', mode: 'mix', zeroUtcMs: 0 },
    run: { generation, startedUs: startedS * S },
  });
const machine = { cpuUs: 2 * S, peakRssBytes: 100 };

test('each run has its own line of a push, and what nobody saw the end of ended with its run', () => {
  const push = {
    ...{
      address: 'rtmp://live.example.com/app/***',
      startedMs: 0,
      endedMs: null,
      firstPublishedMs: 10,
      publishedMs: 900,
    },
    ...{ connections: 1, sentBytes: 5, droppedBytes: 2, lastFailure: null },
  };
  const [first, second] = [collector(1, 0), collector(2, 6)];
  first.onPush('a', push);
  first.onPush('a', { ...push, connections: 2 });
  second.onPush('a', { ...push, startedMs: 6000, endedMs: 9000 });
  const report = goOnFrom(
    first.report({ atUs: 5 * S, lagUs: 0, machine }),
    second.report({ atUs: 9 * S, lagUs: 0, machine }, 'stopped'),
  );
  expect(qualityReportSchema.parse(report)).toEqual(report);
  expect(report.pushes).toMatchObject([
    { startedMs: 0, endedMs: 5000, connections: 2 },
    { startedMs: 6000, endedMs: 9000, connections: 1 },
  ]);
});

test('a report goes on over runs: stays that last are one, stays that ended and what was degraded are kept', async () => {
  const first = collector(1, 0);
  first.onJoined('1', 1 * S);
  first.onTrack(SOUND, 1 * S);
  first.onJoined('2', 2 * S);
  first.onJoined('3', 3 * S);
  first.onLeft('3', 4 * S);
  first.onFilesBegun(1 * S);
  first.onDegraded('a thing', 2, 4 * S);
  await keepReport(dir, first.report({ atUs: 5 * S, lagUs: 0, machine }));

  const earlier = await readEarlierReport([dir, join(dir, 'none')]);
  const second = collector(2, 6);
  second.onJoined('1', 1 * S);
  second.onTrack(SOUND, 6 * S);
  second.onLeft('1', 8 * S);
  second.onFilesBegun(1 * S, 4.5 * S);
  second.onDegraded('another', 1, 7 * S);
  second.onEnd(9 * S);
  const report = goOnFrom(earlier!, second.report({ atUs: 9 * S, lagUs: 0, machine }, 'stopped'));

  expect(qualityReportSchema.parse(report)).toEqual(report);
  expect(report.runs).toEqual([
    { generation: 1, startedMs: 0, filesFromMs: 1000, lastKnownMs: 5000 },
    { generation: 2, startedMs: 6000, filesFromMs: 4500, lastKnownMs: null },
  ]);
  const stays = report.participants.map(({ uid, presence }) => [
    uid,
    ...presence.map((stay) => [stay.joinedMs, stay.leftMs]),
  ]);
  // The second run never saw user 2: what is known of that stay ends with the first.
  expect(stays).toEqual([
    ['1', [1000, 8000]],
    ['2', [2000, 5000]],
    ['3', [3000, 4000]],
  ]);
  expect(report.participants[0]!.tracks.map(({ startedMs, endedMs }) => [startedMs, endedMs])).toEqual([
    [1000, 5000],
    [6000, null],
  ]);
  expect(report.degraded.map(({ what }) => what)).toEqual(['a thing', 'another']);
  expect(report).toMatchObject({ state: 'final', filesFromMs: 1000, machine: { cpuMs: 4000, peakRssBytes: 100 } });
});

test('without a run before there is nothing to go on from', async () => {
  expect(await readEarlierReport([dir])).toBeUndefined();
});
