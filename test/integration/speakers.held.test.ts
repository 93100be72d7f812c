/**
 * The one file with every speaker of a recording of single users, as an audio editor opens it: a track each, gapless
 * from the recording's zero to its end.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { NO_ROOM_EXIT } from '../../src/contract/line/complete.ts';
import type { Manifest } from '../../src/contract/line/manifest.ts';
import { isOutOfRoom } from '../../src/kernel/fault.ts';
import type { SpeakersFile } from '../../src/media/segment.ts';
import { makeSpeakers } from '../../src/pipeline/individual/speakers.ts';
import { FLAC_BLOCK } from '../../src/stages/codec/flac-encoder.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { withoutSpeaker } from '../../src/stages/mux/mka/without-track.ts';
import { partPath } from '../../src/stages/mux/spool-file.ts';
import { clicksIn } from '../support/judge/clicks.ts';
import { withInput } from '../support/judge/read-media.ts';
import { beepsIn, type Heard, listen } from '../support/judge/sound.ts';
import { makeRecording } from '../support/made-recording.ts';
import { BLUE, GREEN, type Participant, RED } from '../support/media/participants.ts';

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts');
const END_S = 9;
/** The longest frame of what was recorded, of AAC: nobody may be further from their place. */
const FRAME_S = 1024 / 48_000;
/** In order of joining. */
const CAST: readonly [uid: string, participant: Participant][] = [
  ['7', RED],
  ['12', BLUE],
  ['4294967295', GREEN],
];

let dir: string;
let manifest: Manifest;
const problems: string[] = [];
const make = (changes: Partial<Manifest> = {}) =>
  makeSpeakers({ dir, manifest: { ...manifest, ...changes }, onProblem: (what) => problems.push(what) });
const tracksOf = ({ name }: SpeakersFile) => CAST.map((_, track) => listen(join(dir, name), { track }));
const beeps = (heard: Heard, { toneHz }: Participant) => beepsIn(heard, { toneHz }).map(({ atS }) => atS);
/** How far each is from its place, when they are as many. */
function expectWithinFrame(times: readonly number[], places: readonly number[]): void {
  expect(times).toHaveLength(places.length);
  for (const [i, atS] of times.entries()) expect(Math.abs(atS - places[i]!), `${atS} s`).toBeLessThan(FRAME_S);
}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-speakers-'));
  const whole = { fromS: 0, toS: END_S };
  ({ manifest } = await makeRecording({
    ...{ dir, endS: END_S, size: { width: 64, height: 36 }, fps: 10 },
    users: [
      // One who is away for a while, one who comes late, one whose Opus was passed on, and one who never said a word.
      {
        ...{ uid: '7', participant: RED, stays: [whole] },
        audio: {
          codec: 'aac',
          spans: [
            { fromS: 0.5, toS: 3.5 },
            { fromS: 6.5, toS: END_S },
          ],
        },
      },
      {
        ...{ uid: '4294967295', participant: GREEN, stays: [{ fromS: 4.5, toS: 7.5 }] },
        audio: { codec: 'aac', spans: [{ fromS: 4.5, toS: 7.5 }] },
      },
      { uid: '12', participant: BLUE, stays: [whole], audio: { codec: 'opus', spans: [whole] } },
      { uid: '13', participant: BLUE, stays: [whole] },
    ],
  }));
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

