/**
 * Recordings of every user alone, of scripted channels on a held clock, judged by the files of each user.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { beepsIn } from '../support/judge/sound.ts';
import { hear, onSeconds, see, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { BLUE, GREEN, PARTICIPANTS, type Participant, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, type Made, record as recordScript } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-individual-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  // Every native frame has been given back, whatever the test did.
  expect(liveFrames()).toBe(0);
});

const record = async (users: ScriptedUser[], over: Partial<IndividualPlan>, stopS: number) => {
  const made = await recordScript(dir, users, individualPlanOf(over), stopS);
  return { ...made, playlists: writePlaylists(made.dir, made.files) };
};
const nameOf = (uid: string, type: 'audio' | 'video' | 'av', ext = 'm3u8') =>
  `${BASE}__uid_s_${uid}__uid_e_${type}.${ext}`;
const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const told = ({ happenings }: Made, type: string) => happenings.filter((h) => h.type === type);

describe('a recording of every user alone', () => {
  test.each([
    [2.5, 'in a beep'],
    [6, 'right before one'],
  ])('loses no sound while its channel has no turn for %f s, from %s on', async (awayS, from) => {
    const fromS = from === 'in a beep' ? 3.01 : 2.99;
    const away = { fromS, toS: fromS + awayS, untilS: fromS + awayS, channelStandsStill: true as const };
    const users: ScriptedUser[] = [RED, GREEN].map((participant, n) => {
      return { uid: `${n + 1}`, participant, fromS: -1.3, toS: 60, lates: [away], video: false };
    });
    const made = await record(users, {}, 14.5);
    for (const [n, participant] of [RED, GREEN].entries()) {
      const { heard } = hear(join(made.dir, nameOf(`${n + 1}`, 'audio')), participant);
      const beeps = beepsIn(heard, { toneHz: participant.toneHz }).slice(1);
      expect(beeps.map(({ atS }) => Math.round(atS))).toEqual(seconds(1, 15));
      expect(Math.min(...beeps.map(({ durationS }) => durationS))).toBeGreaterThan(0.095);
      expect(clicksIn(heard)).toEqual([]);
    }
  });

  test('has each user’s picture and sound, no one else’s, at their places', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60 },
      { uid: '2', participant: GREEN, fromS: 3.4, toS: 22.5, video: false },
      { uid: '3', participant: BLUE, fromS: -1, toS: 60, audio: false },
    ];
    const made = await record(users, {}, 35.5);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(made.playlists).toEqual([
      nameOf('1', 'audio'),
      nameOf('1', 'video'),
      nameOf('2', 'audio'),
      nameOf('3', 'video'),
    ]);
    for (const name of made.playlists) {
      const isVideo = name.endsWith('_video.m3u8');
      expect(judgePlaylist(made.dir, name, { video: isVideo, audio: !isVideo }).problems).toEqual([]);
    }
    for (const [uid, participant] of [
      ['1', RED],
      ['3', BLUE],
    ] as const) {
      const seen = see(join(made.dir, nameOf(uid, 'video')), participant);
      const marks = onSeconds(seen.flashes);
      // The one at zero is shown in a moment, with all that was kept from before.
      expect(marks.seconds).toEqual(seconds(0, 36));
      expect(onSeconds(seen.flashes.slice(1)).worstMs).toBeLessThan(40);
      expect(seen.present.reduce((sum, span) => sum + span.toS - span.fromS, 0)).toBeGreaterThan(31);
    }
    const red = hear(join(made.dir, nameOf('1', 'audio')), RED);
    expect(onSeconds(red.beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 36));
    expect(onSeconds(red.beeps.filter((s) => s > 0.5)).worstMs).toBeLessThan(30);
    const green = hear(join(made.dir, nameOf('2', 'audio')), GREEN);
    expect(onSeconds(green.beeps).seconds).toEqual(seconds(4, 23));
    expect(hear(join(made.dir, nameOf('2', 'audio')), RED).level).toBeLessThan(0.05);
    // Slices as the contract has them: 15 s at a key frame, each named by its UTC, told of as they begin.
    expect(slicesOf(made.files, nameOf('1', 'video')).map((s) => Math.round(s.durationUs / 1e6))).toEqual([15, 15, 5]);
    expect(told(made, 'sliceStarted')).toHaveLength(made.files.filter(({ type }) => type === 'slice').length);
  });

  test('begins anew where a user comes back, with the gap between', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 6.5 },
      { uid: '1', participant: RED, fromS: 11.5, toS: 60 },
    ];
    const made = await record(users, { maxIdleMs: 20_000 }, 20.5);
    for (const [type, other] of [
      ['video', 'audio'],
      ['audio', 'video'],
    ] as const) {
      const name = nameOf('1', type);
      expect(judgePlaylist(made.dir, name, { video: type === 'video', audio: other === 'video' }).problems).toEqual([]);
      const slices = slicesOf(made.files, name);
      expect(
        slices.map(({ index, discontinuity, starts }) => ({ index, discontinuity, kinds: starts.length })),
      ).toEqual([
        { index: 0, discontinuity: true, kinds: 1 },
        { index: 1, discontinuity: true, kinds: 1 },
      ]);
      const text = readFileSync(join(made.dir, name), 'utf8');
      expect(text.match(/TRACK-EVENT:EVENT=START/g)).toHaveLength(2);
      const zero = slices[0]!.startUtcMs;
      expect((slices[1]!.startUtcMs - zero) / 1000).toBeCloseTo(11.5, 0);
    }
    const expected = [...seconds(1, 7), ...seconds(12, 21)];
    expect(onSeconds(see(join(made.dir, nameOf('1', 'video')), RED).flashes).seconds.filter((s) => s > 0)).toEqual(
      expected,
    );
    const beeps = onSeconds(hear(join(made.dir, nameOf('1', 'audio')), RED).beeps);
    expect(beeps.seconds.filter((s) => s > 0)).toEqual(expected);
    const [resumed] = told(made, 'sliceStarted').filter(
      (h) => h.type === 'sliceStarted' && h.discontinueUtcMs !== h.startUtcMs,
    );
    expect(resumed).toBeDefined();
  });

  test('cuts where the picture’s size changes, and says so', async () => {
    const sizes = [
      { fromS: -1, width: 320, height: 180 },
      { fromS: 5, width: 180, height: 320 },
    ];
    const made = await record(
      [{ uid: '1', participant: RED, fromS: -1, toS: 60, sizes }],
      { streamMode: 'standard' },
      10.5,
    );
    const slices = slicesOf(made.files, nameOf('1', 'video'));
    expect(slices.map((s) => s.rotations.map(({ width, height }) => `${width}x${height}`))).toEqual([
      ['320x180'],
      ['180x320'],
    ]);
    expect(slices[1]!.starts).toEqual([]);
    expect(see(join(made.dir, nameOf('1', 'video')), RED).watched.sizes).toEqual(['320x180', '180x320']);
    expect(judgePlaylist(made.dir, nameOf('1', 'video'), { video: true, audio: false }).problems).toEqual([]);
    expect(judgePlaylist(made.dir, nameOf('1', 'av')).problems).toEqual([]);
  });

  test('merges sound and picture, with silence for sound and the last key frame for a picture that is missing', async () => {
    const users: ScriptedUser[] = [
      {
        uid: '1',
        participant: RED,
        fromS: -0.7,
        answersKeyFrameRequests: true,
        toS: 60,
        mutes: [
          { fromS: 4.5, toS: 24.5, kind: 'video' },
          { fromS: 30.5, toS: 49.5, kind: 'audio' },
        ],
      },
      { uid: '2', participant: GREEN, fromS: 2.5, toS: 60, video: false },
    ];
    const made = await record(users, { streamMode: 'standard' }, 55.5);
    const merged = join(made.dir, nameOf('1', 'av'));
    // The picture that stands still for 15 s, and nothing else, is what a judge of moving ones finds.
    expect(judgePlaylist(made.dir, nameOf('1', 'av')).problems).toEqual([
      expect.stringMatching(/^1\d{4}\.\d ms of video missing/),
    ]);
    const slices = slicesOf(made.files, nameOf('1', 'av'));
    expect(slices.filter((slice) => slice.discontinuity)).toHaveLength(1);
    expect(onSeconds(hear(merged, RED).beeps).seconds.filter((s) => s > 0)).toEqual([
      ...seconds(1, 31),
      ...seconds(50, 56),
    ]);
    expect(onSeconds(see(merged, RED).flashes).seconds.filter((s) => s > 0)).toEqual([
      ...seconds(1, 5),
      ...seconds(25, 56),
    ]);
    const heard = hear(merged, RED);
    // FFmpeg's HLS reader takes the first packets of any playlist a block too early, and then makes up for it.
    expect(heard.heard.gaps.filter(({ atS }) => atS > 0.5)).toEqual([]);
    // Where nothing came for 15 s the single streams begin anew.
    for (const type of ['audio', 'video'] as const)
      expect(slicesOf(made.files, nameOf('1', type)).filter((slice) => slice.discontinuity)).toHaveLength(2);
    expect(judgePlaylist(made.dir, nameOf('2', 'av'), { video: false, audio: true }).problems).toEqual([]);
  });

  test('records whom a change of the subscription wants, from then on, and no more users than the group has', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, answersKeyFrameRequests: true },
      { uid: '2', participant: GREEN, fromS: -1, toS: 60, answersKeyFrameRequests: true },
      { uid: '3', participant: BLUE, fromS: 0.5, toS: 60 },
    ];
    const only = (...uids: string[]) => ({ kind: 'only' as const, uids });
    const made = await recordScript(
      dir,
      users,
      individualPlanOf({ maxUsers: 2, subscribe: { audio: only('1', '3'), video: only('1') } }),
      12.5,
      0,
      [{ atS: 6.5, subscribe: { audio: only('1'), video: only('1', '2') } }],
    );
    const playlists = writePlaylists(made.dir, made.files);
    expect(playlists).toEqual([nameOf('1', 'audio'), nameOf('1', 'video'), nameOf('2', 'video'), nameOf('3', 'audio')]);
    const flashes = (uid: string, who: Participant) =>
      onSeconds(see(join(made.dir, nameOf(uid, 'video')), who).flashes).seconds;
    const beeps = (uid: string, who: Participant) =>
      onSeconds(hear(join(made.dir, nameOf(uid, 'audio')), who).beeps).seconds;
    expect(flashes('1', RED).filter((s) => s > 0)).toEqual(seconds(1, 13));
    expect(flashes('2', GREEN)).toEqual(seconds(7, 13));
    expect(beeps('3', BLUE)).toEqual(seconds(1, 7));
  });

  test('begins anew with a key frame where a user is wanted again, however soon', async () => {
    const all = { audio: { kind: 'all' as const }, video: { kind: 'all' as const } };
    const soundOnly = { ...all, video: { kind: 'none' as const } };
    // The sender has a key frame when it is asked for one, and otherwise none for a long time.
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.7, toS: 60, gopS: 60 };
    const made = await recordScript(dir, [{ ...user, answersKeyFrameRequests: true }], individualPlanOf(), 12.5, 0, [
      { atS: 4.4, subscribe: soundOnly },
      { atS: 5.2, subscribe: all },
    ]);
    writePlaylists(made.dir, made.files);
    const name = nameOf('1', 'video');
    expect(judgePlaylist(made.dir, name, { video: true, audio: false }).problems).toEqual([]);
    const slices = slicesOf(made.files, name);
    expect(slices.map(({ discontinuity, starts }) => [discontinuity, starts.length])).toEqual([
      [true, 1],
      [true, 1],
    ]);
    const seen = see(join(made.dir, name), RED);
    expect(seen.watched.damaged).toBe(0);
    expect(onSeconds(seen.flashes).seconds.filter((s) => s > 0 && s !== 6)).toEqual(
      seconds(1, 13).filter((s) => s !== 5 && s !== 6),
    );
    // Asked for as soon as it is wanted, not once it is missed.
    expect(((slices[1]?.startUtcMs ?? 0) - (slices[0]?.startUtcMs ?? 0)) / 1000).toBeLessThan(5.8);
  });

  test('passes Opus on as it came where that is asked for', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, video: false, stalls: [{ fromS: 5.5, toS: 8.5 }] },
    ];
    const made = await record(users, { streamMode: 'original', records: { audio: true, video: false } }, 20.5);
    const path = join(made.dir, nameOf('1', 'audio'));
    expect(judgePlaylist(made.dir, nameOf('1', 'audio'), { video: false, audio: true }).problems).toEqual([]);
    expect(
      slicesOf(made.files, nameOf('1', 'audio')).map(({ codecs, discontinuity }) => [codecs?.audio, discontinuity]),
    ).toEqual([
      ['opus', true],
      ['opus', true],
    ]);
    expect(onSeconds(hear(path, RED).beeps).seconds.filter((s) => s > 0)).toEqual([
      ...seconds(1, 6),
      ...seconds(9, 21),
    ]);
  });

  test('records 32 users at once, each whole and in step', async () => {
    const sizes = [{ fromS: -2, width: 160, height: 90 }];
    const users = Array.from({ length: 32 }, (_, n): ScriptedUser => {
      const participant = PARTICIPANTS[n % PARTICIPANTS.length] as Participant;
      return { uid: String(n + 1), participant, codec: n % 4 === 3 ? 'vp8' : 'h264', fromS: -1, toS: 60, sizes };
    });
    const made = await record(users, { maxUsers: 32 }, 7.5);
    expect(made.playlists).toHaveLength(64);
    for (const { uid, participant, codec } of users) {
      const [slice] = slicesOf(made.files, nameOf(uid, 'video'));
      const seen = see(join(made.dir, codec === 'vp8' ? (slice?.name ?? '') : nameOf(uid, 'video')), participant);
      expect([uid, onSeconds(seen.flashes).seconds.filter((s) => s > 0)]).toEqual([uid, seconds(1, 8)]);
      const heard = hear(join(made.dir, nameOf(uid, 'audio')), participant);
      expect([uid, onSeconds(heard.beeps).seconds.filter((s) => s > 0)]).toEqual([uid, seconds(1, 8)]);
      const offsets = avOffsets(
        seen.flashes.filter((s) => s > 0.5),
        heard.beeps.filter((s) => s > 0.5),
      );
      expect(Math.abs(offsets.worstMs)).toBeLessThanOrEqual(40);
    }
    expect(told(made, 'degraded')).toEqual([]);
  });

  test.each(['vp8', 'vp9', 'av1'] as const)('passes %s on in WebM', async (codec) => {
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, codec, fromS: -1, toS: 60, gopS: 2 }];
    const made = await record(users, {}, 20.5);
    const slices = slicesOf(made.files, nameOf('1', 'video'));
    expect(slices.map(({ name }) => name.replace(/\d{17}/, '<utc>'))).toEqual(
      Array(2).fill(nameOf('1', 'video', '<utc>.webm').replace('_video.', '_video_')),
    );
    expect(slices.map(({ codecs }) => codecs)).toEqual([{ video: codec }, { video: codec }]);
    const flashes = slices.flatMap(({ name }) => see(join(made.dir, name), RED).flashes);
    expect(onSeconds(flashes).seconds.filter((s) => s > 0 && s !== 15)).toEqual(seconds(1, 21).filter((s) => s !== 15));
    expect(onSeconds(flashes.filter((s) => s > 0.5)).worstMs).toBeLessThan(40);
  });
});
