/**
 * Makes the MP4 of one user from the slices of a recording of single users, without transcoding. What is missing in the
 * slices is missing in the MP4: every sample keeps its place after the user's first, but for holds, which are cut out.
 */
import { join } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import type { RotateEvent, Segment, WholeFile } from '../../../media/segment.ts';
import type { VideoCodec } from '../../../media/track.ts';
import { probeSlice, readSamples, type SliceSample } from '../read-slices.ts';
import type { Streams, VideoStream } from '../stream.ts';
import { type Hold, HoldCutter } from './hold-cutter.ts';
import { Mp4Files } from './mp4-files.ts';

export type UserMp4Options = {
  /** The spool folder, where the slices are and the MP4 goes. */
  dir: string;
  /** Of the files' names. */
  baseName: string;
  uid: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** When the recording was on hold, in order, microseconds of it. */
  holds?: readonly Hold[];
  /** The user's slices of single kinds, in any order; others of the user are passed over. */
  slices: readonly Segment[];
  /** The muxer refused a sample, in words: it is left out, and pictures up to the next key frame. */
  onRefused?: ((what: string) => void) | undefined;
  /** A file lies finished and synced on the spool. Called in order, the next call only after this one has resolved. */
  onFile?(file: WholeFile): Promise<void> | void;
};

/** Codecs that MP4 has and players of MP4 take. VP8 must be transcoded. */
const MP4_CODECS = new Set(['h264', 'vp9', 'av1', 'aac', 'opus']);

/** How many files `makeUserMp4` makes of these slices, where it has samples of each form; 1 where it refuses them. */
export function countUserMp4s(slices: readonly Segment[]): number {
  const forms = [...formsOf(inOrder(slices)).values()];
  if (forms.some(({ codec }) => !MP4_CODECS.has(codec))) return 1;
  return 1 + forms.filter((form, n) => n > 0 && !isSame(form, forms[n - 1])).length;
}

/** What an MP4 has one of: its pictures' codec, and how players turn them (anticlockwise degrees). */
type Form = { codec: VideoCodec; rotate: RotateEvent['rotate'] };

function isSame(a: Form, b: Form | undefined): boolean {
  return a.codec === b?.codec && a.rotate === b.rotate;
}

/** Of each slice of pictures: how its first one is coded and turned. */
function formsOf(ordered: readonly Segment[]): Map<Segment, Form> {
  const forms = new Map<Segment, Form>();
  let rotate: RotateEvent['rotate'] = 0;
  for (const slice of ordered) {
    const codec = slice.codecs?.video;
    if (!codec) continue;
    const [first] = slice.rotations;
    if (first && first.utcMs <= slice.startUtcMs + 1) rotate = first.rotate;
    forms.set(slice, { codec, rotate });
    // One that was turned between two key frames stands so in the next slice.
    rotate = slice.rotations.at(-1)?.rotate ?? rotate;
  }
  return forms;
}

/**
 * Writes `<baseName>_0.mp4` and returns what was written: one file, and one more with the first key frame after each
 * change of the picture's codec or turn, of which an MP4 has one. Throws a Fault with code `mp4-codec` when a slice's
 * codec does not belong into an MP4, before anything is written, and another when a slice cannot be read.
 */
export async function makeUserMp4(options: UserMp4Options): Promise<WholeFile[]> {
  const { dir, baseName, uid, zeroUtcMs } = options;
  const ordered = inOrder(options.slices);
  const pictures = ordered.filter(({ codecs }) => codecs?.video !== undefined);
  const sounds = ordered.filter(({ codecs }) => codecs?.video === undefined);
  for (const { name, codecs } of ordered)
    if (!MP4_CODECS.has(codecs?.video ?? codecs?.audio ?? ''))
      throw new Fault('mp4-codec', `${name} cannot go into an MP4 as it is`, { blame: 'self' });
  const audio = sounds[0] && (await probeSlice(join(dir, sounds[0].name))).audio;
  const made: WholeFile[] = [];
  const begin = (video: VideoStream | undefined) =>
    new Mp4Files({
      ...{ dir, baseName, zeroUtcMs, audio, firstIndex: made.length },
      video: video && unsteady(video),
      onRefused: options.onRefused,
      limit: { durationMs: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY },
      async onFile(written) {
        const file: WholeFile = { ...written, owner: { uid, trackType: trackTypeOf({ video, audio }) } };
        made.push(file);
        await options.onFile?.(file);
      },
    });
  const read = (rows: Segment[]) => withoutHolds(samplesOf(dir, rows, zeroUtcMs), options.holds ?? []);
  const forms = formsOf(pictures);
  const streamOf = async (slice: Segment): Promise<VideoStream | undefined> => {
    const { video } = await probeSlice(join(dir, slice.name));
    return video && { ...video, rotate: forms.get(slice)?.rotate };
  };
  const firstPicture = pictures[0];
  let form = firstPicture && forms.get(firstPicture);
  let video = firstPicture && (await streamOf(firstPicture));
  if (!video && !audio) return [];
  let mp4 = begin(video);
  try {
    for await (const { sample, slice } of merged(read(pictures), read(sounds))) {
      const next = forms.get(slice);
      if (sample.kind === 'video' && sample.keyFrame && next && !isSame(next, form)) {
        await mp4.finish();
        form = next;
        video = await streamOf(slice);
        mp4 = begin(video);
      }
      mp4.write(sample);
    }
    await mp4.finish();
  } finally {
    mp4.close();
  }
  return made;
}

/** Those of one kind, which the MP4 is made from. */
function inOrder(slices: readonly Segment[]): Segment[] {
  return slices
    .filter(({ name, owner }) => owner?.trackType !== 'audio_and_video' && !name.endsWith('.m4s'))
    .sort((a, b) => a.startUtcMs - b.startUtcMs);
}

/** What was passed on has no steady rate, whatever a reader takes it for. */
function unsteady({ fps: _, ...video }: VideoStream): VideoStream {
  return video;
}

function trackTypeOf({ video, audio }: Streams): 'audio' | 'video' | 'audio_and_video' {
  if (video && audio) return 'audio_and_video';
  return video ? 'video' : 'audio';
}

type FromSlice = { sample: SliceSample; slice: Segment };

async function* samplesOf(dir: string, slices: readonly Segment[], zeroUtcMs: number): AsyncGenerator<FromSlice> {
  for (const slice of slices)
    for await (const sample of readSamples(join(dir, slice.name), (slice.startUtcMs - zeroUtcMs) * 1000))
      yield { sample, slice };
}

async function* withoutHolds(samples: AsyncGenerator<FromSlice>, holds: readonly Hold[]): AsyncGenerator<FromSlice> {
  const cutter = new HoldCutter(holds);
  for await (const { sample, slice } of samples) {
    const place = cutter.place(sample);
    if (place) yield { sample: { ...sample, ...place }, slice };
  }
}

/** Both in order of decode time. */
async function* merged(...sources: AsyncGenerator<FromSlice>[]): AsyncGenerator<FromSlice> {
  const heads = await Promise.all(sources.map(async (source) => ({ source, next: await source.next() })));
  try {
    for (;;) {
      const open = heads.flatMap((head) => (head.next.done ? [] : [{ head, value: head.next.value }]));
      const first = open.sort((a, b) => a.value.sample.dtsUs - b.value.sample.dtsUs)[0];
      if (!first) return;
      yield first.value;
      first.head.next = await first.head.source.next();
    }
  } finally {
    for (const { source } of heads) await source.return(undefined);
  }
}
