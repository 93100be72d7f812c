/**
 * MergedFiles: sound and picture of one user in the same slices (stream mode `standard`), H.264 as it came and AAC. A
 * slice always holds every kind that it began with: silence stands for missing sound, and where no picture comes for
 * long the last one is shown again, from its key frame on, so that a player goes on.
 */
import type { StreamUs } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { aacConfig } from '../../stages/mux/bitstream.ts';
import type { PictureShape } from '../../stages/mux/slice-container.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { INTERRUPTION_US, type SliceRuns } from './file-sink.ts';
import { MIN_STEP_US, type PassedPicture } from './passed-video.ts';
import { isHeard, KnownPictures, type RowEnd } from './row-end.ts';
import type { EncodedBlock } from './transcoded-sound.ts';

/** Sound waits this long for the first picture of a user who has a camera; then the sound is recorded alone. */
const FIRST_PICTURE_US = 3_000_000;
/** An encoder hands sound over a block or two after the pictures of its time. */
const ENCODER_DELAY_US = 100_000;
/**
 * At most this many pictures since the last key frame are kept to be shown again; beyond that, only the key frame is.
 */
const GROUP_PICTURES = 60;
const GROUP_BYTES = 1_000_000;

export type MergedFilesOptions = {
  /** The user's row of slices with both kinds. */
  runs: SliceRuns;
  /** The user's wanted tracks as they are now: how many channels the sound has, and whether there is a camera. */
  sends(): { channels: 1 | 2 | undefined; video: boolean };
  /** A picture could not be used, in words. */
  onLost(what: string): void;
  /** What an earlier run of the recording left. */
  past?: RowEnd | undefined;
};

/** The kinds of a run: channels of its sound, shape of its picture. */
type CurrentRun = { channels: 1 | 2 | undefined; shape: PictureShape | undefined; fromUs: StreamUs };

/**
 * A key frame and the pictures since. When they are too many only the key frame is kept, and the group is not whole.
 */
type Group = { key: PassedPicture; rest: EncodedSample[]; bytes: number; isWhole: boolean };
type Arrival = { picture: PassedPicture } | { block: EncodedBlock };

export class MergedFiles {
  readonly #o: MergedFilesOptions;
  readonly #runs: SliceRuns;
  #run: CurrentRun | undefined;
  #group: Group | undefined;
  /** Only the key frame was shown again, so pictures that refer to later ones cannot be shown. */
  #broken = false;
  /** Where the last picture ended, and where the last sound ended that was not silence. */
  #pictureUs = Number.NEGATIVE_INFINITY;
  #soundUs = Number.NEGATIVE_INFINITY;
  /** Decode time of the last picture written. */
  #lastUs = Number.NEGATIVE_INFINITY;
  /** Sound that waits for the first picture. */
  #waiting: EncodedBlock[] = [];
  #silence: EncodedSample[] = [];
  #keyFrameWanted = false;
  /** What slices of an earlier run hold already. */
  #known: KnownPictures | undefined;
  /** What has come and is not written yet: sound and picture are taken in one order, so that a run begins with both. */
  #queue: Arrival[] = [];

  constructor(options: MergedFilesOptions) {
    this.#o = options;
    this.#runs = options.runs;
    const { past } = options;
    if (past?.picture) this.#known = new KnownPictures(past.picture.lastUs, past.picture.highestUs);
    if (!past?.isOpen) return;
    this.#run = { channels: past.channels, shape: past.picture?.shape, fromUs: past.startUs };
    this.#soundUs = past.soundEndUs ?? this.#soundUs;
    if (!past.picture) return;
    this.#pictureUs = past.picture.highestUs;
    this.#lastUs = past.picture.decodedUs;
  }

  /** True while slices wait for a key frame, to begin or to add a kind. */
  get keyFrameWanted(): boolean {
    return this.#keyFrameWanted || this.#runs.keyFrameWanted;
  }

  /**
   * From where on sound must have no gaps, microseconds of the recording, and with how many channels; undefined while
   * that is not so.
   */
  get fills(): { fromUs: StreamUs; channels: 1 | 2 } | undefined {
    const { channels, shape, fromUs } = this.#run ?? {};
    return shape && channels && fromUs !== undefined ? { fromUs, channels } : undefined;
  }

