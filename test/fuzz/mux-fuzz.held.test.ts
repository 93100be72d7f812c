/**
 * Legal sequences of samples, odd ones among them, through every container and through all that is made of one user's
 * streams: nothing is refused, nothing is missing, no name is there twice, and the files can be read.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Sound } from '../../src/media/frame.ts';
import type { EncodedSample } from '../../src/media/sample.ts';
import type { Segment, Snapshot, WholeFile } from '../../src/media/segment.ts';
import type { Track, VideoCodec } from '../../src/media/track.ts';
import type { PlacedSample } from '../../src/pipeline/individual/due-samples.ts';
import { UserFiles } from '../../src/pipeline/individual/user-files.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { aacConfig } from '../../src/stages/mux/bitstream.ts';
import { Fmp4Container } from '../../src/stages/mux/mp4/fmp4-container.ts';
import { Mp4Files } from '../../src/stages/mux/mp4/mp4-files.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import type { SliceContainer } from '../../src/stages/mux/slice-container.ts';
import { Slices } from '../../src/stages/mux/slices.ts';
import { TsContainer } from '../../src/stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../../src/stages/mux/webm/webm-container.ts';
import { type Encoded, VideoEncoder } from '../support/media/encode.ts';
import { MadePicture } from '../support/media/made-media.ts';
import { RED } from '../support/media/participants.ts';
import { individualPlanOf } from '../support/scripted-recording.ts';

const US = 1_000_000;
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const CODECS = ['h264', 'vp8', 'vp9', 'av1'] as const;
const SIZES = [
  { width: 64, height: 64 },
  { width: 128, height: 64 },
];
/** Groups of this many pictures, of each codec and size. */
const GROUP = 8;
const AAC_SILENCE = Buffer.from(
  '01402280a37ff8852d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2d2dbc',
  'hex',
);

const groups = new Map<string, Encoded[]>();
beforeAll(() => {
  for (const codec of CODECS)
    for (const [n, size] of SIZES.entries()) {
      const encoder = new VideoEncoder({ codec, ...size, fps: 10, bitrateKbps: 50, gopFrames: 1000 });
      const picture = new MadePicture(RED, { ...size, flash: false });
      const units: Encoded[] = [];
      for (let frame = 0; units.length < GROUP; frame++) {
        picture.draw(3600 * US + (frame * US) / 10);
        units.push(...encoder.encode(picture.i420, frame));
      }
      encoder.close();
      groups.set(`${codec} ${n}`, units);
    }
});
afterAll(() => expect(liveFrames()).toBe(0));

let dir: string;
let lost: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mux-fuzz-'));
  lost = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** From one sample to the next, microseconds: a burst, a steady rate, slides, and around the 15 s that end a stream. */
const step = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(33_333, 100_000, 1000) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 2 * US }) },
  { weight: 3, arbitrary: fc.constantFrom(5 * US, 14_999_000, 15 * US, 17 * US, 40 * US) },
);
/** Of what the next picture is: the next of its group, a new group, or one of another size. */
const picture = fc.record({
  kind: fc.constant('picture' as const),
  step,
  what: fc.oneof({ weight: 5, arbitrary: fc.constant('next') }, fc.constantFrom('key', 'resized')),
});
/** Opus: an ordinary packet, and one or two frames of nothing in every configuration; sound that is as long. */
const packet = fc.record({
  kind: fc.constant('packet' as const),
  step: fc.oneof({ weight: 5, arbitrary: fc.constantFrom(20_000, 60_000, 400_000) }, step),
  bytes: fc.oneof(
    fc.constant(Buffer.from('fcfffe0102030405', 'hex')),
    fc
      .tuple(fc.integer({ min: 0, max: 31 }), fc.constantFrom(0, 4), fc.constantFrom(0, 1))
      .map(([config, stereo, code]) => Buffer.of((config << 3) | stereo | code)),
  ),
});
const arrivals = fc.array(fc.oneof(picture, packet), { minLength: 1, maxLength: 60 });

type Script = typeof arrivals extends fc.Arbitrary<infer T> ? T : never;
type Sent = { atUs: number; data: Buffer; keyFrame: boolean; isPicture: boolean };

/** What a script of steps sends: times from zero, each kind at its own pace, in one order. */
function sentOf(script: Readonly<Script>, codec: VideoCodec): Sent[] {
  const at = { picture: 0, packet: 0 };
  let [size, next] = [0, 0];
  const sent: Sent[] = [];
  for (const entry of script) {
    at[entry.kind] += entry.step;
    const atUs = at[entry.kind];
    if (entry.kind === 'packet') {
      sent.push({ atUs, data: entry.bytes, keyFrame: true, isPicture: false });
      continue;
    }
    if (entry.what === 'resized') size = 1 - size;
    if (entry.what !== 'next' || next >= GROUP) next = 0;
    const unit = groups.get(`${codec} ${size}`)![next++]!;
    sent.push({ atUs, data: unit.data, keyFrame: unit.keyFrame, isPicture: true });
  }
  return sent.sort((a, b) => a.atUs - b.atUs);
}

