/**
 * What is made of an individual recording once it is over, also where its recorder did not live to say so.
 */
import { copyFileSync, linkSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { manifestSchema } from '../../src/contract/line/manifest.ts';
import { qualityReportSchema } from '../../src/contract/line/quality-report.ts';
import type { Segment, SpooledFile } from '../../src/media/segment.ts';
import { completeSpool } from '../../src/pipeline/complete.ts';
import { ATTENDANCE_NAME, Attendance, readAttendance } from '../../src/pipeline/individual/attendance.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { sliceName } from '../../src/stages/mux/names.ts';
import { JOURNAL_NAME, Journal, readSpool } from '../../src/stages/spool/journal.ts';
import { hear, onSeconds, see } from '../support/judge/user-streams.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, type Made, record, SID } from '../support/scripted-recording.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-complete-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const EXTRAS = { mp4: true, speakers: true, manifest: true };
const WORK = { extras: { sid: SID, cname: 'room', ...EXTRAS } };
const MP4S = [`${BASE}__uid_s_1__uid_e_av_0.mp4`, `${BASE}__uid_s_2__uid_e_av_0.mp4`] as const;
const SPEAKERS = `${BASE}_speakers.mka`;
const MANIFEST = `${BASE}_manifest.json`;
const USERS: ScriptedUser[] = [
  { uid: '1', participant: RED, fromS: -1, toS: 60 },
  { uid: '2', participant: GREEN, codec: 'vp8', fromS: 2.5, toS: 6.5 },
];
const recorded = (): Promise<Made> => record(dir, USERS, individualPlanOf({ extras: EXTRAS }), 8.5);
const seconds = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('after an individual recording', () => {
  test.each(['ended as it should', 'lost its recorder'])(
    'that %s, each user has an MP4 and all files have a place',
    async (how) => {
      const made = await recorded();
      if (how === 'lost its recorder') {
        const path = join(made.dir, ATTENDANCE_NAME);
        writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), endUs: null }));
      }
      expect((await completeSpool(made.dir, WORK)).sort()).toEqual([...MP4S, SPEAKERS, MANIFEST].sort());
      // Marks of the first are on its own seconds; the second begins at 2.5 s, and so do its own.
      expect(onSeconds(see(join(made.dir, MP4S[0]), RED).flashes).seconds.filter((s) => s > 0)).toEqual(seconds(1, 9));
      const late = see(join(made.dir, MP4S[1]), GREEN).flashes;
      expect(late).toHaveLength(4);
      expect(hear(join(made.dir, MP4S[1]), GREEN).beeps).toHaveLength(4);
      const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(made.dir, MANIFEST), 'utf8')));
      const [first, second] = manifest.users;
      expect(manifest.endUs / 1e6).toBeCloseTo(8.5, 1);
      expect(first).toMatchObject({ uid: '1', stays: [{ leftUs: manifest.endUs }] });
      expect(second?.uid).toBe('2');
      expect((second?.stays[0]?.joinedUs ?? 0) / 1e6).toBeCloseTo(2.5, 1);
      expect((second?.stays[0]?.leftUs ?? 0) / 1e6).toBeCloseTo(6.5, 1);
      expect(manifest.speakers).toMatchObject({ name: SPEAKERS, startUs: 0, uids: ['1', '2'] });
      const spoken = hear(join(made.dir, SPEAKERS), RED).beeps;
      expect(onSeconds(spoken).seconds.filter((s) => s > 0)).toEqual(seconds(1, 9));
      expect(manifest.mp4s.map(({ name }) => name).sort()).toEqual([...MP4S]);
      // All of it is in the journal, and nothing is made twice.
      const { files, problems } = await readSpool(made.dir);
      expect(problems).toEqual([]);
      expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining([...MP4S, SPEAKERS, MANIFEST]));
      expect(await completeSpool(made.dir, WORK)).toEqual([]);
    },
  );

  test('a file of all speakers that a crash left half or unnoted is made again', async () => {
    const records = { audio: true, video: false };
    const made = await record(dir, USERS.slice(0, 1), individualPlanOf({ records, extras: EXTRAS }), 3.5);
    // A run's folder has links to what the run before it left.
    const before = join(dir, 'of the run before');
    writeFileSync(before, 'half');
    linkSync(before, join(made.dir, `${SPEAKERS}.part`));
    writeFileSync(join(made.dir, SPEAKERS), 'not noted');
    const work = { extras: { ...WORK.extras, mp4: false, manifest: false } };
    expect(await completeSpool(made.dir, work)).toEqual([SPEAKERS]);
    const { beeps } = hear(join(made.dir, SPEAKERS), RED);
    expect(onSeconds(beeps).seconds.filter((s) => s > 0)).toEqual(seconds(1, 4));
    expect((await readSpool(made.dir)).leftovers).toEqual([]);
    expect(readFileSync(before, 'utf8')).toBe('half');
  });

  test('the second MP4 of a user whose codec changed is made after a crash between the two', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -1, toS: 3 },
      { uid: '1', participant: RED, codec: 'vp9', fromS: 3.5, toS: 60 },
    ];
    const made = await record(dir, users, individualPlanOf({ extras: EXTRAS }), 7.5);
    const work = { extras: { ...WORK.extras, speakers: false, manifest: false } };
    const [first, second] = [MP4S[0], MP4S[0].replace('_0.mp4', '_1.mp4')];
    expect(await completeSpool(made.dir, work)).toEqual([first, second]);
    const marks = see(join(made.dir, second), RED).flashes;
    expect(marks.length).toBeGreaterThanOrEqual(3);
    const journal = join(made.dir, JOURNAL_NAME);
    const lines = readFileSync(journal, 'utf8').split('\n');
    writeFileSync(journal, lines.filter((line) => !line.includes(second)).join('\n'));
    rmSync(join(made.dir, second));
    expect(await completeSpool(made.dir, work)).toEqual([second]);
    expect(see(join(made.dir, second), RED).flashes).toEqual(marks);
    expect((await readSpool(made.dir)).problems).toEqual([]);
  });

  test('a file that cannot be read costs its own user the MP4, and is told of', async () => {
    const made = await recorded();
    // Of sound, which the file of all speakers lacks then, too; which file is noted first is left to chance.
    const spoilt = made.files.find(
      (file) => file.type === 'slice' && file.owner?.uid === '1' && file.owner.trackType === 'audio',
    );
    const path = join(made.dir, spoilt?.name ?? '');
    writeFileSync(path, Buffer.alloc(readFileSync(path).length, 0x55));
    await expect(completeSpool(made.dir, WORK)).rejects.toThrow();
    const names = (await readSpool(made.dir)).files.map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([MP4S[1], MANIFEST]));
    expect(names).not.toContain(MP4S[0]);
    // The file of all speakers is there, and the report says what it lacks.
    expect(names).toContain(SPEAKERS);
    const report = qualityReportSchema.parse(JSON.parse(readFileSync(join(made.dir, `${BASE}_report.json`), 'utf8')));
    expect(report.degraded.map(({ what }) => what).join()).toContain(spoilt?.name);
  });

  test('samples that no MP4 takes are left out of it, and the report says so', async () => {
    const made = await recorded();
    const isPicture = (file: SpooledFile): file is Segment =>
      file.type === 'slice' && file.owner?.uid === '1' && file.owner.trackType === 'video';
    const slice = made.files.find(isPicture)!;
    // What is told again as later media goes back in time.
    const startUtcMs = slice.startUtcMs + 8000;
    const name = sliceName(`${BASE}__uid_s_1__uid_e_video`, startUtcMs);
    copyFileSync(join(made.dir, slice.name), join(made.dir, name));
    const journal = await Journal.open(made.dir);
    await journal.append({ ...slice, name, index: slice.index + 1, startUtcMs });
    await journal.close();
    await completeSpool(made.dir, WORK);
    const { files, problems } = await readSpool(made.dir);
    expect(problems).toEqual([]);
    expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining([...MP4S, MANIFEST]));
    expect(onSeconds(see(join(made.dir, MP4S[0]), RED).flashes).seconds.filter((s) => s > 0)).toEqual(seconds(1, 9));
    const report = qualityReportSchema.parse(JSON.parse(readFileSync(join(made.dir, `${BASE}_report.json`), 'utf8')));
    expect(report.degraded).toContainEqual({
      atMs: report.endedMs,
      what: expect.stringMatching(/^writing to .*_av_0\.mp4: FFmpeg refused a sample/),
      count: expect.any(Number),
    });
  });

  test('who was there is kept as people come and go, and what is damaged is refused', async () => {
    const attendance = new Attendance(dir, 1000);
    attendance.onEvent({ type: 'userJoined', uid: '1' }, 5);
    attendance.onEvent({ type: 'userJoined', uid: '1' }, 6);
    attendance.onEvent({ type: 'userLeft', uid: '1' }, 9);
    attendance.onEvent({ type: 'userJoined', uid: '1' }, 12);
    await attendance.finish(20);
    const stays = [
      { uid: '1', joinedUs: 5, leftUs: 9 },
      { uid: '1', joinedUs: 12, leftUs: null },
    ];
    expect(await readAttendance(dir)).toEqual({ zeroUtcMs: 1000, endUs: 20, stays });
    writeFileSync(join(dir, ATTENDANCE_NAME), '{"zeroUtcMs":');
    await expect(readAttendance(dir)).rejects.toMatchObject({ code: 'attendance-unreadable' });
  });
});