  /** From where on something waits to be written, microseconds of the recording; undefined when nothing does. */
  get unflushedUs(): StreamUs | undefined {
    const waiting = [...this.#queue.map(timeOf), ...this.#waiting.map(({ sample }) => sample.ptsUs)];
    return waiting.length > 0 ? Math.min(...waiting) : undefined;
  }

  /** Takes a picture in H.264 as soon as it has come. */
  writePicture(picture: PassedPicture): void {
    this.#queue.push({ picture });
  }

  /** Takes a block of sound. */
  writeSound(block: EncodedBlock): void {
    this.#queue.push({ block });
  }

  /** Writes everything before `nowUs` of the recording. */
  step(nowUs: StreamUs): void {
    this.#take(nowUs - ENCODER_DELAY_US);
    const waitingUs = this.#waiting[0]?.sample.ptsUs ?? Number.POSITIVE_INFINITY;
    if (!this.#run && nowUs - ENCODER_DELAY_US - waitingUs >= FIRST_PICTURE_US) this.#beginAlone();
    const lastUs = Math.max(this.#pictureUs, this.#soundUs);
    if (this.#run && nowUs - lastUs >= INTERRUPTION_US) this.#end();
  }

  /** Writes what waits; what comes next begins anew, with a key frame. */
  end(): void {
    this.#take(Number.POSITIVE_INFINITY);
    if (!this.#run) this.#beginAlone();
    this.#end();
    this.#group = undefined;
  }

  #take(untilUs: StreamUs): void {
    if (this.#queue.length === 0) return;
    // At the same time, a key frame comes before sound.
    this.#queue.sort((a, b) => timeOf(a) - timeOf(b) || Number('block' in a) - Number('block' in b));
    let due = this.#queue.findIndex((entry) => timeOf(entry) >= untilUs);
    if (due < 0) due = this.#queue.length;
    for (const entry of this.#queue.splice(0, due)) {
      if ('picture' in entry) this.#takePicture(entry.picture);
      else this.#takeSound(entry.block);
    }
  }

  #takePicture(picture: PassedPicture): void {
    const { sample, shape } = picture;
    if (this.#known?.has(sample.ptsUs)) {
      this.#keep(picture);
      return;
    }
    if (sample.keyFrame) this.#broken = false;
    const { shape: before, channels } = this.#run ?? {};
    // Sound that came after the picture is added to slices from the next key frame on.
    const wanted = channels ?? this.#o.sends().channels;
    const isSame = before?.width === shape.width && before.height === shape.height && wanted === channels;
    if (sample.keyFrame && !isSame) this.#beginWith(picture, wanted);
    else if (!this.#run?.shape && this.#group?.isWhole) this.#goOnWith(this.#group, sample.dtsUs, wanted);
    this.#keep(picture);
    this.#keyFrameWanted = !sample.keyFrame && (!isSame || this.#broken);
    if (!this.#run?.shape || this.#broken) {
      this.#o.onLost('a picture came before the key frame that the merged slices take');
      return;
    }
    if (this.#run.shape.rotate !== shape.rotate) {
      this.#runs.turn(shape, sample.ptsUs, sample.keyFrame);
      this.#run.shape = shape;
    }
    this.#writePicture(sample);
    for (const held of this.#silence.splice(0)) this.#writeSound(held);
  }

  #takeSound(block: EncodedBlock): void {
    const { sample, silent, format } = block;
    if (isHeard(sample.ptsUs, this.#o.past?.soundEndUs)) return;
    if (!this.#run && !this.#waitsNoMore(block)) return;
    const run = this.#run;
    // Silence that the encoder hands over after other slices have begun belongs to none of them.
    if (!run?.channels || (silent && sample.ptsUs < run.fromUs)) return;
    if (run.channels !== format.channels) {
      this.#end();
      this.#keyFrameWanted = run.shape !== undefined;
      return;
    }
    if (!silent) this.#soundUs = sample.ptsUs + sample.durationUs;
    // It is not known yet whether anything follows.
    if (silent && sample.ptsUs >= this.#pictureUs) {
      this.#silence.push(sample);
      return;
    }
    for (const held of this.#silence.splice(0)) this.#writeSound(held);
    this.#writeSound(sample);
  }

  /** The last picture may be shown again where the stream goes on from it. */
  #end(): void {
    this.#run = undefined;
    this.#silence = [];
    this.#waiting = [];
    this.#runs.end();
  }

  #keep(picture: PassedPicture): void {
    const { sample } = picture;
    if (sample.keyFrame) this.#group = { key: picture, rest: [], bytes: sample.data.length, isWhole: true };
    const group = this.#group;
    if (!group || sample.keyFrame || !group.isWhole) return;
    group.bytes += sample.data.length;
    group.rest.push(sample);
    group.isWhole = group.rest.length < GROUP_PICTURES && group.bytes <= GROUP_BYTES;
    if (group.isWhole) return;
    group.rest = [];
    // Until the next key frame it would keep everything in memory that came beside it.
    const { key } = group;
    group.key = { ...key, sample: { ...key.sample, data: inOwnMemory(key.sample.data) } };
  }

  /**
   * Begins slices where the sender goes on without a key frame.
   * @param atUs of what follows
   */
  #goOnWith(group: Group, atUs: StreamUs, channels: 1 | 2 | undefined): void {
    const waiting = this.#takeWaiting(channels);
    const beforeUs = (group.rest.length + 1) * MIN_STEP_US;
    // A player leaves out sound that no picture accompanies, so the picture is shown from the first sound on.
    const fromUs = Math.min(atUs - beforeUs, waiting[0]?.sample.ptsUs ?? Number.POSITIVE_INFINITY);
    this.#begin({ channels, shape: group.key.shape, fromUs });
    this.#showAgain(group, fromUs);
    for (const block of waiting) this.#takeSound(block);
  }

  /** Writes, within a moment, the pictures that are needed to show the last one. */
  #showAgain({ key, rest, isWhole }: Group, atUs: StreamUs): void {
    this.#broken = !isWhole;
    for (const [n, sample] of [key.sample, ...rest].entries()) {
      const shownUs = atUs + n * MIN_STEP_US;
      this.#writePicture({ ...sample, ptsUs: shownUs, dtsUs: shownUs });
    }
  }

  #writePicture(sample: EncodedSample): void {
    const dtsUs = Math.max(sample.dtsUs, this.#lastUs + MIN_STEP_US);
    const ptsUs = Math.max(sample.ptsUs, dtsUs);
    this.#lastUs = dtsUs;
    this.#pictureUs = ptsUs + sample.durationUs;
    this.#runs.write({ ...sample, dtsUs, ptsUs });
  }

  /**
   * Sound of a user with a camera waits for the first picture. A player leaves out sound that no picture accompanies,
   * so the picture is shown from where the sound began.
   */
  #beginWith(picture: PassedPicture, channels: 1 | 2 | undefined): void {
    const { sample, shape } = picture;
    const waiting = this.#takeWaiting(channels);
    const firstUs = waiting[0]?.sample.ptsUs ?? sample.ptsUs;
    this.#begin({ channels, shape, fromUs: firstUs });
    this.#pictureUs = sample.ptsUs;
    if (firstUs >= sample.dtsUs) return;
    this.#writePicture({ ...sample, ptsUs: firstUs, dtsUs: firstUs, durationUs: sample.ptsUs - firstUs });
    for (const block of waiting) this.#takeSound(block);
  }

  /** True once the first picture has been waited for long enough, and sound is recorded alone. */
  #waitsNoMore(block: EncodedBlock): boolean {
    if (block.silent && this.#waiting.length === 0) return false;
    this.#waiting.push(block);
    const { ptsUs } = (this.#waiting[0] as EncodedBlock).sample;
    if (this.#o.sends().video && block.sample.ptsUs - ptsUs < FIRST_PICTURE_US) return false;
    this.#waiting.pop();
    this.#beginAlone(block);
    return true;
  }

  /** Begins slices of sound alone with the sound that waits, or with `next` where none does. */
  #beginAlone(next?: EncodedBlock): void {
    const first = this.#waiting[0] ?? next;
    if (!first) return;
    const { channels } = first.format;
    this.#begin({ channels, shape: undefined, fromUs: first.sample.ptsUs });
    for (const held of this.#takeWaiting(channels)) this.#takeSound(held);
  }

  /** Takes the sound that waits. Sound with another number of channels does not fit into the slices that begin. */
  #takeWaiting(channels: 1 | 2 | undefined): EncodedBlock[] {
    return this.#waiting.splice(0).filter((block) => block.format.channels === channels);
  }

  #begin(run: CurrentRun): void {
    const { channels, shape } = run;
    this.#run = run;
    this.#silence = [];
    this.#lastUs = Number.NEGATIVE_INFINITY;
    const audio = channels && { sampleRate: SOUND_RATE, channels, extradata: aacConfig(channels) };
    this.#runs.begin({
      kinds: [...(shape ? (['video'] as const) : []), ...(audio ? (['audio'] as const) : [])],
      codecs: { ...(shape && { video: 'h264' as const }), ...(audio && { audio: 'aac' as const }) },
      container: () => new TsContainer({ video: shape && { width: shape.width, height: shape.height }, audio }),
      shape,
    });
  }

  #writeSound(sample: EncodedSample): void {
    if (this.#run?.shape && this.#group && sample.ptsUs - this.#pictureUs >= INTERRUPTION_US)
      this.#showAgain(this.#group, sample.ptsUs);
    this.#runs.write(sample);
  }
}

function timeOf(arrival: Arrival): number {
  return 'picture' in arrival ? arrival.picture.sample.dtsUs : arrival.block.sample.ptsUs;
}
