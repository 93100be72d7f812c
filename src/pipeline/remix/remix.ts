/**
 * Mixes a recording of single users afterwards: one picture and one sound, made from a manifest's slices as fast as the
 * machine can. It joins readers, decoders, compositor, mixer, encoders and writers, driven by the same absolute clock
 * as a live mix.
 */
import type { Manifest } from '../../contract/line/manifest.ts';
import type { AudioPlan, MixPlan, VideoPlan } from '../../contract/line/plan.ts';
import { type Stereo, sideOf } from '../../contract/line/stereo.ts';
import { type RecordingUs, US } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { HoldLine, usOfBlocks } from '../hold-line.ts';
import { Canvas } from '../mix/canvas.ts';
import { AUDIO_BLOCK, MixOutput } from '../mix/mix-output.ts';
import { FIRST_PICTURE_US } from '../mix/participants.ts';
import { PictureClock } from '../mix/picture-clock.ts';
import { Timeline } from '../timeline.ts';
import type { Cast, CastStay } from './cast.ts';
import type { ReadSlice } from './sample-stream.ts';
import { StayPictures } from './stay-pictures.ts';
import { UserSound } from './user-sound.ts';

/** Sound is decoded this far before it is mixed, so that a block's neighbours are there. */
const SOUND_AHEAD_US = 120_000;
/** A mix without a picture moves on in steps of this many frames a second. */
const SOUND_ONLY_FPS = 25;

export type RemixOptions = {
  cast: Cast;
  /** The part of the recording that is mixed, microseconds of it. */
  fromUs: RecordingUs;
  toUs: RecordingUs;
  /** When the recording was on hold, in order: that time is cut out, whatever files hold of it. */
  holds: Manifest['holds'];
  /** UTC of the recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** Undefined when there is to be no picture, or no sound. */
  video: VideoPlan | undefined;
  audio: AudioPlan | undefined;
  /** Who is heard on which side, where the sound is stereo. */
  stereo?: Stereo | undefined;
  files: MixPlan['files'];
  /** Where an MP4 ends, and the next begins. */
  mp4Limit: MixPlan['mp4Limit'];
  /** An empty folder for the files, and the start of their names. */
  dir: string;
  baseName: string;
  /** Threads of the video encoder. */
  threads: number;
  read: ReadSlice;
  /** How much of the mix has been made, microseconds. */
  onProgress?(doneUs: number): void;
  /** Something of the recording could not be used, in words; the mix goes on without it. */
  onProblem(what: string): void;
  /** Gives the mix up; the signal's reason is thrown. */
  signal?: AbortSignal | undefined;
};

/** Makes the mix and returns its files, finished. Throws a Fault when they cannot be written. */
export async function remix(options: RemixOptions): Promise<SpooledFile[]> {
  const { fromUs, toUs, zeroUtcMs, video, audio, dir, baseName, threads, files: wanted } = options;
  const files: SpooledFile[] = [];
  const holds = holdLineOf(options);
  const clock = new PictureClock(video?.fps ?? SOUND_ONLY_FPS, fromUs, 0, holds);
  /** Where the files begin: a mix may begin within a hold. */
  const beginUs = Math.min(clock.dueUs, toUs);
  const heldUs = (atUs: RecordingUs) =>
    usOfBlocks(holds.heldBefore(holds.blockAt(atUs)) - holds.heldBefore(holds.blockAt(beginUs)));
  const output = await MixOutput.open({
    ...{ video, audio, files: wanted, mp4Limit: options.mp4Limit, baseName, spoolDir: dir, threads },
    zeroUtcMs: zeroUtcMs + beginUs / 1000,
    onSliceStart: () => {},
    onFile: (file) => files.push(file),
  });
  const pictures = video && new Pictures(options, video);
  const sounds = audio && new Sounds(options, audio, output, holds);
  /** One canvas is encoded while the next is drawn. */
  let encoding: Promise<void> = Promise.resolve();
  let reachedUs = beginUs;
  try {
    while (clock.dueUs < toUs) {
      options.signal?.throwIfAborted();
      const atUs = clock.dueUs;
      // Files are told of each hold, as in a live mix: what begins after it begins at its own time.
      for (const hold of holds.between(reachedUs, atUs)) {
        await encoding;
        await sounds?.mixUntil(hold.fromUs);
        await output.hold(clock.frame);
        await output.resume(sounds?.sample ?? 0, heldUs(hold.untilUs));
      }
      reachedUs = atUs;
      if (pictures) {
        // A picture belongs to the nearest frame.
        const canvas = await pictures.draw(atUs, atUs + US / 2 / clock.fps);
        await encoding;
        encoding = output.writePicture(canvas, clock.frame, pictures.changed);
        // Awaited with the next canvas, or below; until then nobody handles a failure.
        encoding.catch(() => {});
      }
      await sounds?.mixUntil(atUs);
      clock.advance();
      options.onProgress?.(Math.min(clock.dueUs, toUs) - fromUs);
    }
    await encoding;
    // With a picture: up to the last whole block before its end. Without one: up to the block that holds the end.
    await sounds?.mixUntil(video ? Math.min(clock.dueUs, toUs + US / clock.fps) : toUs + usOfBlocks(1));
    await output.finish();
    return files;
  } finally {
    await encoding.catch(() => {});
    await pictures?.close();
    await sounds?.close();
    output.close();
  }
}

