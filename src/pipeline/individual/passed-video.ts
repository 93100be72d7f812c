/**
 * PassedVideo: the video slices of one user, passed on as they came: H.264 in MPEG-TS, VP8, VP9 and AV1 in WebM.
 * A new slice begins with another codec, another size or turn of the picture, and after an interruption (contract §4.2).
 */
import { US } from '../../kernel/time.ts';
import type { Orientation } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { VideoCodec } from '../../media/track.ts';
import type { PictureShape, SliceContainer } from '../../stages/mux/slices.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { WebmContainer } from '../../stages/mux/webm/webm-container.ts';
import { pictureSizeOf } from '../../stages/rtp/picture-size.ts';
import type { PlacedSample } from './due-samples.ts';
import { type FileSink, INTERRUPTION_US, SliceRuns } from './file-sink.ts';

/** Times in a file grow by at least this, the tick of WebM. */
const MIN_STEP_US = 1000;
/** How long a picture is shown that nothing follows, unless those before it were shown longer. */
const LAST_PICTURE_US = 33_333;

export type PassedPicture = { sample: EncodedSample; codec: VideoCodec; shape: PictureShape };

export type PassedVideoOptions = {
  sink: FileSink;
  uid: string;
  /** Lists slices of WebM as well. */
  mpd?: string | undefined;
  /** Every picture that was written, in order. */
  onPicture?(picture: PassedPicture): void;
};

type CurrentRun = { track: number; codec: VideoCodec; shape: PictureShape; startUs: number };

export class PassedVideo {
  readonly #o: PassedVideoOptions;
  readonly #runs: SliceRuns;
  #run: CurrentRun | undefined;
  /** Waits for the next one, which says how long it is shown. */
  #pending: EncodedSample | undefined;
  #typicalUs = LAST_PICTURE_US;
  #keyFrameWanted = false;

  constructor(options: PassedVideoOptions) {
    this.#o = options;
    this.#runs = new SliceRuns(options.sink, options.uid, 'video');
  }

  /** True while nothing can be written before the sender sends a key frame, or a slice waits for one to begin. */
  get keyFrameWanted(): boolean {
    return this.#keyFrameWanted;
  }

  /** Where the stretch of pictures that goes on now began, microseconds of the recording; undefined while there is none. */
  get runStartUs(): number | undefined {
    return this.#run?.startUs;
  }

  /** Takes the next picture of a track. Throws a Fault when a slice could not be written. */
  push(sample: PlacedSample, track: number, codec: VideoCodec): void {
    const lastUs = this.#pending?.ptsUs ?? Number.NEGATIVE_INFINITY;
    // What was sent before the start call is shown in a moment at the file's beginning: later pictures refer to it.
    const ptsUs = Math.max(0, sample.ptsUs, lastUs + MIN_STEP_US);
    const run = this.#run;
    const goesOn = run?.track === track && run.codec === codec && ptsUs - lastUs < INTERRUPTION_US;
    if (!goesOn && !sample.keyFrame) {
      this.#keyFrameWanted = true;
      return;
    }
    const shape = shapeOf(sample, codec, run?.shape);
    if (!shape) return;
    this.#writePending(goesOn ? ptsUs - lastUs : undefined);
    if (!goesOn || !run) this.#begin({ track, codec, shape, startUs: ptsUs }, false);
    else if (shape.width !== run.shape.width || shape.height !== run.shape.height) this.#begin({ ...run, shape }, true);
    else if (shape.rotate !== run.shape.rotate) {
      this.#runs.turn(shape, ptsUs, sample.keyFrame);
      this.#keyFrameWanted = true;
      run.shape = shape;
    }
    if (sample.keyFrame) this.#keyFrameWanted = false;
    this.#pending = {
      kind: 'video',
      ptsUs,
      dtsUs: ptsUs,
      durationUs: 0,
      keyFrame: sample.keyFrame,
      data: sample.data,
    };
  }

  /** The stream ended, or is not wanted any more: what comes next begins a new slice. */
  interrupt(): void {
    this.#writePending(undefined);
    this.#run = undefined;
    this.#keyFrameWanted = false;
    this.#runs.end();
  }

  /** A picture is left out: the stream ends, and goes on with a key frame, which is asked for once it is wanted again. */
  leaveOut(): void {
    this.interrupt();
    this.#keyFrameWanted = true;
  }

  /** Ends the stream where nothing came for long. @param nowUs of the recording */
  step(nowUs: number): void {
    if (this.#pending && nowUs - this.#pending.ptsUs >= INTERRUPTION_US) this.interrupt();
  }

  async finish(): Promise<void> {
    this.interrupt();
    await this.#runs.finish();
  }

  close(): void {
    this.#runs.close();
  }

  #begin(run: CurrentRun, continues: boolean): void {
    const { codec, shape } = run;
    this.#run = run;
    const isWebm = codec !== 'h264';
    this.#runs.begin({
      kinds: ['video'],
      codecs: { video: codec },
      container: containerOf(codec, shape),
      shape,
      continues,
      forced: !isWebm,
      mpd: isWebm ? this.#o.mpd : undefined,
    });
  }

  /** @param shownUs until the next picture; undefined when none follows */
  #writePending(shownUs: number | undefined): void {
    const pending = this.#pending;
    const run = this.#run;
    this.#pending = undefined;
    if (!pending || !run) return;
    if (shownUs !== undefined && shownUs < US) this.#typicalUs = shownUs;
    const sample = { ...pending, durationUs: shownUs ?? this.#typicalUs };
    this.#runs.write(sample);
    this.#o.onPicture?.({ sample, codec: run.codec, shape: run.shape });
  }
}

/** Playlists count anticlockwise (contract §4.3), senders clockwise. A mirrored picture cannot be told. */
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