const isBad = (problems: string[]) => expect(problems).toEqual([]);

async function samplesIn(names: readonly { name: string }[]) {
  const samples = [];
  for (const { name } of names)
    for await (const sample of readSamples(join(dir, name), 0)) samples.push({ ...sample, name });
  return samples;
}

/** Sound of a moment waits for a picture; a picture that goes on comes, and then one that begins other slices. */
const LONE_SOUND: Script = [
  { kind: 'picture', step: 5 * US, what: 'key' },
  { kind: 'packet', step: 40 * US, bytes: Buffer.from('fcfffe0102030405', 'hex') },
  { kind: 'picture', step: 40 * US, what: 'next' },
  { kind: 'picture', step: 33_333, what: 'resized' },
  { kind: 'picture', step: 5 * US, what: 'key' },
];

describe('all that is made of one user', () => {
  const cases = (['default', 'standard', 'original'] as const).flatMap((streamMode) =>
    CODECS.map((codec) => [streamMode, codec] as const),
  );

  test.each(cases)('%s, %s: every picture and packet lies in the files', async (streamMode, codec) => {
    await fc.assert(
      fc.asyncProperty(arrivals, async (script) => {
        const sent = sentOf(script, codec);
        const { files, problems } = await recordUser(sent, streamMode, codec);
        isBad(problems);
        const slices = files.filter((file): file is Segment => file.type === 'slice');
        expect(new Set(files.map(({ name }) => name)).size).toBe(files.length);
        const rows = Map.groupBy(slices, ({ playlist }) => playlist);
        for (const row of rows.values()) expect(row.map(({ index }) => index)).toEqual(row.map((_, n) => n));
        const pictures = sent.filter(({ isPicture }) => isPicture);
        const video = slices.filter(({ owner }) => owner?.trackType === 'video');
        const inVideo = (await samplesIn(video)).filter(({ kind }) => kind === 'video');
        expect(inVideo.length).toBe(streamMode === 'original' ? 0 : pictures.length);
        // Each file begins with what can be decoded.
        for (const { name } of video) expect(inVideo.find((sample) => sample.name === name)?.keyFrame).toBe(true);
        if (streamMode === 'original') {
          const packets = sent.filter(({ isPicture }) => !isPicture);
          const passed = (await samplesIn(slices)).filter(({ kind }) => kind === 'audio');
          expect(passed.length).toBe(packets.length);
        }
        if (streamMode !== 'standard' || codec !== 'h264') return;
        const merged = slices.filter(
          ({ owner, name }) => owner?.trackType === 'audio_and_video' && name.endsWith('.ts'),
        );
        const shown = (await samplesIn(merged)).filter(({ kind }) => kind === 'video');
        expect(shown.length).toBeGreaterThanOrEqual(pictures.length);
        // None lies in another, but for sound that was still in its encoder when a new run began.
        const inOrder = merged.toSorted((a, b) => a.index - b.index);
        for (const [n, slice] of inOrder.entries())
          if (n > 0) {
            const before = inOrder[n - 1]!;
            expect(slice.startUtcMs).toBeGreaterThanOrEqual(before.startUtcMs + before.durationUs / 1000 - 1000);
          }
      }),
      { numRuns: 25, examples: [[LONE_SOUND]] },
    );
  });

  async function recordUser(sent: Sent[], streamMode: 'default' | 'standard' | 'original', codec: VideoCodec) {
    const files: (Segment | Snapshot)[] = [];
    const problems: string[] = [];
    const format = { payloadType: 96, fmtp: '' };
    const camera: Track = { track: 1, uid: '1', format: { kind: 'video', codec, clockRate: 90_000, ...format } };
    const microphone: Track = {
      track: 2,
      uid: '1',
      format: { kind: 'audio', codec: 'opus', clockRate: 48_000, channels: 2, ...format },
    };
    const isOriginal = streamMode === 'original';
    const hasSound = sent.some(({ isPicture }) => !isPicture);
    const user = new UserFiles({
      uid: '1',
      plan: individualPlanOf({
        streamMode,
        records: { audio: true, video: !isOriginal },
        ...(!isOriginal && { snapshots: { intervalMs: 5000 } }),
      }),
      sink: {
        dir,
        baseName: 'x',
        zeroUtcMs: ZERO,
        onSliceStart() {},
        onFile: async (file) => void files.push(file),
        // Time goes faster here than a disk can take pictures.
        onLost: (_uid, what) => void (/in time$/.test(what) || problems.push(what)),
      },
      tracks: () => [...(isOriginal ? [] : [camera]), ...(hasSound ? [microphone] : [])],
    });
    let nowUs = 0;
    for (const { atUs, data, keyFrame, isPicture } of sent) {
      // Steps lie closer together than the longest pause that ends a stream.
      for (; nowUs + US < atUs; nowUs += US) user.step(nowUs);
      const times = { ptsUs: atUs, dtsUs: atUs, rtpTime: 0, afterLoss: false, arrivalUs: atUs };
      const sample: PlacedSample = { data, keyFrame, ...times };
      if (isPicture && !isOriginal) user.takePicture(camera, sample);
      else if (isOriginal && !isPicture) user.passSound(microphone, sample);
      else if (!isPicture) user.takeSound(microphone, Math.round((atUs * 48) / 1000), soundOf(960));
      user.wantsKeyFrame(camera, atUs);
    }
    user.step(nowUs + 2 * US);
    await user.finish();
    await user.close();
    return { files, problems };
  }
});

