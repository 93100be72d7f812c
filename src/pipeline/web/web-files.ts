/**
 * WebFiles: the files of a page's recording. It decides where in them each picture and each piece of sound belongs,
 * leaves out what is on hold, and continues an earlier run's files.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import type { RungName } from '../../contract/line/rungs.ts';
import type { Clock } from '../../kernel/clock.ts';
import { type FileUs, type HostUs, type RecordingUs, toRecording, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { NativePicture } from '../../stages/codec/picture-pool.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { HoldLine, usOfBlocks } from '../hold-line.ts';
import type { EarlierRuns } from '../mix/earlier-runs.ts';
import type { MixCheckpoint } from '../mix/mix-checkpoint.ts';
import { AUDIO_BLOCK, type LiveOutput, MixOutput } from '../mix/mix-output.ts';
import { Degradation } from '../overload/degradation.ts';
import type { Happening } from '../recording.ts';
import type { PageReport } from '../report/page-report.ts';
import type { QualityCollector } from '../report/quality-collector.ts';
import { Timeline } from '../timeline.ts';
import { Losses } from '../tracks/losses.ts';
import { FrameNumbers } from './frame-numbers.ts';

/** A picture, its moment, and whether it differs from the one before. */
export type Grabbed = { picture: NativePicture; atUs: RecordingUs; changed: boolean };

export type WebFilesOptions = {
  start: StartCommand;
  plan: WebPlan;
  report: QualityCollector;
  page: PageReport;
  clock: Clock;
  emit(happening: Happening): void;
  live?: LiveOutput | undefined;
};

const VOICE = 'page';
/** Pictures wait for no more than a second, so half of one is late already. */
const LAG_LIMITS = { lateLagUs: 500_000, inTimeLagUs: 200_000 };
/** How long after its moment sound may still arrive. */
const SOUND_DELAY_US = 400_000;
/**
 * How long sound that has not come by then is still waited for: after a time in which the process could not run, its
 * timers come before what arrived meanwhile.
 */
const SOUND_PATIENCE_US = 2 * US;
const CHECKPOINT_US = US;

/** What is known once the files have begun. */
type Begun = {
  originUs: RecordingUs;
  holds: HoldLine;
  numbers: FrameNumbers;
  output: MixOutput;
  first: MixCheckpoint['begun'];
};

export class WebFiles {
  readonly #o: WebFilesOptions;
  readonly #mixer: SoundMixer;
  readonly #losses: Losses;
  readonly #soundClock = new ParticipantClock().addStream(SOUND_RATE);
  /** The holds that are known before the files begin. */
  readonly #holdsAhead: Timeline<boolean>;
  #earlier: EarlierRuns | undefined;
  #begun: Begun | undefined;
  /** What is taken from the picture where the machine is too slow. */
  #degradation: Degradation | undefined;
  /** The newest picture, where it was left out: a slice ends with it all the same before a hold, and the files do. */
  #leftOut: (Pick<Grabbed, 'picture' | 'atUs'> & { frame: number }) | undefined;
  /** A picture was left out that differed from the one before it. */
  #changeLeftOut = false;
  /** The output has been put on hold. */
  #onhold = false;
  /** A hold is over, and no picture was written since. */
  #goesOn = false;
  /** The next sample that the mixer hands over, counted from the recording's zero. */
  #soundAt = 0;
  /** Up to where sound has come. */
  #heardUs: RecordingUs = Number.NEGATIVE_INFINITY;
  /** The moment of the last picture that was written. */
  #pictureUs = Number.NEGATIVE_INFINITY;
  #checkpointUs = Number.NEGATIVE_INFINITY;

  constructor(options: WebFilesOptions) {
    this.#o = options;
    this.#holdsAhead = new Timeline(options.plan.onhold);
    this.#losses = new Losses(options.emit);
    this.#mixer = new SoundMixer({ channels: options.plan.audio.channels, limited: false });
  }

