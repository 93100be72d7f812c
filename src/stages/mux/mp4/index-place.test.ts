/**
 * Where the index of an MP4 comes to lie, and what that costs when the file ends: judged by the bytes that are written.
 */
import { mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type MadeSamples, makeAudio, makeVideo } from '../../../../test/support/encoded-samples.ts';
import { readBoxes } from '../../../../test/support/judge/probe.ts';
import { readMedia } from '../../../../test/support/judge/read-media.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { FileLimit } from '../cut.ts';
import { placeIndex } from './index-place.ts';
import { Mp4Files } from './mp4-files.ts';

const FPS = 30;
const SIZE = { width: 160, height: 90 };
const SOUND_US = 1024e6 / 48_000;
let picture: MadeSamples;
let sound: MadeSamples;
let dir: string;

beforeAll(async () => {
  picture = await makeVideo({ seconds: 1, ...SIZE, fps: FPS, keyIntervalFrames: FPS, bFrames: 0 });
  sound = await makeAudio({ seconds: 1, channels: 2 });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-index-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Pictures whose bytes say which they are, each followed by the sound up to the next. */
function* samplesOf(seconds: number, pictureBytes: number): Generator<EncodedSample> {
  const key = picture.samples[0]!.data;
  let sounds = 0;
  for (let n = 0; n < seconds * FPS; n++) {
    const atUs = Math.round((n * 1e6) / FPS);
    const data = Buffer.alloc(pictureBytes, 0x55);
    data.writeUInt32BE(1, 0);
    data.writeUInt8(0x41, 4);
    data.writeUInt32BE(n + 0x01010101, 5);
    const isKey = n % FPS === 0;
    const times = { ptsUs: atUs, dtsUs: atUs, durationUs: Math.round(1e6 / FPS) };
    yield { kind: 'video', ...times, keyFrame: isKey, data: isKey ? Buffer.concat([key, data]) : data };
    for (; sounds * SOUND_US <= atUs; sounds++) {
      const ptsUs = Math.round(sounds * SOUND_US);
      const { data } = sound.samples[sounds % sound.samples.length]!;
      yield { kind: 'audio', ptsUs, dtsUs: ptsUs, durationUs: 21_333, keyFrame: true, data };
    }
  }
}

/** Bytes that this process has had written so far. */
const writtenBytes = () => Number(/wchar: (\d+)/.exec(readFileSync('/proc/self/io', 'latin1'))?.[1]);

async function record(seconds: number, pictureBytes: number, limit: FileLimit) {
  const streams = {
    video: { ...SIZE, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 2 as const, extradata: sound.extradata },
  };
  const files = new Mp4Files({ dir, baseName: 'x', zeroUtcMs: 0, limit, endsSoon: true, ...streams, onFile: () => {} });
  const sent = { video: 0, audio: 0 };
  for (const sample of samplesOf(seconds, pictureBytes)) {
    files.write(sample);
    sent[sample.kind]++;
  }
  const before = writtenBytes();
  await files.finish();
  return { path: join(dir, 'x_0.mp4'), sent, writtenAtEnd: writtenBytes() - before };
}

/** Every picture holds its own number, and sound is what was sent, each as often as it was sent. */
function judge(path: string, sent: { video: number; audio: number }): void {
  const found = { video: 0, audio: 0 };
  const media = readFileSync(path);
  readMedia(path, { onPacket: ({ kind }) => found[kind]++ });
  expect(found).toEqual(sent);
  // Each picture ends in what `samplesOf` made, behind a length of four bytes.
  let at = 0;
  for (let n = 0; n < sent.video; n++) {
    const wanted = Buffer.alloc(5);
    wanted.writeUInt8(0x41, 0);
    wanted.writeUInt32BE(n + 0x01010101, 1);
    at = media.indexOf(wanted, at + 1);
    expect(at, `picture ${n}`).toBeGreaterThan(0);
  }
}

const typesOf = (path: string) => readBoxes(path).map(({ type }) => type);

test('a long file is not written again when it ends', async () => {
  const limit = { durationMs: 60_000, bytes: 1e9 };
  const { path, sent, writtenAtEnd } = await record(59, 20_000, limit);
  expect(typesOf(path)).toEqual(['ftyp', 'moov', 'free', 'free', 'mdat']);
  const { size } = statSync(path);
  expect(size).toBeGreaterThan(30e6);
  expect(writtenAtEnd).toBeLessThan(size / 20);
  const room = readBoxes(path).filter(({ type }) => type === 'free');
  expect(room[0]!.bytes).toBeLessThan(size / 50);
  judge(path, sent);
});

test('a short file has no room left in it', async () => {
  const { path, sent } = await record(20, 500, { durationMs: 7_200_000, bytes: 2e9 });
  expect(typesOf(path)).toEqual(['ftyp', 'moov', 'free', 'mdat']);
  expect(readBoxes(path)[2]!.bytes).toBe(8);
  judge(path, sent);
});

test('an index that outgrows its room, or has none, stands in front nevertheless', async () => {
  // The file ends at a key frame, which never comes.
  const endless = { durationMs: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY };
  for (const limit of [{ durationMs: 1, bytes: 1e12 }, endless]) {
    const { path, sent } = await record(limit === endless ? 40 : 1, 2000, limit);
    expect(typesOf(path)).toEqual(['ftyp', 'moov', 'free', 'mdat']);
    judge(path, sent);
  }
});

describe('files made for this', () => {
  const box = (type: string, ...parts: Buffer[]): Buffer => {
    const body = Buffer.concat(parts);
    const head = Buffer.alloc(8);
    head.writeUInt32BE(8 + body.length, 0);
    head.write(type, 4, 'latin1');
    return Buffer.concat([head, body]);
  };
  const tableOf = (type: 'stco' | 'co64', place: number): Buffer => {
    const body = Buffer.alloc(type === 'stco' ? 12 : 16);
    body.writeUInt32BE(1, 4);
    if (type === 'stco') body.writeUInt32BE(place, 8);
    else body.writeBigUInt64BE(BigInt(place), 8);
    return box(type, body);
  };
  const indexOf = (table: Buffer) => box('moov', box('trak', box('mdia', box('minf', box('stbl', table)))));
  const type = box('ftyp', Buffer.from('isom'));

  test('long places of media are moved too', async () => {
    const path = join(dir, 'x.mp4');
    const media = box('mdat', Buffer.from('picture'));
    writeFileSync(path, Buffer.concat([type, media, indexOf(tableOf('co64', type.length + 8))]));
    await placeIndex(path, 0);
    expect(typesOf(path)).toEqual(['ftyp', 'moov', 'mdat']);
    const file = readFileSync(path);
    const place = Number(file.readBigUInt64BE(file.indexOf('co64') + 12));
    expect(file.toString('latin1', place, place + 7)).toBe('picture');
  });

  test('an index that cannot say where moved media would be stays behind it', async () => {
    const path = join(dir, 'x.mp4');
    const head = Buffer.alloc(16);
    head.writeUInt32BE(1, 0);
    head.write('mdat', 4, 'latin1');
    head.writeBigUInt64BE(BigInt(2 ** 32 + 100), 8);
    writeFileSync(path, Buffer.concat([type, head]));
    // A file with a hole: it takes no room.
    truncateSync(path, type.length + 2 ** 32 + 100);
    writeFileSync(path, indexOf(tableOf('stco', 2 ** 32 - 10)), { flag: 'a' });
    await placeIndex(path, 0);
    expect(typesOf(path)).toEqual(['ftyp', 'mdat', 'moov']);
  });

  test('what is no MP4, or torn, is refused', async () => {
    const path = join(dir, 'x.mp4');
    for (const torn of [type, Buffer.concat([type, Buffer.alloc(9, 9)]), Buffer.from('abc')]) {
      writeFileSync(path, torn);
      await expect(placeIndex(path, 0)).rejects.toMatchObject({ code: 'mux-failed' });
    }
  });
});
