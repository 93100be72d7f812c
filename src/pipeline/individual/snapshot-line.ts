/**
 * SnapshotLine: a JPEG of one video track every so often. Samples are kept encoded, and as few as can be are decoded:
 * where the sender answers requests, one is sent just before a picture is due, and only the key frame it brings is
 * decoded.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { Orientation } from '../../media/frame.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { Snapshot } from '../../media/segment.ts';
import type { VideoCodec, VideoColor } from '../../media/track.ts';
import type { NativePicture } from '../../stages/codec/picture-pool.ts';
import { type DecodedPicture, VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { isBlack } from './black.ts';
import { SnapshotFiles } from './snapshot-files.ts';

/**
 * From this interval on a key frame is asked for; below, it would cost the sender more than decoding everything costs
 * here.
 */
const ASKING_FROM_US = 5 * US;
/** How long before a picture is due the key frame is asked for; one that comes in this time is the picture. */
const LEAD_US = 500_000;
/** How long the sender has to answer, in its own time. */
const PATIENCE_US = US;
/** A picture that was taken a little before the request can still be the answer, as it was not encoded yet. */
const ENCODING_US = 100_000;
/** Samples come here some time after they came in, so an answer is seen late; until then no second request is made. */
const RETRY_US = 4 * US;
/** Nothing for this long: the video is stopped, and requests are of no use. */
const STOPPED_US = 4 * US;
/** So few pictures are decoded rather than waited for. */
const FEW = 20;
/** How many samples are kept undecoded since the last key frame: with requests, and without. */
const KEPT_ASKING = 300;
const KEPT_FOLLOWING = 60;
/** Of so many it is asked, ahead of time and once, whether the sender answers. */
const PROBE_AT = 270;
const KEPT_BYTES = 2_000_000;
/** Samples decoded in one call while the present is caught up with, so that nobody else is held up for long. */
const BATCH = 10;
/** How soon it is tried again when the picture was black. */
const BLACK_RETRY_US = 10 * US;

export type SnapshotLineOptions = {
  uid: string;
  codec: VideoCodec;
  /** From one picture to the next, microseconds, at least a second. */
  intervalUs: number;
  /** The spool folder. */
  dir: string;
  /** What the names of the user's video files begin with. */
  baseName: string;
  /** UTC of the recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** A picture lies finished on the spool. Called in order, the next call only after this one has resolved. */
  onFile(file: Snapshot): Promise<void>;
  /** A picture's file could not be written, in words. */
  onLost(what: string): void;
  /** When an earlier run of the recording took the last one. */
  lastUs?: RecordingUs | undefined;
};

/** What the sender said of a sample beside the stream. */
export type Shown = { color?: VideoColor | undefined; orientation?: Orientation | undefined };

type Kept = Shown & { data: Buffer; ptsUs: RecordingUs; keyFrame: boolean };

export class SnapshotLine {
  readonly #o: SnapshotLineOptions;
  readonly #files: SnapshotFiles;
  readonly #asks: boolean;
  #decoder: VideoDecoder | undefined;
  /** What the decoder has to be given to come to the present; begins with a key frame or continues what it had. */
  #kept: Kept[] = [];
  #keptBytes = 0;
  /** Nothing can be decoded before the next key frame. */
  #cold = true;
  #newestUs = Number.NEGATIVE_INFINITY;
  /** When the next picture is due; every interval from `#zeroUs`, the time of the first. */
  #dueUs: RecordingUs | undefined;
  #zeroUs: RecordingUs | undefined;
  /** When a key frame was asked for that has not come, and when one was last asked for. */
  #askedUs: RecordingUs | undefined;
  #lastAskedUs = Number.NEGATIVE_INFINITY;
  /** Whether the sender answers requests, as far as is known. */
  #answers: boolean | undefined;
  #decoded = 0;
  #closed = false;

  constructor(options: SnapshotLineOptions) {
    this.#o = options;
    this.#files = new SnapshotFiles(options);
    this.#asks = options.intervalUs >= ASKING_FROM_US;
    if (options.lastUs === undefined) return;
    this.#zeroUs = options.lastUs;
    this.#dueUs = options.lastUs + options.intervalUs;
  }

  /** Pictures taken that do not lie on the spool yet. */
  get waiting(): number {
    return this.#files.waiting;
  }

  /** Samples decoded so far. */
  get decoded(): number {
    return this.#decoded;
  }

