/**
 * SnapshotLine: takes a JPEG of one video track at every interval. Samples are kept encoded and as few as possible are
 * decoded: where the sender answers requests, a key frame is asked for just before a picture is due, and only that key
 * frame is decoded.
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
 * From this interval on key frames are asked for; for shorter ones they would cost the sender more than decoding
 * everything costs here.
 */
const ASKING_FROM_US = 5 * US;
/** How long before a picture is due a key frame is asked for; one that comes within this time is the picture. */
const LEAD_US = 500_000;
/** How long the sender may take to answer, in its own time. */
const PATIENCE_US = US;
/** A picture taken a little before the request can still be the answer, because it was not encoded yet. */
const ENCODING_US = 100_000;
/** Samples arrive here with a delay, so an answer is seen late; until then no second request is made. */
const RETRY_US = 4 * US;
/** After this much silence the video has stopped, and requests are useless. */
const STOPPED_US = 4 * US;
/** Up to this many pictures are decoded rather than waited for. */
const FEW = 20;
/** How many samples since the last key frame are kept undecoded: with requests, and without. */
const KEPT_ASKING = 300;
const KEPT_FOLLOWING = 60;
/** At this many samples one early request finds out whether the sender answers. */
const PROBE_AT = 270;
const KEPT_BYTES = 2_000_000;
/**
 * At most this many samples are decoded in one call while catching up with the present, so that nobody else is held up
 * for long.
 */
const BATCH = 10;
/** How soon another picture is tried when one was black. */
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
  /** A picture is finished and on the spool. Called in order, and again only after this has resolved. */
  onFile(file: Snapshot): Promise<void>;
  /** A picture's file could not be written, in words. */
  onLost(what: string): void;
  /** When an earlier run of the recording took the last one. */
  lastUs?: RecordingUs | undefined;
};

/** What the sender said of a sample besides the stream. */
export type Shown = { color?: VideoColor | undefined; orientation?: Orientation | undefined };

type Kept = Shown & { data: Buffer; ptsUs: RecordingUs; keyFrame: boolean };

export class SnapshotLine {
  readonly #o: SnapshotLineOptions;
  readonly #files: SnapshotFiles;
  readonly #asks: boolean;
  #decoder: VideoDecoder | undefined;
  /** What the decoder must get to reach the present; begins with a key frame or continues what the decoder had. */
  #kept: Kept[] = [];
  #keptBytes = 0;
  /** Nothing can be decoded before the next key frame. */
  #cold = true;
  #newestUs = Number.NEGATIVE_INFINITY;
  /** When the next picture is due; from `#zeroUs`, the time of the first, at every interval. */
  #dueUs: RecordingUs | undefined;
  #zeroUs: RecordingUs | undefined;
  /** When the key frame was asked for that has not come, and when one was last asked for. */
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

  /** How many pictures were taken and are not on the spool yet. */
  get waiting(): number {
    return this.#files.waiting;
  }

  /** How many samples have been decoded. */
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
   * Does what is due.
   * @param nowUs the present, microseconds of the recording; not how far samples have been pushed
   * @returns whether the sender should be asked for a key frame now, once; true is not repeated before an answer could
   * be seen
   */
  poll(nowUs: RecordingUs): { keyFrameWanted: boolean } {
    if (this.#closed) return { keyFrameWanted: false };
    const stopped = this.#newestUs < nowUs - STOPPED_US;
    // Nobody can say whether a silent sender answers, and it is not waited for.
    if (stopped) this.#askedUs = undefined;
    this.#advance(BATCH);
    const keyFrameWanted = !stopped && this.#isKeyFrameOfUse(nowUs) && nowUs - this.#lastAskedUs >= RETRY_US;
    if (keyFrameWanted) {
      this.#askedUs = nowUs;
      this.#lastAskedUs = nowUs;
    }
    return { keyFrameWanted };
  }

  /**
   * How many snapshots were given up since the last call, because the disk was too slow or they could not be encoded.
   */
  takeDropped(): number {
    return this.#files.takeDropped();
  }

  /** No more samples come: takes what is due, resolves when everything is on the spool, and frees everything. */
  async finish(): Promise<void> {
    try {
      this.#askedUs = undefined;
      if (!this.#closed) this.#advance(Number.POSITIVE_INFINITY);
      // With B-frames the last pictures are still in the decoder.
      if (!this.#closed && !this.#cold && this.#decoder) this.#take(this.#decoder.flush(), false);
      await this.#files.finish();
    } finally {
      this.close();
    }
  }

  /** Frees everything native; snapshots that are being written are still finished. Calling it again does nothing. */
  close(): void {
    this.#closed = true;
    this.#chill();
  }

  #isKeyFrameOfUse(nowUs: RecordingUs): boolean {
    // Everything is decoded anyway; only damage makes that need a key frame.
    if (!this.#asks) return this.#cold;
    // Once it is known whether the sender answers, it is known which samples need not be kept.
    if (this.#answers === undefined && this.#kept.length >= PROBE_AT) return true;
    return nowUs >= this.#due().fromUs && !this.#isTaking();
  }

  /** `fromUs`: a key frame from here on is good enough. */
  #due(): { dueUs: RecordingUs; fromUs: RecordingUs } {
    const dueUs = this.#dueUs ?? Number.POSITIVE_INFINITY;
    return { dueUs, fromUs: this.#asks ? Math.max(0, dueUs - LEAD_US) : dueUs };
  }

  /** Whether the next kept sample must be decoded for the picture that is due. */
  #isTaking(): boolean {
    const first = this.#kept[0];
    if (!first) return false;
    const { dueUs, fromUs } = this.#due();
    if (first.keyFrame && first.ptsUs >= fromUs) return true;
    if (this.#newestUs < dueUs) return false;
    // An answer that may be on its way saves decoding many samples.
    return this.#kept.length <= FEW || this.#askedUs === undefined || this.#answers === false;
  }

  #advance(batch: number): void {
    for (let n = 0; n < batch && this.#isTaking(); n++) this.#decodeNext();
  }

  /** Keeps what is kept within its bounds. */
  #trim(): void {
    const limit = this.#asks ? KEPT_ASKING : KEPT_FOLLOWING;
    while (this.#kept.length > limit || (this.#keptBytes > KEPT_BYTES && this.#kept.length > 1)) {
      // A sender that answers will send a key frame when it is needed; from others everything must be decoded.
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
    // A picture that refers to a damaged one is damaged too.
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
    // When one picture was late the next does not follow at once.
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
