/**
 * MergedFiles: sound and picture of one user in the same slices (stream mode `standard`), H.264 as it came and AAC. A slice
 * of it always holds every kind its first one did: silence stands for missing sound, and where no picture comes for long the
 * last key frame is shown again, so that a player goes on.
 */
import { SOUND_RATE } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { aacConfig } from '../../stages/mux/bitstream.ts';
import type { PictureShape } from '../../stages/mux/slices.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { type FileSink, INTERRUPTION_US, SliceRuns } from './file-sink.ts';
import type { PassedPicture } from './passed-video.ts';
import type { EncodedBlock } from './transcoded-sound.ts';

/** Sound waits this long for the first picture of a user who has a camera; then it is recorded alone. */
const FIRST_PICTURE_US = 3_000_000;
/** Sound comes out of its encoder a block or two after the pictures of its time. */
const ENCODER_DELAY_US = 100_000;

export type MergedFilesOptions = {
  sink: FileSink;
  uid: string;
  /** Of the user's wanted tracks as they are now: how many channels the sound has, and whether there is a camera. */
  sends(): { channels: 1 | 2 | undefined; video: boolean };
};

/** The kinds of a run: channels of its sound, shape of its picture. */
type CurrentRun = { channels: 1 | 2 | undefined; shape: PictureShape | undefined; fromUs: number };

type Arrival = { picture: PassedPicture } | { block: EncodedBlock };

export class MergedFiles {
  readonly #sends: MergedFilesOptions['sends'];
  readonly #runs: SliceRuns;
  #run: CurrentRun | undefined;
  #keyPicture: PassedPicture | undefined;
  /** Where the last picture, and the last sound that was none of silence, ended. */
  #pictureUs = Number.NEGATIVE_INFINITY;
  #soundUs = Number.NEGATIVE_INFINITY;
  /** Sound that waits for the first picture. */
  #waiting: EncodedBlock[] = [];
  #silence: EncodedSample[] = [];
  #keyFrameWanted = false;
  /** What came and was not written yet: sound and picture are taken in one order, so that a run begins with both. */
  #queue: Arrival[] = [];

  constructor({ sink, uid, sends }: MergedFilesOptions) {
    this.#sends = sends;
    this.#runs = new SliceRuns(sink, uid, 'av');
  }

  /** True while slices wait for a key frame to begin, or to take on another kind. */
  get keyFrameWanted(): boolean {
    return this.#keyFrameWanted;
  }

  /** How sound without gaps is wanted, and from where, microseconds of the recording; undefined while it is not. */
  get fills(): { fromUs: number; channels: 1 | 2 } | undefined {
    const { channels, shape, fromUs } = this.#run ?? {};
    return shape && channels && fromUs !== undefined ? { fromUs, channels } : undefined;
  }

  /** Takes a picture of H.264 with its duration. */
  writePicture(picture: PassedPicture): void {
    this.#queue.push({ picture });
  }

  /** Takes a block of sound. */
  writeSound(block: EncodedBlock): void {
    this.#queue.push({ block });
  }