/** The holds of the mix, which begins at `fromUs` of the recording. */
export function holdLineOf({ holds, fromUs }: Pick<RemixOptions, 'holds' | 'fromUs'>): HoldLine {
  const timeline = new Timeline(false);
  for (const hold of holds) {
    timeline.change(hold.fromUs, true);
    timeline.change(hold.untilUs, false);
  }
  return new HoldLine(fromUs, timeline);
}

/** Who is there, what they show, and the canvas that it is drawn on. */
class Pictures {
  readonly #options: RemixOptions;
  readonly #plan: VideoPlan;
  readonly #canvas: Canvas;
  /** Stays that are still to come, in order of joining. */
  readonly #coming: CastStay[];
  /** Stays that have begun, in order of joining. */
  #there: { stay: CastStay; pictures: StayPictures }[] = [];

  constructor(options: RemixOptions, plan: VideoPlan) {
    this.#options = options;
    this.#plan = plan;
    this.#canvas = new Canvas(plan);
    this.#coming = options.cast.stays.filter(({ leftUs }) => leftUs > options.fromUs);
  }

  /** The canvas of `atUs` with the pictures of `shownUs`; it keeps its pixels until the next call. */
  async draw(atUs: RecordingUs, shownUs: RecordingUs): Promise<Picture> {
    await this.#follow(atUs);
    const uids: string[] = [];
    const shown = new Map<string, Picture | undefined>();
    for (const { stay, pictures } of this.#there) {
      const picture = await pictures.pictureAt(shownUs);
      if (!picture && isAwaited(stay, atUs)) continue;
      uids.push(stay.uid);
      shown.set(stay.uid, picture);
    }
    return this.#canvas.draw(this.#plan, uids, shown);
  }

  /** As of Canvas. */
  get changed(): Canvas['changed'] {
    return this.#canvas.changed;
  }

  async close(): Promise<void> {
    for (const { stay, pictures } of this.#there.splice(0)) await this.#end(stay, pictures);
    this.#canvas.close();
  }

  async #follow(atUs: RecordingUs): Promise<void> {
    const { read, onProblem, fromUs } = this.#options;
    for (const { stay, pictures } of this.#there) if (stay.leftUs <= atUs) await this.#end(stay, pictures);
    this.#there = this.#there.filter(({ stay }) => stay.leftUs > atUs);
    while (this.#coming[0] && this.#coming[0].joinedUs <= atUs) {
      const stay = this.#coming.shift() as CastStay;
      if (stay.leftUs > atUs) this.#there.push({ stay, pictures: new StayPictures(stay, fromUs, read, onProblem) });
    }
  }

  async #end({ uid }: CastStay, pictures: StayPictures): Promise<void> {
    await pictures.close();
    const { damaged } = pictures;
    if (damaged > 0) this.#options.onProblem(`${damaged} pictures of user ${uid} are damaged and were left out`);
  }
}

/** True while a user whose first picture is about to come has no place yet, as in a live mix. */
function isAwaited({ joinedUs, slices }: CastStay, atUs: RecordingUs): boolean {
  const first = slices.find((slice) => slice.startUs + slice.durationUs > joinedUs);
  return first !== undefined && first.startUs - joinedUs < FIRST_PICTURE_US && atUs - joinedUs < FIRST_PICTURE_US;
}

/** Everybody's sound, mixed and written block by block. */
class Sounds {
  readonly #output: MixOutput;
  readonly #mixer: SoundMixer;
  readonly #users: [uid: string, sound: UserSound][];
  readonly #holds: HoldLine;
  readonly #stereo: Stereo | undefined;
  /** The next block that the mixer hands over, counted from the mix's first. */
  #block = 0;

  constructor(options: RemixOptions, { channels }: AudioPlan, output: MixOutput, holds: HoldLine) {
    const { cast, fromUs, read, onProblem } = options;
    this.#output = output;
    this.#stereo = options.stereo;
    this.#holds = holds;
    this.#mixer = new SoundMixer({ channels });
    this.#mixer.seek(holds.originSample);
    this.#users = [...cast.sounds]
      .filter(([, slices]) => slices.length > 0)
      .map(([uid, slices]) => [uid, new UserSound(slices, fromUs, channels, read, onProblem)]);
  }

  /** Where in the files the next block goes, samples. */
  get sample(): number {
    return (this.#block - this.#holds.heldBefore(this.#block)) * AUDIO_BLOCK;
  }

  /** Mixes and writes whole blocks that end before `untilUs`. */
  async mixUntil(untilUs: RecordingUs): Promise<void> {
    for (const [uid, sound] of this.#users) {
      const side = sideOf(this.#stereo, uid);
      await sound.decodeUntil(untilUs + SOUND_AHEAD_US, (start, block) => this.#mixer.add(uid, start, block, side));
    }
    const holds = this.#holds;
    while (holds.timeOf(this.#block + 1) <= untilUs) {
      const { sample } = this;
      const block = this.#block++;
      const sound = this.#mixer.take(AUDIO_BLOCK);
      if (holds.isHeld(block)) continue;
      await this.#output.writeSound(withFades(sound, holds.edgesOf(block)), sample);
    }
  }

  async close(): Promise<void> {
    for (const [, sound] of this.#users) await sound.close();
  }
}