  /**
   * Takes the next sample that reception admitted.
   * @param atUs its place in the recording, microseconds; what lies before the recording's zero is only decoded from
   */
  push(sample: Pick<ReceivedSample, 'data' | 'keyFrame'>, atUs: RecordingUs, shown: Shown = {}): void {
    if (this.#closed) return;
    const { data, keyFrame } = sample;
    if (keyFrame) {
      this.#forget();
      this.#cold = false;
      if (this.#askedUs !== undefined && atUs >= this.#askedUs - ENCODING_US) {
        this.#answers = true;
        this.#askedUs = undefined;
      }
    }
    this.#newestUs = Math.max(this.#newestUs, atUs);
    if (this.#askedUs !== undefined && atUs >= this.#askedUs + PATIENCE_US) {
      this.#answers = false;
      this.#askedUs = undefined;
    }
    this.#dueUs ??= Math.max(0, atUs);
    if (this.#cold) return;
    this.#kept.push({ data, keyFrame, ptsUs: atUs, color: shown.color, orientation: shown.orientation });
    this.#keptBytes += data.length;
    this.#advance(BATCH);
    this.#trim();
  }

  /**
   * Goes on with what there is to do.
   * @param nowUs the present, microseconds of the recording; not how far samples have been pushed
   * @returns whether the sender should be asked for a key frame now, once; it is not said again before an answer could
   * be seen
   */
  poll(nowUs: RecordingUs): { keyFrameWanted: boolean } {
    if (this.#closed) return { keyFrameWanted: false };
    const stopped = this.#newestUs < nowUs - STOPPED_US;
    // Who does not send at all cannot be said not to answer, nor be waited for.
    if (stopped) this.#askedUs = undefined;
    this.#advance(BATCH);
    const keyFrameWanted = !stopped && this.#isKeyFrameOfUse(nowUs) && nowUs - this.#lastAskedUs >= RETRY_US;
    if (keyFrameWanted) {
      this.#askedUs = nowUs;
      this.#lastAskedUs = nowUs;
    }
    return { keyFrameWanted };
  }

  /** Snapshots given up since the last call because the disk was too slow for them, or they could not be encoded. */
  takeDropped(): number {
    return this.#files.takeDropped();
  }

  /** No more samples come: takes what is due, resolves when all lies on the spool, and frees everything. */
  async finish(): Promise<void> {
    try {
      this.#askedUs = undefined;
      if (!this.#closed) this.#advance(Number.POSITIVE_INFINITY);
      // Of B-frames the last pictures are in the decoder yet.
      if (!this.#closed && !this.#cold && this.#decoder) this.#take(this.#decoder.flush(), false);
      await this.#files.finish();
    } finally {
      this.close();
    }
  }

  /** Frees what is native; snapshots being written are still finished. Calling it again does nothing. */
  close(): void {
    this.#closed = true;
    this.#chill();
  }

  #isKeyFrameOfUse(nowUs: RecordingUs): boolean {
    // All is decoded in any case; only after damage does that need a key frame.
    if (!this.#asks) return this.#cold;
    // Once it is known whether the sender answers, it is known what need not be kept.
    if (this.#answers === undefined && this.#kept.length >= PROBE_AT) return true;
    return nowUs >= this.#due().fromUs && !this.#isTaking();
  }

  /** `fromUs`: a key frame from here on will do. */
  #due(): { dueUs: RecordingUs; fromUs: RecordingUs } {
    const dueUs = this.#dueUs ?? Number.POSITIVE_INFINITY;
    return { dueUs, fromUs: this.#asks ? Math.max(0, dueUs - LEAD_US) : dueUs };
  }

  /** Whether the next sample that is kept should be decoded for the picture that is due. */
  #isTaking(): boolean {
    const first = this.#kept[0];
    if (!first) return false;
    const { dueUs, fromUs } = this.#due();
    if (first.keyFrame && first.ptsUs >= fromUs) return true;
    if (this.#newestUs < dueUs) return false;
    // An answer that may be under way saves decoding many.
    return this.#kept.length <= FEW || this.#askedUs === undefined || this.#answers === false;
  }

  #advance(batch: number): void {
    for (let n = 0; n < batch && this.#isTaking(); n++) this.#decodeNext();
  }

  /** Holds what is kept within its bounds. */
  #trim(): void {
    const limit = this.#asks ? KEPT_ASKING : KEPT_FOLLOWING;
    while (this.#kept.length > limit || (this.#keptBytes > KEPT_BYTES && this.#kept.length > 1)) {
      // Who answers will send a key frame when it is needed; of others everything has to be decoded.
      if (this.#asks && this.#answers) {
        this.#chill();
        return;
      }
      this.#decodeNext();
    }
  }

  #decodeNext(): void {
    const sample = this.#kept.shift();
    if (!sample) return;
    this.#keptBytes -= sample.data.length;
    this.#decoder ??= new VideoDecoder(this.#o.codec);
    if (sample.keyFrame) this.#decoder.reset();
    const { undecodable } = this.#decoder;
    this.#decoded++;
    const pictures = this.#decoder.decode(sample);
    const broken = this.#decoder.undecodable > undecodable || pictures.some(({ damaged }) => damaged);
    this.#take(pictures, sample.keyFrame);
    // What refers to a damaged picture is damaged too.
    if (broken) this.#chill();
  }

  #take(pictures: DecodedPicture[], isKeyFrame: boolean): void {
    for (const picture of pictures) {
      if (!picture.damaged && this.#isDue(picture, isKeyFrame)) this.#capture(picture);
      else picture.picture.free();
    }
  }

  #isDue({ ptsUs }: DecodedPicture, isKeyFrame: boolean): boolean {
    const { dueUs, fromUs } = this.#due();
    return ptsUs >= (isKeyFrame ? fromUs : dueUs);
  }

  #capture({ picture, ptsUs }: { picture: NativePicture; ptsUs: RecordingUs }): void {
    const { intervalUs } = this.#o;
    if (isBlack(picture)) {
      picture.free();
      this.#dueUs = ptsUs + Math.min(intervalUs, BLACK_RETRY_US);
      return;
    }
    this.#files.add(picture, ptsUs);
    this.#zeroUs ??= ptsUs;
    // One that was late is not followed at once by the next.
    const intervals = Math.floor((ptsUs - this.#zeroUs) / intervalUs + 0.5) + 1;
    this.#dueUs = this.#zeroUs + intervals * intervalUs;
  }

  /** Nothing is decoded before the next key frame; until then no decoder is needed. */
  #chill(): void {
    this.#forget();
    this.#cold = true;
    this.#decoder?.close();
    this.#decoder = undefined;
  }

  #forget(): void {
    this.#kept = [];
    this.#keptBytes = 0;
  }
}
