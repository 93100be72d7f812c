/**
 * PassedVideo: the video slices of one user, passed on as they came: H.264 in MPEG-TS, VP8, VP9 and AV1 in WebM. A new
 * slice begins with another codec, with another size or rotation of the picture, and after an interruption (contract
 * §4.2); always with a key frame. Until the sender has one the former slice goes on, and nothing that can be decoded is
 * left out.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { Orientation } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { VideoCodec } from '../../media/track.ts';
import type { PictureShape, SliceContainer } from '../../stages/mux/slice-container.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../../stages/mux/webm/webm-container.ts';
import { pictureSizeOf } from '../../stages/rtp/picture-size.ts';
import type { PlacedSample } from './due-samples.ts';
import { INTERRUPTION_US, type SliceRuns } from './file-sink.ts';
import { KnownPictures, type RowEnd } from './row-end.ts';

/** Times in a file grow by at least this, the tick of WebM. */
export const MIN_STEP_US = 1000;
/** How long the last picture is shown, unless those before it were shown longer. */
const LAST_PICTURE_US = 33_333;

export type PassedPicture = { sample: EncodedSample; codec: VideoCodec; shape: PictureShape };

export type PassedVideoOptions = {
  /** The user's row of pictures. */
  runs: SliceRuns;
  /** The MPD that lists slices of WebM as well. */
  mpd?: string | undefined;
  /**
   * Called for every picture that is passed on, in decode order, as it comes: how long it is shown is not known yet.
   */
  onPicture?(picture: PassedPicture): void;
  /** A picture could not be used, in words. */
  onLost(what: string): void;
  /** What an earlier run of the recording left. */
  past?: RowEnd | undefined;
};

type CurrentRun = { track: number; codec: VideoCodec; shape: PictureShape; startUs: RecordingUs };

export class PassedVideo {
  readonly #o: PassedVideoOptions;
  readonly #runs: SliceRuns;
  #run: CurrentRun | undefined;
  /** The times of the last picture that was written: its data would be kept for as long as a camera is off. */
  #last: Pick<EncodedSample, 'ptsUs' | 'dtsUs'> | undefined;
  #typicalUs = LAST_PICTURE_US;
  /** The pictures that files of a lost run hold already. */
  #known: KnownPictures | undefined;
  #keyFrameWanted = false;
  /** The stream was interrupted and went on without a key frame: the next key frame begins a new slice. */
  #breaking = false;
  /** Nothing came for so long that the stream counts as interrupted. */
  #stalled = false;

  constructor(options: PassedVideoOptions) {
    this.#o = options;
    this.#runs = options.runs;
    const { past } = options;
    if (!past?.picture) return;
    const { codec, shape, lastUs, highestUs } = past.picture;
    this.#known = new KnownPictures(lastUs, highestUs);
    if (!past.isOpen) return;
    this.#run = { track: Number.NaN, codec, shape, startUs: past.startUs };
    this.#last = { ptsUs: lastUs, dtsUs: past.picture.decodedUs };
  }

  /** True while nothing can be written before a key frame comes, or a slice waits for one to begin. */
  get keyFrameWanted(): boolean {
    return this.#keyFrameWanted || this.#runs.keyFrameWanted;
  }

  /** As in PictureShape; 0 while there is no picture. */
  get rotate(): PictureShape['rotate'] {
    return this.#run?.shape.rotate ?? 0;
  }

  /** Where the present stretch of pictures began, microseconds of the recording; undefined while there is none. */
  get runStartUs(): RecordingUs | undefined {
    return this.#stalled ? undefined : this.#run?.startUs;
  }