  /** Writes what lies before `nowUs` of the recording. Throws a Fault when a slice could not be written. */
  step(nowUs: number): void {
    this.#take(nowUs - ENCODER_DELAY_US);
    const lastUs = Math.max(this.#pictureUs, this.#soundUs);
    if (this.#run && nowUs - lastUs >= INTERRUPTION_US) this.#end();
  }

  /** Writes what it has; what comes next begins anew. */
  end(): void {
    this.#take(Number.POSITIVE_INFINITY);
    this.#end();
  }

  async finish(): Promise<void> {
    this.end();
    await this.#runs.finish();
  }

  close(): void {
    this.#runs.close();
  }

  #take(untilUs: number): void {
    if (this.#queue.length === 0) return;
    // A key frame goes before the sound of its own time.
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
    const { shape: before, channels } = this.#run ?? {};
    // Sound that came later than the picture has its place in slices from the next key frame on.
    const wanted = channels ?? this.#sends().channels;
    const isSame = before?.width === shape.width && before.height === shape.height && wanted === channels;
    if (sample.keyFrame && !isSame) this.#beginWith(picture, wanted);
    if (sample.keyFrame) this.#keyPicture = picture;
    this.#keyFrameWanted = !sample.keyFrame && !isSame;
    if (!this.#run?.shape) return;
    if (this.#run.shape.rotate !== shape.rotate) {
      this.#runs.turn(shape, sample.ptsUs, sample.keyFrame);
      this.#run.shape = shape;
    }
    this.#pictureUs = sample.ptsUs + sample.durationUs;
    this.#runs.write(sample);
    for (const held of this.#silence.splice(0)) this.#writeSound(held);
  }

  #takeSound(block: EncodedBlock): void {
    const { sample, silent, format } = block;
    if (!this.#run && !this.#waitsNoMore(block)) return;
    const run = this.#run;
    if (!run?.channels) return;
    if (run.channels !== format.channels) {
      this.#end();
      this.#keyFrameWanted = run.shape !== undefined;
      return;
    }
    if (!silent) this.#soundUs = sample.ptsUs + sample.durationUs;
    // Nobody knows yet whether anything follows.
    if (silent && sample.ptsUs >= this.#pictureUs) {
      this.#silence.push(sample);
      return;
    }
    for (const held of this.#silence.splice(0)) this.#writeSound(held);
    this.#writeSound(sample);
  }

  #end(): void {
    this.#run = undefined;
    this.#silence = [];
    this.#waiting = [];
    this.#keyPicture = undefined;
    this.#runs.end();
  }

  /**
   * Sound of a user with a camera waits for the first picture. A player leaves out sound that no picture stands beside, so the
   * picture is shown from where the sound began.
   */
  #beginWith(picture: PassedPicture, channels: 1 | 2 | undefined): void {
    const { sample, shape } = picture;
    const waiting = this.#waiting.splice(0).filter((block) => block.format.channels === channels);
    const firstUs = waiting[0]?.sample.ptsUs ?? sample.ptsUs;
    this.#begin({ channels, shape, fromUs: firstUs });
    this.#pictureUs = sample.ptsUs;
    if (firstUs >= sample.ptsUs) return;
    this.#runs.write({ ...sample, ptsUs: firstUs, dtsUs: firstUs, durationUs: sample.ptsUs - firstUs });
    for (const block of waiting) this.#takeSound(block);
  }

  /** True once a user who was waited for is recorded by the sound alone. */
  #waitsNoMore(block: EncodedBlock): boolean {
    if (block.silent && this.#waiting.length === 0) return false;
    this.#waiting.push(block);
    const { ptsUs } = (this.#waiting[0] as EncodedBlock).sample;
    if (this.#sends().video && block.sample.ptsUs - ptsUs < FIRST_PICTURE_US) return false;
    this.#begin({ channels: block.format.channels, shape: undefined, fromUs: ptsUs });
    for (const held of this.#waiting.splice(0, this.#waiting.length - 1)) this.#takeSound(held);
    this.#waiting = [];
    return true;
  }

  #begin(run: CurrentRun): void {
    const { channels, shape } = run;
    this.#run = run;
    this.#silence = [];
    const audio = channels && { sampleRate: SOUND_RATE, channels, extradata: aacConfig(channels) };
    this.#runs.begin({
      kinds: [...(shape ? (['video'] as const) : []), ...(audio ? (['audio'] as const) : [])],
      codecs: { ...(shape && { video: 'h264' as const }), ...(audio && { audio: 'aac' as const }) },
      container: new TsContainer({ video: shape && { width: shape.width, height: shape.height }, audio }),
      shape,
    });
  }

  #writeSound(sample: EncodedSample): void {
    const key = this.#keyPicture?.sample;
    if (this.#run?.shape && key && sample.ptsUs - this.#pictureUs >= INTERRUPTION_US) {
      this.#runs.write({ ...key, ptsUs: sample.ptsUs, dtsUs: sample.ptsUs });
      this.#pictureUs = sample.ptsUs + key.durationUs;
    }
    this.#runs.write(sample);
  }
}

function timeOf(arrival: Arrival): number {
  return 'picture' in arrival ? arrival.picture.sample.ptsUs : arrival.block.sample.ptsUs;
}