function soundOf(samples: number): Sound {
  return { sampleRate: 48_000, samples, channels: [new Float32Array(samples).fill(0.1)] } as Sound;
}

describe('containers', () => {
  const containers: [string, 'video' | 'audio', () => SliceContainer, VideoCodec?][] = [
    ['MPEG-TS with pictures', 'video', () => new TsContainer({ video: SIZES[0] }), 'h264'],
    ...(['vp8', 'vp9', 'av1'] as const).map((codec): [string, 'video', () => SliceContainer, VideoCodec] => [
      `WebM of ${codec}`,
      'video',
      () => new WebmContainer(codec),
      codec,
    ]),
    [
      'MPEG-TS with Opus',
      'audio',
      () => new TsContainer({ audio: { codec: 'opus', sampleRate: 48_000, channels: 2 } }),
    ],
    ['fragmented MP4', 'audio', () => new Fmp4Container({ sampleRate: 48_000, channels: 1, extradata: aacConfig(1) })],
  ];
  /** How long a sample says that it lasts: nothing, its step, an hour. */
  const durations = fc.array(fc.constantFrom(0, 1, 20_000, 3600 * US), { minLength: 1, maxLength: 60 });
  const samplesOf = (sent: Sent[], kind: 'video' | 'audio', lengths: number[], isAac: boolean) => {
    let atUs = -1;
    return sent.flatMap((one, n): EncodedSample[] => {
      if (one.isPicture !== (kind === 'video')) return [];
      atUs = Math.max(one.atUs, atUs + 1000);
      const at = { ptsUs: atUs, dtsUs: atUs, durationUs: lengths[n % lengths.length]! };
      return [{ kind, ...at, keyFrame: one.keyFrame, data: isAac ? AAC_SILENCE : one.data }];
    });
  };

  test.each(containers)('%s takes all of it', async (_what, kind, open, codec) => {
    await fc.assert(
      fc.asyncProperty(arrivals, durations, async (script, lengths) => {
        const files: Segment[] = [];
        const sent = sentOf(script, codec ?? 'h264').filter(({ isPicture }) => isPicture || kind === 'audio');
        const samples = samplesOf(sent, kind, lengths, open().extension === 'm4s').map((sample) => sample);
        const slices = new Slices(
          {
            ...{ dir, baseName: 'x', zeroUtcMs: ZERO, kinds: [kind], shape: { ...SIZES[0]!, rotate: 0 } },
            onFile: (file) => void files.push(file),
            onLost: (what) => void lost.push(what),
          },
          open,
        );
        for (const sample of samples) slices.write(sample);
        await slices.finish();
        isBad(lost);
        const read = (await samplesIn(files)).filter((sample) => sample.kind === kind);
        expect(read.map(({ data }) => data.length > 0)).toEqual(samples.map(() => true));
        for (const { name } of files) rmSync(join(dir, name));
      }),
      { numRuns: 40 },
    );
  });

  test('MP4 takes all of it', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, durations, async (script, lengths) => {
        const files: WholeFile[] = [];
        const sent = sentOf(script, 'h264');
        const pictures = samplesOf(sent, 'video', lengths, false);
        const sounds = samplesOf(sent, 'audio', lengths, true);
        const mp4 = new Mp4Files({
          ...{ dir, baseName: 'x', zeroUtcMs: ZERO, video: SIZES[0] },
          audio: { sampleRate: 48_000, channels: 1, extradata: aacConfig(1) },
          limit: { durationMs: 60_000, bytes: 1e9 },
          onFile: (file) => void files.push(file),
          onLost: (what) => void lost.push(what),
        });
        for (const sample of [...pictures, ...sounds].sort((a, b) => a.dtsUs - b.dtsUs)) mp4.write(sample);
        await mp4.finish();
        isBad(lost);
        expect(files.length).toBeGreaterThan(0);
        for (const { name } of files) rmSync(join(dir, name));
      }),
      { numRuns: 40 },
    );
  });
});
