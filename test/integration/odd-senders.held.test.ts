/**
 * Senders that are odd and legal, each user alone: what came lies in the files, at its place, and no one else is hurt.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { Segment } from '../../src/media/segment.ts';
import { AudioDecoder } from '../../src/stages/codec/audio-decoder.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { readSamples, type SliceSample } from '../../src/stages/mux/read-slices.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { dropoutsIn } from '../support/judge/sound.ts';
import { hear, onSeconds, see, slicesOf, writePlaylists } from '../support/judge/user-streams.ts';
import { madeSound, SOUND_RATE } from '../support/media/made-media.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, type Made, record as recordScript } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-odd-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const record = async (users: ScriptedUser[], over: Partial<IndividualPlan>, stopS: number) => {
  const made = await recordScript(dir, users, individualPlanOf({ maxIdleMs: 60_000, ...over }), stopS);
  writePlaylists(made.dir, made.files);
  return made;
};
const nameOf = (uid: string, type: 'audio' | 'video' | 'av') => `${BASE}__uid_s_${uid}__uid_e_${type}.m3u8`;
const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const degraded = ({ happenings }: Made) => happenings.filter(({ type }) => type === 'degraded');

async function samplesIn({ dir: at }: Made, slices: readonly Segment[], kind: 'video' | 'audio') {
  const samples: SliceSample[] = [];
  for (const { name } of slices)
    for await (const sample of readSamples(join(at, name))) if (sample.kind === kind) samples.push(sample);
  return samples;
}

/** Every `count` packets of sound as one. */
function gathered(count: number): NonNullable<ScriptedUser['alter']> {
  const waiting: Buffer[] = [];
  let sequence = 0;
  return (datagrams, kind, what) => {
    if (kind !== 'audio' || what !== 'rtp') return datagrams;
    waiting.push(...datagrams);
    if (waiting.length < count) return [];
    const [first, ...others] = waiting.splice(0);
    const whole = Buffer.concat([first!, ...others.map((datagram) => datagram.subarray(12))]);
    whole.writeUInt16BE(sequence++, 2);
    return [whole];
  };
}

