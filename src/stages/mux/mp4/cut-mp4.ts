/**
 * CutMp4: one stretch of a recording as an MP4, without transcoding. It begins with the key frame before the stretch
 * and the sounds that a decoder needs, which the edit list hides, so that what is played begins and ends to the sample
 * (ISO/IEC 14496-12 §8.6.6). What was not recorded keeps its time: the picture stands still, and silence is put in.
 */
import type { StreamUs } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import { finishPart } from '../spool-file.ts';
import type { Streams } from '../stream.ts';
import { indexRoom } from './index-place.ts';
import { OpenMp4 } from './open-mp4.ts';

export type CutMp4Options = Streams & {
  path: string;
  /** The stretch, in the time of the samples that are written. */
  fromUs: StreamUs;
  toUs: StreamUs;
  /** UTC of `fromUs`, Unix milliseconds. */
  startUtcMs: number;
  /** A block of silence in the sound's codec; without it a gap in the sound stays one. */
  silence?: Pick<EncodedSample, 'data' | 'durationUs'> | undefined;
};

/** Sounds before the stretch that a decoder needs to have its first samples right. */
const SOUNDS_AHEAD = 2;
/** A player would be told each length rounded up to a millisecond; these ticks are those of the sound. */
const LENGTH_RATE = 48_000;
/** Two pictures are at least this far apart. */
const MIN_STEP_US = 100;

export class CutMp4 {
  readonly #o: CutMp4Options;
  #file: OpenMp4 | undefined;
  /** From the last key frame before the stretch on, until the first picture in it has come. */
  #ahead: EncodedSample[] | undefined = [];
  /** It is known where the picture begins; sounds that came before that wait for it. */
  #pictureBegun: boolean;
  #waiting: EncodedSample[] = [];
  #lastPicture: EncodedSample | undefined;
  /** The newest sounds before the stretch, until one in it has come. */
  #soundsAhead: EncodedSample[] = [];
  #soundEndUs: StreamUs | undefined;
  #isEmpty = true;

  constructor(options: CutMp4Options) {
    this.#o = options;
    this.#pictureBegun = options.video === undefined;
  }

  /** Whether nothing of the stretch has come: no picture that is shown in it either, where none begins in it. */
  get isEmpty(): boolean {
    return this.#isEmpty && !this.#ahead?.length && this.#waiting.length === 0;
  }

  /**
   * Takes the next sample: each kind in its decode order, from the last key frame before the stretch or earlier, to the
   * end of the stretch or later. Throws a Fault when the file cannot be written.
   */
  write(sample: EncodedSample): void {
    if (sample.kind === 'video') this.#takePicture(sample);
    else this.#takeSound(sample);
  }

  /** Ends the file and returns its size in bytes. Frees everything. Throws a Fault. */
  async finish(): Promise<number> {
    const { path, toUs } = this.#o;
    try {
      if (!this.#pictureBegun) this.#beginPicture();
      const last = this.#lastPicture;
      // The last picture is shown to the end, whatever came after it.
      if (last) this.#put({ ...last, durationUs: Math.max(MIN_STEP_US, toUs - last.ptsUs) });
      this.#fillUntil(toUs, 'over');
      const file = this.#opened();
      file.writeLast(toUs);
      await file.end();
      return await finishPart(path);
    } finally {
      this.close();
    }
  }

  /** Frees everything. An unfinished file stays behind as `.part`. Calling it again does nothing. */
  close(): void {
    this.#file?.close();
    this.#file = undefined;
  }

  #takePicture(sample: EncodedSample): void {
    const { fromUs, toUs } = this.#o;
    if (sample.ptsUs >= toUs) return;
    if (this.#ahead) {
      if (sample.keyFrame && sample.ptsUs <= fromUs) this.#ahead = [];
      // Without its key frame it cannot be decoded.
      if (this.#ahead.length === 0 && !sample.keyFrame) return;
      this.#ahead.push(sample);
      if (sample.ptsUs >= fromUs) this.#beginPicture();
      return;
    }
    this.#next(sample);
  }

  /** Nothing that is still to come belongs before the pictures that were kept. */
  #beginPicture(): void {
    const ahead = this.#ahead ?? [];
    this.#ahead = undefined;
    this.#pictureBegun = true;
    for (const sample of ahead) this.#next(sample);
    for (const sound of this.#waiting.splice(0)) this.#takeSound(sound);
  }

  #next(sample: EncodedSample): void {
    this.#isEmpty = false;
    const before = this.#lastPicture;
    this.#lastPicture = sample;
    if (before) this.#put(before);
  }

  #takeSound(sample: EncodedSample): void {
    const { fromUs, toUs } = this.#o;
    if (sample.ptsUs >= toUs) return;
    if (sample.ptsUs + sample.durationUs <= fromUs) {
      this.#soundsAhead = [...this.#soundsAhead, sample].slice(-SOUNDS_AHEAD);
      return;
    }
    // A file's picture and sound are laid out side by side.
    if (!this.#pictureBegun) {
      this.#waiting.push(sample);
      return;
    }
    this.#isEmpty = false;
    // Sound that two runs have is heard once.
    if (this.#soundEndUs !== undefined && sample.ptsUs < this.#soundEndUs - sample.durationUs / 2) return;
    if (this.#soundEndUs === undefined) this.#beginSound(sample);
    this.#fillUntil(sample.ptsUs, 'within');
    this.#putSound(sample);
  }

  /** Puts what a decoder needs before the first sound, or, where that begins late, silence from the beginning. */
  #beginSound({ ptsUs, durationUs }: EncodedSample): void {
    const [newest] = this.#soundsAhead.slice(-1);
    const isJoined = newest !== undefined && ptsUs - (newest.ptsUs + newest.durationUs) < durationUs / 2;
    if (isJoined) for (const before of this.#soundsAhead) this.#putSound(before);
    else if (ptsUs > this.#o.fromUs) this.#soundEndUs = this.#o.fromUs;
    this.#soundsAhead = [];
  }

  /** Puts blocks of silence where sound is missing up to `untilUs`, all of them within that or the last over it. */
  #fillUntil(untilUs: StreamUs, beyond: 'within' | 'over'): void {
    const { silence } = this.#o;
    if (!silence) return;
    const { data, durationUs } = silence;
    for (;;) {
      const atUs = this.#soundEndUs;
      if (atUs === undefined || atUs + (beyond === 'over' ? 1 : durationUs - 1) > untilUs) return;
      this.#putSound({ kind: 'audio', ptsUs: atUs, dtsUs: atUs, durationUs, keyFrame: true, data });
    }
  }

  #putSound(sample: EncodedSample): void {
    this.#put(sample);
    this.#soundEndUs = sample.ptsUs + sample.durationUs;
  }

  #put(sample: EncodedSample): void {
    this.#opened().write(sample);
  }

  #opened(): OpenMp4 {
    const { path, fromUs, toUs, startUtcMs, video, audio } = this.#o;
    const streams = { video, audio };
    const room = indexRoom(streams, { durationMs: (toUs - fromUs) / 1000, bytes: Number.POSITIVE_INFINITY });
    const begun = { startUs: fromUs, startUtcMs, heldUs: 0, lengthRate: LENGTH_RATE };
    this.#file ??= new OpenMp4(path, begun, streams, room);
    return this.#file;
  }
}