  /** Takes the next picture of a track, in order of decoding. */
  push(sample: PlacedSample, track: number, codec: VideoCodec): void {
    const { keyFrame, data } = sample;
    if (this.#known?.has(sample.ptsUs)) {
      this.#skip(sample, track, codec);
      return;
    }
    const lastUs = this.#last?.dtsUs ?? Number.NEGATIVE_INFINITY;
    // What was sent before the start call is shown in a moment at the file's beginning, because later pictures refer to
    // it.
    const dtsUs = Math.max(0, sample.dtsUs ?? sample.ptsUs, lastUs + MIN_STEP_US);
    // Only H.264 shows pictures in another order than it decodes them: of others a time that goes back is wrong.
    const ptsUs = codec === 'h264' ? Math.max(dtsUs, sample.ptsUs) : dtsUs;
    const run = this.#run;
    const isSame = run?.track === track && run.codec === codec;
    this.#breaking ||= dtsUs - lastUs >= INTERRUPTION_US;
    const goesOn = isSame && !(this.#breaking && keyFrame);
    if (!goesOn && !keyFrame) {
      this.#keyFrameWanted = true;
      this.#o.onLost('a picture came before the key frame that it takes');
      return;
    }
    const shape = shapeOf(sample, codec, run?.shape);
    if (!shape) {
      this.#keyFrameWanted = true;
      this.#o.onLost(`a key frame of ${codec} does not say its size`);
      return;
    }
    if (goesOn) this.#noteStep(dtsUs);
    if (!goesOn || !run) this.#begin({ track, codec, shape, startUs: ptsUs }, false);
    else if (shape.width !== run.shape.width || shape.height !== run.shape.height)
      this.#begin({ ...run, shape, startUs: ptsUs }, true);
    else if (shape.rotate !== run.shape.rotate) {
      this.#runs.turn(shape, ptsUs, keyFrame);
      this.#keyFrameWanted = true;
      run.shape = shape;
    }
    if (keyFrame) {
      this.#keyFrameWanted = false;
      this.#breaking = false;
    } else if (this.#breaking) this.#keyFrameWanted = true;
    this.#stalled = false;
    this.#last = { ptsUs, dtsUs };
    const written: EncodedSample = { kind: 'video', ptsUs, dtsUs, durationUs: this.#typicalUs, keyFrame, data };
    this.#runs.write(written);
    this.#o.onPicture?.({ sample: written, codec, shape });
  }

  /** The picture is in a file of an earlier run; later pictures may refer to it. */
  #skip({ keyFrame, data, ...sample }: PlacedSample, track: number, codec: VideoCodec): void {
    const shape = shapeOf({ keyFrame, data, ...sample }, codec, this.#run?.shape);
    if (this.#run) this.#run = { ...this.#run, track };
    if (!shape) return;
    const dtsUs = sample.dtsUs ?? sample.ptsUs;
    const passed: EncodedSample = {
      kind: 'video',
      ptsUs: sample.ptsUs,
      dtsUs,
      durationUs: this.#typicalUs,
      keyFrame,
      data,
    };
    this.#o.onPicture?.({ sample: passed, codec, shape });
  }

  /** The stream ended or is no longer wanted: what comes next begins a new slice. */
  interrupt(): void {
    this.#last = undefined;
    this.#run = undefined;
    this.#keyFrameWanted = false;
    this.#breaking = false;
    this.#stalled = false;
    this.#runs.end();
  }

  /**
   * A picture was left out: the stream ends, and goes on with a key frame, which is asked for once the stream is wanted
   * again.
   */
  leaveOut(): void {
    this.interrupt();
    this.#keyFrameWanted = true;
  }

  /**
   * Notices when nothing has come for long.
   * @param nowUs of the recording
   */
  step(nowUs: RecordingUs): void {
    this.#stalled = this.#last !== undefined && nowUs - this.#last.ptsUs >= INTERRUPTION_US;
  }

  #begin(run: CurrentRun, continues: boolean): void {
    const { codec, shape } = run;
    this.#run = run;
    const isWebm = codec !== 'h264';
    if (continues) this.#runs.end(run.startUs);
    this.#runs.begin({
      kinds: ['video'],
      codecs: { video: codec },
      container: () => containerOf(codec, shape),
      shape,
      continues,
      forced: !isWebm,
      mpd: isWebm ? this.#o.mpd : undefined,
    });
  }

  /** Remembers how long pictures are shown, for the last one. */
  #noteStep(nextUs: RecordingUs): void {
    const last = this.#last;
    // The steps between pictures that are squeezed into a moment, or decoded early, tell nothing.
    if (!last || last.ptsUs > last.dtsUs) return;
    const shownUs = nextUs - last.dtsUs;
    if (shownUs > MIN_STEP_US && shownUs < US) this.#typicalUs = shownUs;
  }
}

/** Playlists count anticlockwise (contract §4.3), senders clockwise. A playlist cannot tell of a mirrored picture. */
function rotateOf({ turn }: Orientation): PictureShape['rotate'] {
  return ((360 - turn) % 360) as PictureShape['rotate'];
}

function shapeOf(sample: PlacedSample, codec: VideoCodec, before: PictureShape | undefined): PictureShape | undefined {
  const size = (sample.keyFrame ? pictureSizeOf(codec, sample.data) : undefined) ?? before;
  if (!size) return undefined;
  const { width, height } = size;
  return { width, height, rotate: sample.orientation ? rotateOf(sample.orientation) : 0 };
}

function containerOf(codec: VideoCodec, { width, height }: PictureShape): SliceContainer {
  return codec === 'h264' ? new TsContainer({ video: { width, height } }) : new WebmContainer(codec);
}