describe('odd senders', () => {
  test('packets of one byte cost nobody anything where Opus is passed on', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 60, video: false },
      { uid: '2', participant: GREEN, fromS: -1, toS: 60, video: false, tinyPackets: [{ fromS: 4.2, toS: 4.8 }] },
    ];
    const made = await record(users, { streamMode: 'original', records: { audio: true, video: false } }, 12.5);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(degraded(made)).toEqual([]);
    for (const [uid, who] of [
      ['1', RED],
      ['2', GREEN],
    ] as const) {
      const slices = slicesOf(made.files, nameOf(uid, 'audio'));
      expect(slices).toHaveLength(1);
      const beeps = onSeconds(hear(join(made.dir, nameOf(uid, 'audio')), who).beeps).seconds;
      expect(beeps.filter((s) => s > 0)).toEqual(seconds(1, 13));
      // 20 ms each, the small ones too.
      expect((await samplesIn(made, slices, 'audio')).length).toBeGreaterThan(620);
    }
  });

  test('a still screen of a sender that has no key frames loses none of its pictures', async () => {
    const picturesAtS = [0.2, 17.2, 34.2];
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.5, toS: 70, gopS: 600, picturesAtS };
    for (const [codec, streamMode] of [
      ['vp8', 'default'],
      ['vp9', 'default'],
      ['h264', 'standard'],
    ] as const) {
      const made = await record([{ ...user, codec }], { streamMode }, 43.5);
      expect([codec, degraded(made)]).toEqual([codec, []]);
      const slices = slicesOf(made.files, nameOf('1', 'video'));
      const pictures = await samplesIn(made, slices, 'video');
      expect(pictures.map(({ ptsUs }) => Math.round(ptsUs / 1e5) / 10)).toEqual(picturesAtS);
      // It goes on in the slice that has the key frame.
      expect(slices).toHaveLength(1);
      if (streamMode !== 'standard') continue;
      const merged = slicesOf(made.files, nameOf('1', 'av'));
      const shown = await samplesIn(made, merged, 'video');
      for (const atS of picturesAtS)
        expect(shown.filter(({ ptsUs }) => Math.abs(ptsUs / 1e6 - atS) < 0.05).length).toBeGreaterThan(0);
      for (const { name } of merged) expect(see(join(made.dir, name), RED).watched.damaged).toBe(0);
    }
  });

  test('lone key frames 17 s and 31 s apart end nothing', async () => {
    const picturesAtS = [0.2, 17.2, 48.2];
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -0.5, toS: 90, gopS: 0.033, picturesAtS },
      { uid: '2', participant: GREEN, fromS: -0.5, toS: 90 },
    ];
    const made = await record(users, { streamMode: 'standard' }, 54.5);
    expect(made.ending).toMatchObject({ reason: 'stopped', recorded: true });
    expect(degraded(made)).toEqual([]);
    const pictures = await samplesIn(made, slicesOf(made.files, nameOf('1', 'video')), 'video');
    expect(pictures).toHaveLength(3);
    const merged = join(made.dir, nameOf('1', 'av'));
    expect(onSeconds(hear(merged, RED).beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 55));
    expect(onSeconds(see(join(made.dir, nameOf('2', 'av')), GREEN).flashes).seconds.filter((s) => s > 0)).toEqual(
      seconds(1, 55),
    );
  });

  test.each([4, 5, 8])('slides %i s apart make a merged playlist as long as the time', async (apartS) => {
    const picturesAtS = Array.from({ length: Math.ceil(30 / apartS) }, (_, n) => 0.1 + n * apartS);
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: 0, toS: 60, gopS: 0.033, picturesAtS };
    const made = await record([user], { streamMode: 'standard' }, 30);
    expect(degraded(made)).toEqual([]);
    const slices = slicesOf(made.files, nameOf('1', 'av'));
    const total = slices.reduce((sum, { durationUs }) => sum + durationUs / 1e6, 0);
    expect(Math.abs(total - 30)).toBeLessThan(0.3);
    for (const slice of slices) {
      const [picture] = await samplesIn(made, [slice], 'video');
      const [sound] = await samplesIn(made, [slice], 'audio');
      expect(Math.abs((picture?.ptsUs ?? 0) - (sound?.ptsUs ?? 0)) / 1e6).toBeLessThan(0.3);
    }
    expect(slices.filter(({ discontinuity }) => discontinuity)).toHaveLength(1);
  });

  test('goes on without a key frame after a pause, and begins a new slice with the next one', async () => {
    const user: ScriptedUser = {
      ...{ uid: '1', participant: RED, fromS: -0.5, toS: 60, codec: 'vp8', gopS: 10 },
      mutes: [{ fromS: 4.5, toS: 21.5, kind: 'video' }],
    };
    const made = await record([user], {}, 40.5);
    const name = nameOf('1', 'video');
    const slices = slicesOf(made.files, name);
    expect(slices.map(({ discontinuity, starts }) => [discontinuity, starts.length])).toEqual([
      [true, 1],
      [true, 1],
    ]);
    expect(degraded(made)).toEqual([]);
    const flashes = slices.flatMap((slice) => see(join(made.dir, slice.name), RED).flashes);
    expect(onSeconds(flashes).seconds.filter((s) => s > 0)).toEqual([...seconds(1, 5), ...seconds(22, 41)]);
  });

  test.each([200, 480])('a telephone that sends %d ms in one packet is heard without a gap', async (packetMs) => {
    const alter = gathered(packetMs / 20);
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -1, toS: 60, video: false, telephone: true, alter };
    const made = await record([user], {}, 12.5);
    expect(degraded(made)).toEqual([]);
    expect(slicesOf(made.files, nameOf('1', 'audio'))).toHaveLength(1);
    const { heard, beeps } = hear(join(made.dir, nameOf('1', 'audio')), RED);
    expect(onSeconds(beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 13));
    expect(heard.gaps).toEqual([]);
    expect(dropoutsIn(heard, RED.toneHz)).toEqual([]);
  });

  test.each<[left: number, right: number]>([
    [1, 0.1],
    [0, 1],
  ])('stereo that no SDP tells of keeps its levels of %d and %d', async (...levels) => {
    const user = { uid: '1', participant: RED, fromS: -1, toS: 20, video: false, levels };
    const { files, dir: spool } = await record([user], {}, 6);
    const slices = files.filter((file) => file.type === 'slice');
    expect(slices).toHaveLength(1);
    const decoder = new AudioDecoder({ codec: 'aac', channels: 2 });
    const sums = [0, 0];
    let count = 0;
    for await (const { data, ptsUs } of readSamples(join(spool, slices[0]!.name), 0))
      for (const { sound } of decoder.decode({ data, ptsUs })) {
        sound.channels.forEach((samples, channel) => {
          for (const sample of samples) sums[channel]! += sample ** 2;
        });
        count += sound.samples;
      }
    decoder.close();
    const made = madeSound(RED, 1_000_000 * SOUND_RATE, 5 * SOUND_RATE);
    const level = Math.sqrt(made.reduce((sum, sample) => sum + sample ** 2, 0) / made.length);
    const heard = sums.map((sum) => Math.sqrt(sum / count) / level);
    for (const [channel, wanted] of levels.entries()) expect(heard[channel]!).toBeCloseTo(wanted, 1);
  });

  test('shows B-frames in their order', async () => {
    const user: ScriptedUser = { uid: '1', participant: RED, fromS: -0.5, toS: 60, bFrames: true };
    const made = await record([user], { streamMode: 'standard' }, 20.5);
    expect(degraded(made)).toEqual([]);
    for (const type of ['video', 'av'] as const) {
      const name = nameOf('1', type);
      const { problems } = judgePlaylist(made.dir, name, { video: true, audio: type === 'av' });
      // The stop cuts the sender off while pictures before its last one are still to come: how long that lasts is a
      // guess.
      expect(problems.filter((problem) => !/declares|adds up/.test(problem))).toEqual([]);
      expect(onSeconds(see(join(made.dir, name), RED).flashes.filter((s) => s > 0.5)).worstMs).toBeLessThan(40);
      const pictures = await samplesIn(made, slicesOf(made.files, name), 'video');
      expect(pictures.some(({ ptsUs, dtsUs }) => ptsUs > dtsUs)).toBe(true);
    }
  });
});
