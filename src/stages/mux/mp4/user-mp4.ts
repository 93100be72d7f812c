/**
 * Makes the MP4 of one user from the slices of a recording of single users, without transcoding. What the slices lack
 * the MP4 lacks too: every sample keeps its place after the user's first, except that holds are cut out.
 */
import { join } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import type { RecordingUs } from '../../../kernel/time.ts';
import type { RotateEvent, Segment, WholeFile } from '../../../media/segment.ts';
import type { VideoCodec } from '../../../media/track.ts';
import type { FileLimit } from '../cut.ts';
import { probeSlice, readSamples, type SliceSample } from '../read-slices.ts';
import type { Streams, VideoStream } from '../stream.ts';
import { type Hold, HoldCutter } from './hold-cutter.ts';
import { Mp4Files } from './mp4-files.ts';

export type UserMp4Options = {
  /** The spool folder, which holds the slices and gets the MP4. */
  dir: string;
  /** The start of the files' names. */
  baseName: string;
  uid: string;
  /** Wall time of recording zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** When the recording was on hold, in order, microseconds of it. */
  holds?: readonly Hold[];
  /** As of Mp4Files. */
  limit: FileLimit;
  /** Number of the first file; 0 when left out. */
  firstIndex?: number | undefined;
  /** The user's slices of single kinds, in any order; other slices of the user are ignored. */
  slices: readonly Segment[];
  /** The muxer refused a sample, in words: it is left out, and with a picture also those up to the next key frame. */
  onRefused?: ((what: string) => void) | undefined;
  /** A file is finished and synced on the spool. Called in order, and again only after this has resolved. */
  onFile?(file: WholeFile): Promise<void> | void;
};

/** Codecs that MP4 can hold and that players of MP4 support. VP8 must be transcoded. */
const MP4_CODECS = new Set(['h264', 'vp9', 'av1', 'aac', 'opus']);

/** MP4s and slices of one user need not end at the same sample. */
const END_TOLERANCE_US = 500_000;

/**
 * True when `made` is all that can be made of these slices: a file of each form, the last of which reaches to their
 * end.
 */
export function hasAllMp4s(
  made: readonly WholeFile[],
  { slices, holds = [], zeroUtcMs }: Pick<UserMp4Options, 'slices' | 'holds' | 'zeroUtcMs'>,
): boolean {
  const cutter = new HoldCutter(holds);
  const ordered = inOrder(slices);
  const startUs = ({ startUtcMs }: Segment | WholeFile): RecordingUs => (startUtcMs - zeroUtcMs) * 1000;
  const madeUs = made.map((file) => startUs(file) - (file.heldUs ?? 0) + file.durationUs);
  const slicesUs = ordered.map((slice) => startUs(slice) + slice.durationUs).map((us) => us - cutter.heldBefore(us));
  return made.length >= countForms(ordered) && Math.max(...madeUs) > Math.max(...slicesUs) - END_TOLERANCE_US;
}

/** How many files the slices make at least, if there are samples of each form; 1 where MP4 cannot hold them. */
function countForms(ordered: readonly Segment[]): number {
  const forms = [...formsOf(ordered).values()];
  if (forms.some(({ codec }) => !MP4_CODECS.has(codec))) return 1;
  return 1 + forms.filter((form, n) => n > 0 && !isSame(form, forms[n - 1])).length;
}

/** What an MP4 can have only one of: the codec of its pictures, and how players turn them (anticlockwise degrees). */
type Form = { codec: VideoCodec; rotate: RotateEvent['rotate'] };

function isSame(a: Form, b: Form | undefined): boolean {
  return a.codec === b?.codec && a.rotate === b.rotate;
}

/** The codec and rotation with which each slice of pictures begins. */
function formsOf(ordered: readonly Segment[]): Map<Segment, Form> {
  const forms = new Map<Segment, Form>();
  let rotate: RotateEvent['rotate'] = 0;
  for (const slice of ordered) {
    const codec = slice.codecs?.video;
    if (!codec) continue;
    const [first] = slice.rotations;
    if (first && first.utcMs <= slice.startUtcMs + 1) rotate = first.rotate;
    forms.set(slice, { codec, rotate });
    // A picture that was turned between two key frames stands that way in the next slice.
    rotate = slice.rotations.at(-1)?.rotate ?? rotate;
  }
  return forms;
}

/**
 * Writes `<baseName>_<firstIndex>.mp4` and returns what was written: one file, and one more where it reaches its limit,
 * and from the first key frame after each change of codec or rotation, because an MP4 can have only one of each. Throws
 * a Fault with code `mp4-codec` when MP4 cannot hold a slice's codec, before anything is written, and another Fault
 * when a slice cannot be read.
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
  /** How long the recording was on hold before the present sample. */
  let heldUs = 0;
  const begin = (video: VideoStream | undefined) =>
    new Mp4Files({
      ...{ dir, baseName, zeroUtcMs, audio, heldUs, firstIndex: (options.firstIndex ?? 0) + made.length },
      video: video && unsteady(video),
      onRefused: options.onRefused,
      limit: options.limit,
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
    for await (const { sample, slice, heldUs: heldBeforeUs } of merged(read(pictures), read(sounds))) {
      if (heldBeforeUs > heldUs) {
        heldUs = heldBeforeUs;
        mp4.resume(heldUs);
      }
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

/** The slices of a single kind, which the MP4 is made from. */
function inOrder(slices: readonly Segment[]): Segment[] {
  return slices
    .filter(({ name, owner }) => owner?.trackType !== 'audio_and_video' && !name.endsWith('.m4s'))
    .sort((a, b) => a.startUtcMs - b.startUtcMs);
}

/** Streams that were passed on have no steady rate, whatever a reader detects. */
function unsteady({ fps: _, ...video }: VideoStream): VideoStream {
  return video;
}

function trackTypeOf({ video, audio }: Streams): 'audio' | 'video' | 'audio_and_video' {
  if (video && audio) return 'audio_and_video';
  return video ? 'video' : 'audio';
}

type FromSlice = { sample: SliceSample; slice: Segment };
type Cut = FromSlice & { heldUs: number };

async function* samplesOf(dir: string, slices: readonly Segment[], zeroUtcMs: number): AsyncGenerator<FromSlice> {
  for (const slice of slices)
    for await (const sample of readSamples(join(dir, slice.name), (slice.startUtcMs - zeroUtcMs) * 1000))
      yield { sample, slice };
}

async function* withoutHolds(samples: AsyncGenerator<FromSlice>, holds: readonly Hold[]): AsyncGenerator<Cut> {
  const cutter = new HoldCutter(holds);
  for await (const { sample, slice } of samples) {
    const place = cutter.place(sample);
    if (place) yield { sample: { ...sample, ...place }, slice, heldUs: cutter.heldBefore(sample.ptsUs) };
  }
}

/** Both sources in order of decode time. */
async function* merged(...sources: AsyncGenerator<Cut>[]): AsyncGenerator<Cut> {
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