describe('the file with every speaker', () => {
  test('has a track for each who was heard, named by uid, gapless and of one length', async () => {
    const made = (await make())!;
    expect(made).toMatchObject({ type: 'speakers', uids: CAST.map(([uid]) => uid), startUtcMs: manifest.zeroUtcMs });
    expect(Math.abs(made.durationUs / 1e6 - END_S)).toBeLessThan(FRAME_S);
    withInput(join(dir, made.name), ({ streams, iformat }) => {
      expect(iformat?.name).toMatch(/matroska/);
      expect(streams.map(({ metadata }) => metadata?.get('title'))).toEqual(CAST.map(([uid]) => uid));
    });
    for (const heard of tracksOf(made)) {
      expect(heard).toMatchObject({ startS: 0, gaps: [], damaged: 0 });
      expect(heard.endS).toBeCloseTo(made.durationUs / 1e6, 6);
    }
    expect(problems).toEqual([]);
    expect(readdirSync(dir).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('is read so by a library for browsers as well', async () => {
    const made = (await make())!;
    const input = new Input({ source: new FilePathSource(join(dir, made.name)), formats: ALL_FORMATS });
    const tracks = await input.getAudioTracks();
    expect(tracks.map(({ name }) => name)).toEqual(CAST.map(([uid]) => uid));
    for (const track of tracks) {
      expect(track).toMatchObject({ codec: 'flac', sampleRate: 48_000 });
      const times: number[] = [];
      // How long the last packet of a cluster lasts, it does not know (1.61).
      for await (const { timestamp } of new EncodedPacketSink(track).packets()) times.push(timestamp);
      const count = Math.ceil(((made.durationUs / 1e6) * 48_000) / FLAC_BLOCK);
      expect(times).toEqual(Array.from({ length: count }, (_, n) => expect.closeTo((n * FLAC_BLOCK) / 48_000, 6)));
    }
    input.dispose();
  });

  test('has each one at their places of the recording, and nobody else', async () => {
    const tracks = tracksOf((await make())!);
    const places = [
      [1, 2, 3, 7, 8],
      [1, 2, 3, 4, 5, 6, 7, 8],
      [5, 6, 7],
    ];
    for (const [track, heard] of tracks.entries())
      for (const [who, [uid, participant]] of CAST.entries()) {
        const times = beeps(heard, participant);
        if (who === track) expectWithinFrame(times, places[track]!);
        else expect(times, `${uid} on track ${track}`).toEqual([]);
      }
  });

  test('has the others as they were once one of them is taken out', async () => {
    const made = (await make())!;
    const before = tracksOf(made);
    const [input, output] = [join(dir, made.name), join(dir, 'left.mka')];
    expect(await withoutSpeaker({ input, output, uid: '12' })).toBe(2);
    withInput(output, ({ streams }) => {
      expect(streams.map(({ metadata }) => metadata?.get('title'))).toEqual(['7', '4294967295']);
    });
    for (const [track, of] of [0, 2].entries()) {
      const heard = listen(output, { track });
      expect(heard).toMatchObject({ startS: 0, gaps: [], damaged: 0 });
      expect(heard.endS).toBe(before[of]!.endS);
      expect(Buffer.compare(Buffer.from(heard.mono.buffer), Buffer.from(before[of]!.mono.buffer))).toBe(0);
    }
    // Whoever is not in it, nobody misses; and where nobody is left there is no file.
    expect(await withoutSpeaker({ input: output, output: join(dir, 'same.mka'), uid: '12' })).toBe(2);
    expect(await withoutSpeaker({ input: output, output: join(dir, 'one.mka'), uid: '7' })).toBe(1);
    const none = join(dir, 'none.mka');
    expect(await withoutSpeaker({ input: join(dir, 'one.mka'), output: none, uid: '4294967295' })).toBe(0);
    expect(existsSync(none)).toBe(false);
    writeFileSync(none, 'no file of speakers');
    await expect(withoutSpeaker({ input: none, output, uid: '7' })).rejects.toMatchObject({
      code: 'speakers-unreadable',
    });
    // A full disk says nothing of the file, and is not taken for that.
    const full = join(dir, 'full.mka');
    symlinkSync('/dev/full', partPath(full));
    const told = await withoutSpeaker({ input, output: full, uid: '7' }).catch((error: unknown) => error);
    expect(isOutOfRoom(told)).toBe(true);
    const run = (command: object) =>
      spawnSync(process.execPath, [MAIN, 'without-speaker'], { input: JSON.stringify(command), encoding: 'utf8' });
    expect(run({ input, output: full, uid: '7' })).toMatchObject({ status: NO_ROOM_EXIT, stdout: '' });
    expect(run({ input: none, output, uid: '7' })).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^unreadable .*no readable file of speakers.*\n$/),
    });
  });

  test('leaves holds out, without a click', async () => {
    // Between blocks of sound, as holds are.
    const block = (n: number) => (n * 1024e6) / 48_000;
    const holds = [{ fromUs: block(70), untilUs: block(164) }];
    const heldS = (94 * 1024) / 48_000;
    const made = (await make({ holds }))!;
    expect(made.durationUs / 1e6).toBeCloseTo(Math.ceil((END_S * 48_000) / 1024) * FRAME_S - heldS, 5);
    const tracks = tracksOf(made);
    const after = (places: number[]) => places.map((atS) => atS - heldS);
    expectWithinFrame(beeps(tracks[0]!, RED), [1, ...after([7, 8])]);
    expectWithinFrame(beeps(tracks[1]!, BLUE), [1, ...after([4, 5, 6, 7, 8])]);
    expectWithinFrame(beeps(tracks[2]!, GREEN), after([5, 6, 7]));
    expect(clicksIn(tracks[1]!)).toEqual([]);
  });

  test('lacks what cannot be read, says so, and keeps everybody else', async () => {
    const spoilt = manifest.slices.find(({ uid }) => uid === '4294967295')!;
    writeFileSync(join(dir, spoilt.name), Buffer.alloc(spoilt.bytes, 0x55));
    const tracks = tracksOf((await make())!);
    expect(problems.join()).toContain(spoilt.name);
    expect(beeps(tracks[2]!, GREEN)).toEqual([]);
    expect(beeps(tracks[1]!, BLUE)).toHaveLength(8);
  });

  test('is none where nobody was heard', async () => {
    expect(await make({ slices: manifest.slices.filter(({ trackType }) => trackType === 'video') })).toBeUndefined();
  });
});
