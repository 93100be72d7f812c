/**
 * Cuts a stretch out of a recording's slices: reads them from the last key frame before it, gives every sample its
 * place in the recording, and writes them into one MP4 as they are.
 */
import { type CutCommand, type CutSlice, cutCommandSchema } from '../../contract/line/cut.ts';
import { Fault } from '../../kernel/fault.ts';
import type { StreamUs } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { AAC_BLOCK, AudioEncoder } from '../../stages/codec/audio-encoder.ts';
import { CutMp4 } from '../../stages/mux/mp4/cut-mp4.ts';
import { HoldCutter } from '../../stages/mux/mp4/hold-cutter.ts';
import { probeSlice, readSamples } from '../../stages/mux/read-slices.ts';
import type { AudioStream, Streams } from '../../stages/mux/stream.ts';
import { FirstPictures } from './first-pictures.ts';

/** Slices whose time stamps fit their places this closely go on from each other: their names tell milliseconds. */
const SAME_TIMELINE_US = 50_000;
/** Reading goes on this far beyond the stretch: samples of one kind may lie behind those of the other in a slice. */
const BEYOND_US = 1_000_000;
/** How often it is told how far the work is, microseconds of media. */
const TELL_US = 10_000_000;
/** One frame of 20 ms of silence in stereo: CELT, full band, and nothing in it (RFC 6716 §3.1). */
const OPUS_SILENCE = Buffer.of(0xfc, 0xff, 0xfe);

export type CutOptions = {
  /** How much of the stretch is done, 0 to 1. */
  onProgress?(part: number): void;
};

/**
 * Returns the size of the MP4 in bytes. Throws a Fault, `cut-empty` when the slices hold nothing of the stretch, and a
 * ZodError when the command is invalid.
 */
export async function cutRecording(command: unknown, { onProgress }: CutOptions = {}): Promise<number> {
  const { output, rows, fromUs, toUs, startUtcMs, holds, rotate, coding } = cutCommandSchema.parse(command);
  const { audio, video } = await streamsOf(rows, coding?.fps);
  const first = video && coding && FirstPictures.open({ video, coding, fromUs, toUs });
  const mp4 = new CutMp4({
    ...{ path: output, fromUs, toUs, startUtcMs, audio },
    video: video && { ...video, rotate },
    silence: audio && silenceOf(audio),
  });
  try {
    let toldUs = fromUs;
    for await (const sample of merged(rows.map((row) => placed(row, toUs, holds)))) {
      for (const each of first && sample.kind === 'video' ? await first.take(sample) : [sample]) mp4.write(each);
      if (sample.dtsUs < toldUs + TELL_US) continue;
      toldUs = sample.dtsUs;
      onProgress?.(Math.min(1, (toldUs - fromUs) / (toUs - fromUs)));
    }
    for (const each of (await first?.finish()) ?? []) mp4.write(each);
    if (mp4.isEmpty)
      throw new Fault('cut-empty', 'its slices hold nothing of the stretch', {
        blame: 'caller',
      });
    return await mp4.finish();
  } finally {
    first?.close();
    mp4.close();
  }
}

/**
 * What is in the first slice of each row.
 * @param fps of the picture; without it, it was passed on and has no steady rate, whatever is guessed
 */
async function streamsOf(rows: CutCommand['rows'], fps: number | undefined): Promise<Streams> {
  const all = await Promise.all(rows.map((row) => probeSlice(row[0]!.path)));
  const video = all.find((streams) => streams.video)?.video;
  const audio = all.find((streams) => streams.audio)?.audio;
  if (!video) return { audio };
  const { fps: _, ...unsteady } = video;
  return { video: { ...unsteady, ...(fps !== undefined && { fps }) }, audio };
}

/** A block of silence as the sound of the recording is coded; undefined where none can be made. */
function silenceOf(audio: AudioStream): Pick<EncodedSample, 'data' | 'durationUs'> | undefined {
  if (audio.codec === 'opus') return { data: OPUS_SILENCE, durationUs: 20_000 };
  const encoder = new AudioEncoder({ channels: audio.channels, bitrateKbps: 48 });
  try {
    if (audio.sampleRate !== SOUND_RATE || !encoder.extradata.subarray(0, 2).equals(audio.extradata.subarray(0, 2)))
      return undefined;
    const channels = Array.from({ length: audio.channels }, () => new Float32Array(AAC_BLOCK));
    const encoded: EncodedSample[] = [];
    for (let n = 0; n < 8; n++) encoded.push(...encoder.encode({ channels, samples: AAC_BLOCK }, n * AAC_BLOCK));
    // The first blocks of an encoder may differ from those that follow.
    const last = encoded.at(-1);
    return last && { data: last.data, durationUs: (AAC_BLOCK * 1e6) / SOUND_RATE };
  } finally {
    encoder.close();
  }
}

/**
 * The samples of a row at their places in the recording as it plays, up to a little beyond `toUs`. Slices of one
 * writer go on from each other by their own time stamps; those of another begin where their names say.
 */
async function* placed(row: readonly CutSlice[], toUs: StreamUs, holds: CutCommand['holds']) {
  const cutter = new HoldCutter(holds);
  let offsetUs: number | undefined;
  const isClose = (a: StreamUs, b: StreamUs) => Math.abs(a - b) <= SAME_TIMELINE_US;
  /** Decode times go on in each kind; pictures after one that went back wait for a key frame. */
  const reached = { audio: Number.NEGATIVE_INFINITY, video: Number.NEGATIVE_INFINITY };
  let keyFrameWanted = false;
  for (const { path, placeUs, untilUs = Number.POSITIVE_INFINITY } of row) {
    let isFirst = true;
    for await (const sample of readSamples(path, placeUs - (offsetUs ?? 0))) {
      if (isFirst) {
        const ownUs = placeUs - sample.ptsUs;
        // The first writer counts from where the recording begins.
        if (offsetUs === undefined || !isClose(ownUs, offsetUs)) offsetUs = isClose(ownUs, 0) ? 0 : ownUs;
        isFirst = false;
      }
      const ptsUs = sample.ptsUs + offsetUs!;
      const dtsUs = sample.dtsUs + offsetUs!;
      if (ptsUs >= untilUs) continue;
      const { kind, keyFrame } = sample;
      if (dtsUs <= reached[kind]) {
        keyFrameWanted ||= kind === 'video';
        continue;
      }
      if (kind === 'video' && keyFrameWanted && !keyFrame) continue;
      if (kind === 'video') keyFrameWanted = false;
      reached[kind] = dtsUs;
      const place = cutter.place({ ...sample, ptsUs, dtsUs });
      if (!place) continue;
      if (place.dtsUs > toUs + BEYOND_US) return;
      yield { ...sample, ...place } satisfies EncodedSample;
    }
  }
}

/** All rows in order of decode time. */
async function* merged(rows: AsyncGenerator<EncodedSample>[]): AsyncGenerator<EncodedSample> {
  if (rows.length === 1) {
    yield* rows[0]!;
    return;
  }
  const heads = await Promise.all(rows.map(async (row) => ({ row, next: await row.next() })));
  try {
    for (;;) {
      const open = heads.flatMap((head) => (head.next.done ? [] : [{ head, sample: head.next.value }]));
      const first = open.sort((a, b) => a.sample.dtsUs - b.sample.dtsUs)[0];
      if (!first) return;
      yield first.sample;
      first.head.next = await first.head.row.next();
    }
  } finally {
    for (const { row } of heads) await row.return(undefined);
  }
}
