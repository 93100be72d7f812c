/**
 * Recordings whose runs are lost, on a server that gives each run's files names of their own (contract §4.1): judged by
 * the files, against those of a recording that goes on under the same names.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Plan } from '../../src/contract/line/plan.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import { completeRecording } from '../../src/pipeline/complete.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { readRuns } from '../../src/stages/spool/recording-spool.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { type Kill, recordKilled } from '../support/killed-recording.ts';
import { RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, planOf } from '../support/scripted-recording.ts';

const userOf = (codec: 'h264' | 'vp8'): ScriptedUser => ({
  ...{ uid: '1', participant: RED, codec },
  ...{ fromS: -0.7, toS: 60, gopS: 2 },
});
const MIX = planOf({
  video: {
    ...{ width: 160, height: 90, fps: 10, bitrateKbps: 100 },
    ...{ layout: { kind: 'bestFit' }, backgroundColor: '#000000' },
  },
});
const LIMIT = { durationMs: 7_200_000, bytes: 2e9 };

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-failover-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Records, completes what is over, and puts all files and playlists into one folder. */
async function make(plan: Plan, stopS: number, kills: Kill[], codec: 'h264' | 'vp8' = 'h264') {
  const work = mkdtempSync(join(dir, 'work-'));
  const { dirs } = await recordKilled(work, [userOf(codec)], plan, stopS, { kills });
  const spoolDir = join(work, 'complete');
  mkdirSync(spoolDir);
  const mp4 = plan.mode === 'mix' && plan.files.mp4 ? LIMIT : undefined;
  await completeRecording({ spoolDir, earlierDirs: dirs, mp4 });
  const all = mkdtempSync(join(dir, 'all-'));
  const files: SpooledFile[] = [];
  for (const { dir: from, file } of (await readRuns([spoolDir])).files) {
    cpSync(join(from, file.name), join(all, file.name));
    files.push(file);
  }
  return { dir: all, files, playlists: writePlaylists(all, files) };
}
type Made = Awaited<ReturnType<typeof make>>;

/** When each sample of some playlists is, microseconds of the recording, by its kind; and how many slices hold them. */
async function samplesOf({ dir: folder, files }: Made, playlists: readonly string[]) {
  const times = { video: [] as number[], audio: [] as number[] };
  for (const playlist of playlists)
    for (const { name } of slicesOf(files, playlist))
      for await (const { kind, ptsUs } of readSamples(join(folder, name))) times[kind].push(ptsUs);
  for (const each of Object.values(times)) each.sort((a, b) => a - b);
  return times;
}

describe('with names of its own, each run', () => {
  test('of a composite has a playlist and MP4s, which hold all media once between them', async () => {
    const kills: Kill[] = [
      { atS: 17.3, downS: 0.7 },
      { atS: 20.4, downS: 0.7 },
    ];
    const whole = await make(MIX, 22, []);
    const made = await make({ ...MIX, failoverNames: true }, 22, kills);
    // What a run was writing when it was lost is the next one's, which may leave nothing to the second.
    const all = [`${BASE}.m3u8`, `bak0_${BASE}.m3u8`, `bak1_${BASE}.m3u8`];
    const names = all.filter((name) => made.playlists.includes(name));
    expect([names.length, names]).toEqual([made.playlists.length, expect.arrayContaining([all[0], all[2]])]);
    expect(await samplesOf(made, names)).toEqual(await samplesOf(whole, [`${BASE}.m3u8`]));
    for (const playlist of names) {
      const slices = slicesOf(made.files, playlist);
      expect(slices.map(({ index }) => index)).toEqual(slices.map((_, n) => n));
      expect(slices[0]).toMatchObject({ discontinuity: true, starts: [{ kind: 'video' }, { kind: 'audio' }] });
      expect(slices[0]!.rotations.length).toBe(1);
      expect([playlist, judgePlaylist(made.dir, playlist).problems]).toEqual([playlist, []]);
    }
    const mp4s = made.files.filter(({ type }) => type === 'mp4').sort((a, b) => a.startUtcMs - b.startUtcMs);
    expect(mp4s.map(({ name }) => name)).toEqual(names.map((name) => name.replace('.m3u8', '_0.mp4')));
    for (const [n, next] of mp4s.slice(1).entries()) {
      const overlapMs = mp4s[n]!.startUtcMs + mp4s[n]!.durationUs / 1000 - next.startUtcMs;
      // A run's first sound begins a little before its first picture.
      expect(overlapMs).toBeGreaterThan(-40);
      expect(overlapMs).toBeLessThan(400);
    }
    const frames = mp4s.map(({ name }) => probeFile(join(made.dir, name)).video?.packets ?? 0);
    expect(frames[0]).toBe(15 * 10);
    expect(frames.reduce((sum, count) => sum + count, 0)).toBe(22 * 10);
    // The report is of the whole recording.
    expect(made.files.filter(({ type }) => type === 'document').map(({ name }) => name)).toEqual([
      `${BASE}_report.json`,
    ]);
  });

  test.each(['h264', 'vp8'] as const)('of a user who sends %s as well, with snapshots', async (codec) => {
    const plan = individualPlanOf({ streamMode: 'standard', snapshots: { intervalMs: 5000 } });
    const kills: Kill[] = [
      { atS: 7.3, downS: 0.7 },
      { atS: 18.2, downS: 0.7 },
    ];
    const whole = await make(plan, 20.5, [], codec);
    const made = await make({ ...plan, failoverNames: true }, 20.5, kills, codec);
    for (const type of codec === 'h264' ? ['audio', 'video', 'av'] : ['audio', 'video']) {
      const base = `${BASE}__uid_s_1__uid_e_${type}`;
      const names = made.playlists.filter((name) => name.endsWith(`${base}.m3u8`));
      expect([...names].sort()).toEqual([`bak0_${base}.m3u8`, `bak1_${base}.m3u8`]);
      for (const playlist of names) {
        const slices = slicesOf(made.files, playlist);
        expect(slices.map(({ index }) => index)).toEqual(slices.map((_, n) => n));
        expect(slices[0]).toMatchObject({ discontinuity: true });
        expect(slices[0]!.starts.length).toBeGreaterThan(0);
        if (type === 'av') expect([playlist, judgePlaylist(made.dir, playlist).problems]).toEqual([playlist, []]);
      }
      expect(await samplesOf(made, names)).toEqual(await samplesOf(whole, [`${base}.m3u8`]));
    }
    const mpds = new Set(made.files.flatMap((file) => (file.type === 'slice' && file.mpd ? [file.mpd] : [])));
    const mpd = `${BASE}__uid_s_1__uid_e_av.mpd`;
    expect([...mpds].sort()).toEqual(codec === 'vp8' ? [`bak0_${mpd}`, `bak1_${mpd}`] : []);
    const snapshots = made.files.filter(({ type }) => type === 'snapshot').map(({ name }) => name.split('_')[0]);
    expect(snapshots).toEqual(['a'.repeat(32), 'a'.repeat(32), 'bak0', 'bak0', 'bak1']);
  });
});
