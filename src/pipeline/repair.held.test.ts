/**
 * The spool of a dead recorder of single users: several streams, each with a slice cut off anywhere.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeAacSamples, makeVideoSamples } from '../../test/support/media/made-samples.ts';
import { SLICES_ZERO_MS, type SliceRun, writeSlices } from '../../test/support/media/user-slices.ts';
import type { FileOwner, Segment } from '../media/segment.ts';
import type { VideoCodec } from '../media/track.ts';
import { Fmp4Container } from '../stages/mux/mp4/fmp4-container.ts';
import { userBaseName } from '../stages/mux/names.ts';
import { readSamples } from '../stages/mux/read-slices.ts';
import { TsContainer } from '../stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../stages/mux/webm/webm-container.ts';
import { Journal, readSpool } from '../stages/spool/journal.ts';
import { repairSpool } from './repair.ts';

const run = promisify(execFile);
const BASE = `${'a'.repeat(32)}_room`;
const SIZE = { width: 320, height: 180 };
const FROM_S = 45;
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-repair-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const shapes = [{ fromS: FROM_S, shape: { ...SIZE, rotate: 0 as const } }];

function pictures(codec: VideoCodec, seconds: number): SliceRun {
  const samples = makeVideoSamples({ codec, ...SIZE, fromS: FROM_S, seconds, gopS: 5, unsteady: true });
  const container = codec === 'h264' ? new TsContainer({ video: SIZE }) : new WebmContainer(codec);
  return { samples, container, codecs: { video: codec }, shapes };
}

function sounds(kind: 'ts' | 'm4s', seconds: number): SliceRun {
  const { samples, config } = makeAacSamples({ fromS: FROM_S, seconds, channels: 1 });
  const stream = { sampleRate: 48_000, channels: 1 as const, extradata: config };
  const container = kind === 'ts' ? new TsContainer({ audio: stream }) : new Fmp4Container(stream);
  return { samples, container, codecs: { audio: 'aac' } };
}

function both(seconds: number): SliceRun {
  const [picture, sound] = [pictures('h264', seconds), makeAacSamples({ fromS: FROM_S, seconds, channels: 1 })];
  const audio = { sampleRate: 48_000, channels: 1 as const, extradata: sound.config };
  const samples = [...picture.samples, ...sound.samples].sort((a, b) => a.dtsUs - b.dtsUs);
  const codecs = { audio: 'aac' as const, video: 'h264' as const };
  return { samples, container: new TsContainer({ video: SIZE, audio }), codecs, shapes };
}

type Stream = { uid: string; type: 'audio' | 'video' | 'av'; run: SliceRun; mpd?: boolean };

/** Writes the stream as the recorder would have, and cuts off its last slice. All others are journalled. */
async function writeTorn({ uid, type, run: sliceRun, mpd }: Stream, share: number): Promise<Segment[]> {
  const baseName = userBaseName(BASE, uid, type);
  const owner: FileOwner = { uid, trackType: type === 'av' ? 'audio_and_video' : type };
  const files = await writeSlices({
    ...{ dir, baseName, owner, runs: [sliceRun] },
    kinds: type === 'av' ? ['video', 'audio'] : [type],
    ...(mpd && { mpd: `${userBaseName(BASE, uid, 'av')}.mpd` }),
  });
  const journal = await Journal.open(dir);
  for (const file of files.slice(0, -1)) await journal.append(file);
  await journal.close();
  const last = join(dir, files.at(-1)!.name);
  const bytes = readFileSync(last);
  rmSync(last);
  writeFileSync(`${last}.part`, bytes.subarray(0, Math.floor(bytes.length * share)));
  return files;
}

async function complaints(name: string): Promise<string> {
  const { stderr } = await run('/usr/bin/ffmpeg', ['-v', 'error', '-i', join(dir, name), '-f', 'null', '-']);
  return stderr;
}

test.each([0.35, 0.8, 0.97])(
  'keeps of every stream what was written, cut off at %f of its last slice',
  async (share) => {
    const streams: Stream[] = [
      { uid: '1', type: 'video', run: pictures('vp8', 25), mpd: true },
      { uid: '1', type: 'audio', run: sounds('ts', 25) },
      { uid: '2', type: 'video', run: pictures('h264', 25) },
      { uid: '2', type: 'av', run: both(25) },
      // Their first slices: nothing in the journal tells of these streams.
      { uid: '3', type: 'video', run: pictures('av1', 12) },
      { uid: '3', type: 'audio', run: sounds('m4s', 12), mpd: true },
    ];
    const wanted: Segment[] = [];
    for (const stream of streams) wanted.push((await writeTorn(stream, share)).at(-1)!);
    const added = await repairSpool(dir, { mp4: { durationMs: 1e9, bytes: 1e12 } });
    expect([...added].sort()).toEqual(wanted.map(({ name }) => name).sort());
    expect(readdirSync(dir).filter((name) => /part|mended|mp4/.test(name))).toEqual([]);
    const { files, problems } = await readSpool(dir);
    expect(problems).toEqual([]);
    for (const whole of wanted) {
      const found = files.find(({ name }) => name === whole.name) as Segment;
      const { index, owner, codecs, startUtcMs, discontinuity, starts } = whole;
      expect(found).toMatchObject({ index, owner, codecs, startUtcMs, discontinuity, starts });
      if (!found.name.endsWith('.m4s')) expect(found.playlist).toBe(whole.playlist);
      if (whole.owner?.uid === '1') expect(found.mpd).toBe(whole.mpd);
      if (whole.owner?.uid === '3') expect(found).toMatchObject({ mpd: `${userBaseName(BASE, '3', 'av')}.mpd` });
      if (whole.owner?.uid === '3') expect(found.rotations).toEqual(whole.rotations);
      if (found.startUs !== undefined)
        expect(Math.abs(found.startUs / 1000 - (startUtcMs - SLICES_ZERO_MS))).toBeLessThan(1);
      // Pictures and sounds are not of one size, so shares of bytes are not shares of time.
      expect(found.durationUs / whole.durationUs, found.name).toBeGreaterThan(share - 0.25);
      expect(found.durationUs).toBeLessThanOrEqual(whole.durationUs + 50_000);
      // A transport stream is left as it is, with half a sound or picture at its end.
      if (!found.name.endsWith('.ts')) expect(await complaints(found.name), found.name).toBe('');
      let count = 0;
      for await (const _ of readSamples(join(dir, found.name))) count++;
      expect(count).toBeGreaterThan(10);
    }
    expect(await repairSpool(dir, { mp4: undefined })).toEqual([]);
  },
);

test('leaves what holds nothing', async () => {
  for (const name of ['video_20260102030450678.webm', 'audio_20260102030450678.ts', 'audio_20260102030450678.m4s'])
    for (const [uid, bytes] of [
      ['1', 0],
      ['2', 30],
    ] as const)
      writeFileSync(join(dir, `${BASE}__uid_s_${uid}__uid_e_${name}.part`), Buffer.alloc(bytes, 7));
  writeFileSync(join(dir, `${BASE}_nothing.ts.part`), 'x');
  expect(await repairSpool(dir, { mp4: undefined })).toEqual([]);
  expect(readdirSync(dir).filter((name) => name.endsWith('.part')).length).toBe(7);
});