  /** What is recorded from `nowUs` on belongs in the files. */
  async begin(nowUs: RecordingUs, earlier: EarlierRuns | undefined): Promise<void> {
    this.#earlier = earlier;
    this.#degradation = this.#degradationOf(earlier);
    this.#mixer.seek(Math.round((nowUs * SOUND_RATE) / US));
    // Files begin with a picture; but during a hold none may come for long, and what earlier runs left must be kept
    // anyway.
    if (earlier && earlier.mended.length > 0 && this.#holdsAhead.at(nowUs)) await this.#open(nowUs);
  }

  /** What is taken from the picture now. */
  get rung(): RungName | undefined {
    return this.#degradation?.rung;
  }

  /** Takes for how long the oldest picture that waits has done so, microseconds. */
  observeLag(lagUs: number): void {
    this.#degradation?.observe(lagUs);
  }

  /** Puts the recording on hold from `fromUs` on, or ends the hold. Returns from when that really takes effect. */
  changeHold(fromUs: RecordingUs, onhold: boolean): RecordingUs {
    const holds = this.#begun?.holds;
    if (!holds) return this.#holdsAhead.change(fromUs, onhold);
    // The last block before a hold is faded out, so it must not be written yet.
    const made = this.#soundBlock(holds);
    const from = holds.blockAt(Math.max(fromUs, this.#pictureUs));
    return holds.timeOf(holds.change(Math.max(from, made + 1), onhold));
  }

  addSound(sound: Sound, firstFrame: number, arrivalUs: HostUs): void {
    this.#soundClock.onPacket(firstFrame + sound.samples, arrivalUs);
    const atUs = this.#soundClock.toLocalUs(firstFrame) - this.#o.start.zeroMonoUs;
    this.#heardUs = atUs + (sound.samples * US) / SOUND_RATE;
    this.#mixer.add(VOICE, (atUs * SOUND_RATE) / US, sound);
  }

  /** Up to where sound can be written at `nowUs`. */
  soundDueUs(nowUs: RecordingUs): RecordingUs {
    return Math.max(nowUs - SOUND_PATIENCE_US, Math.min(nowUs - SOUND_DELAY_US, this.#heardUs));
  }

  /**
   * Whether a picture of this moment can be written now. A picture from after a hold waits until sound has come that
   * far: both end together where the hold begins.
   */
  takesPicture(atUs: RecordingUs): boolean {
    const holds = this.#begun?.holds;
    if (!holds || holds.isHeld(holds.blockAt(atUs))) return true;
    const soundUs = holds.timeOf(this.#soundBlock(holds));
    // During a hold only a picture that came far too late belongs to a moment before it, and it is dropped.
    return this.#onhold ? atUs < soundUs : holds.between(soundUs, atUs).length === 0;
  }

  /**
   * Encodes and writes a picture, unless it is on hold or has no place. The caller keeps it. Await it before the next
   * call.
   */
  async addPicture({ picture, atUs, changed }: Grabbed): Promise<void> {
    if (!this.#begun && this.#holdsAhead.at(atUs)) return;
    const begun = this.#begun ?? (await this.#open(atUs));
    if (this.#onhold || begun.holds.isHeld(begun.holds.blockAt(atUs))) return;
    const { next } = begun.numbers;
    const taken = begun.numbers.take(this.#fileUs(begun, atUs));
    if (taken === undefined) return;
    // The last picture before a hold is shown to its end, and the first one after the hold from there on.
    const frame = this.#goesOn ? next : taken;
    this.#goesOn = false;
    this.#pictureUs = atUs;
    this.#forgetLeftOut();
    this.#changeLeftOut ||= changed;
    if (!begun.output.awaitsPicture && this.#degradation?.leavesOut(frame))
      this.#leftOut = { picture: picture.share(), atUs, frame };
    else await this.#writePicture(begun, picture, frame, atUs);
  }

  /**
   * Writes whole blocks of sound that end before `untilUs`. Resolves to false when all are written, and to true where a
   * hold begins or ends: then the pictures up to there come before the next call. Await it before the next call.
   */
  async recordSound(untilUs: RecordingUs): Promise<boolean> {
    const begun = this.#begun;
    if (!begun) {
      this.#passOver(untilUs);
      return false;
    }
    this.#losses.step(untilUs);
    const { holds } = begun;
    while (((this.#soundAt + AUDIO_BLOCK) * US) / SOUND_RATE <= untilUs) {
      const block = this.#soundBlock(holds);
      const isHeld = holds.isHeld(block);
      if (isHeld !== this.#onhold) {
        await this.#turn(begun, block, isHeld);
        return true;
      }
      const sound = this.#mixer.take(AUDIO_BLOCK);
      const atUs = (this.#soundAt * US) / SOUND_RATE;
      if (isHeld) this.#o.page.onHeld(atUs);
      else {
        const faded = withFades(sound, holds.edgesOf(block));
        this.#o.page.onSound(atUs, faded);
        await begun.output.writeSound(faded, sampleOf(holds, block));
      }
      this.#soundAt += AUDIO_BLOCK;
      holds.forget(block - 100);
      await this.#checkpoint(begun);
    }
    return false;
  }

  /** Finishes all files. Resolves to whether there are any. */
  async finish(): Promise<boolean> {
    if (this.#begun) await this.#writeLastPicture(this.#begun);
    await this.#begun?.output.finish();
    this.#losses.flush();
    return this.#begun !== undefined || (this.#earlier?.sliceIndex ?? 0) > 0;
  }

  close(): void {
    this.#forgetLeftOut();
    this.#begun?.output.close();
  }

  #degradationOf(earlier: EarlierRuns | undefined): Degradation {
    const { start, plan, report, clock, emit } = this.#o;
    const { rung = 'full', overload } = earlier ?? {};
    return new Degradation({
      ...{ limits: LAG_LIMITS, fps: plan.video.fps, lowest: start.lowestRung, clock, emit, report: report.overload },
      from: start.generation > 1 ? { rung, overload } : undefined,
      nowUs: () => toRecording(clock.monoUs(), start.zeroMonoUs),
      onEffort: (effort) => this.#begun?.output.setEffort(effort),
    });
  }

  /** The block of sound that comes next. */
  #soundBlock(holds: HoldLine): number {
    return (this.#soundAt - holds.originSample) / AUDIO_BLOCK;
  }

  /** Where in the files a moment of the recording is. */
  #fileUs({ originUs, holds }: Begun, atUs: RecordingUs): FileUs {
    return atUs - originUs - usOfBlocks(holds.heldBefore(holds.blockAt(atUs)));
  }

  async #writePicture({ output }: Begun, picture: NativePicture, frame: number, atUs: RecordingUs): Promise<void> {
    this.#o.page.onPicture(frame, atUs, this.#changeLeftOut);
    this.#changeLeftOut = false;
    await output.writePicture(picture, frame);
  }

  /** The picture reaches as far as the sound, also where its last frame was left out. */
  async #writeLastPicture(begun: Begun): Promise<void> {
    if (!this.#leftOut) return;
    const { picture, frame, atUs } = this.#leftOut;
    await this.#writePicture(begun, picture, frame, atUs);
    this.#degradation?.takeBack();
    this.#forgetLeftOut();
  }

  #forgetLeftOut(): void {
    this.#leftOut?.picture.free();
    this.#leftOut = undefined;
  }

  /** A hold begins or ends with this block. */
  async #turn(begun: Begun, block: number, onhold: boolean): Promise<void> {
    const { output, holds, numbers } = begun;
    if (onhold) {
      await this.#writeLastPicture(begun);
      await output.hold(numbers.next);
    } else await output.resume(sampleOf(holds, block), usOfBlocks(holds.heldBefore(block)));
    this.#onhold = onhold;
    this.#goesOn = !onhold;
  }

  /** The recording is on hold before the files begin: the mixer holds only some seconds, and a hold may be long. */
  #passOver(untilUs: RecordingUs): void {
    const until = Math.floor((untilUs * SOUND_RATE) / US);
    if (this.#holdsAhead.at(untilUs) && until > this.#mixer.position) this.#skipTo(until);
    // What was on hold since an earlier run decides where its files go on.
    if (!this.#earlier) this.#holdsAhead.forget(untilUs);
  }

  /** Begins the files with the picture of `atUs`, or continues those of earlier runs. */
  async #open(atUs: RecordingUs): Promise<Begun> {
    const { start, plan, report, emit } = this.#o;
    const { video, audio, files, mp4Limit, baseName } = plan;
    const { spoolDir, zeroUtcMs, generation } = start;
    const earlier = this.#earlier;
    const originUs = earlier?.originUs ?? Math.max(0, Math.round(atUs));
    const holds = new HoldLine(originUs, this.#holdsAhead);
    const { frame, sample, block } = earlier ? this.#goOn(earlier, holds, atUs) : { frame: 0, sample: 0, block: 0 };
    const first = { frame, sample, continues: (earlier?.sliceIndex ?? 0) > 0 };
    const numbers = new FrameNumbers(video.fps, frame);
    this.#soundAt = holds.originSample + block * AUDIO_BLOCK;
    this.#skipTo(this.#soundAt);
    const heldUs = usOfBlocks(holds.heldBefore(block));
    await writeCheckpoint(spoolDir, notesOf({ originUs, holds, first }, block, this.#degradation));
    const output = await MixOutput.open({
      ...{ video, audio, mp4Limit, baseName, spoolDir, effort: this.#degradation?.effort },
      from: earlier && { frame, sample, sliceIndex: earlier.sliceIndex, continues: first.continues, heldUs },
      // A run after the first would begin its MP4 in the middle; after the end it is made from the slices instead.
      files: { ...files, mp4: files.mp4 && generation === 1 },
      zeroUtcMs: zeroUtcMs + originUs / 1000,
      // Slices of a page are told of when they are stored.
      onSliceStart: () => {},
      onLost: (output, what) => this.#losses.add(output, what),
      onFile: (file) => emit({ type: 'fileSpooled', file }),
      live: this.#o.live,
    });
    const begun: Begun = { originUs, holds, numbers, output, first };
    this.#begun = begun;
    for (const slice of earlier?.mended ?? []) await output.keep(slice);
    if (earlier && !holds.isHeld(block)) await output.prime(sample);
    report.onFilesBegun(originUs, atUs);
    if (!earlier) emit({ type: 'firstFrameRecorded', recordingUs: originUs });
    return begun;
  }

  /** Leaves out sound before `sample`; the files go on from there. */
  #skipTo(sample: number): void {
    if (this.#mixer.position > sample) this.#mixer.seek(sample);
    while (this.#mixer.position < sample) this.#mixer.take(Math.min(SOUND_RATE, sample - this.#mixer.position));
  }

  /**
   * The first frame and sample of this run, and the block of sound that it begins with; also sets how much of the time
   * before was on hold.
   */
  #goOn(earlier: EarlierRuns, holds: HoldLine, atUs: RecordingUs): { frame: number; sample: number; block: number } {
    const { fps } = this.#o.plan.video;
    const { end, heldUs, heldAtUs = atUs } = earlier;
    holds.recount(holds.blockAt(heldAtUs), heldUs / usOfBlocks(1));
    const blocks = (samples: number) => Math.ceil(samples / AUDIO_BLOCK);
    const passed = holds.blockAt(atUs);
    const ended = Math.max(end.sample, Math.round((end.frame * SOUND_RATE) / fps));
    const unheld = Math.round((passed - holds.heldBefore(passed)) * AUDIO_BLOCK);
    const sample = blocks(Math.max(ended, unheld)) * AUDIO_BLOCK;
    const frame = Math.max(end.frame, Math.ceil((sample * fps) / SOUND_RATE));
    const block = Math.ceil(passed);
    holds.recount(block, block - sample / AUDIO_BLOCK);
    const lostMs = Math.round(((sample - ended) * 1000) / SOUND_RATE);
    this.#o.emit({ type: 'degraded', what: `${lostMs} ms of the page are lost with an earlier run`, count: 1 });
    return { frame, sample, block };
  }

  /** Writes down what was on hold, for a run that may have to go on. */
  async #checkpoint(begun: Begun): Promise<void> {
    const block = this.#soundBlock(begun.holds);
    const atUs = begun.holds.timeOf(block);
    if (atUs - this.#checkpointUs < CHECKPOINT_US) return;
    this.#checkpointUs = atUs;
    await writeCheckpoint(this.#o.start.spoolDir, notesOf(begun, block, this.#degradation));
  }
}

/** The sample of the files at which a block that is not held begins. */
function sampleOf(holds: HoldLine, block: number): number {
  return (block - holds.heldBefore(block)) * AUDIO_BLOCK;
}

/** @param block up to which held blocks were counted */
function notesOf(
  { originUs, holds, first }: Pick<Begun, 'originUs' | 'holds' | 'first'>,
  block: number,
  degradation: Degradation | undefined,
): MixCheckpoint {
  const held = { heldUs: usOfBlocks(holds.heldBefore(block)), heldAtUs: holds.timeOf(block) };
  return { version: 1, mode: 'web', originUs, begun: first, ...degradation?.save(), ...held };
}
