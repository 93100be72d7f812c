/**
 * MixRecording: all users of a channel in one picture and one sound. It joins feed, lines, compositor, mixer, encoders
 * and writers, and is driven by one steady clock that runs behind the present (ADR 0004).
 */
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import type { RungName } from '../../contract/line/rungs.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { type HostUs, type RecordingUs, toHost, toRecording, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { HoldLine, usOfBlocks } from '../hold-line.ts';
import { Degradation } from '../overload/degradation.ts';
import type { Ending, LineContext, Recording } from '../recording.ts';
import { Timeline } from '../timeline.ts';
import { FeedSession } from '../tracks/feed-session.ts';
import { FOLLOW_AFTER_US } from '../tracks/follow-after.ts';
import { Losses } from '../tracks/losses.ts';
import { afterSlices, type EarlierRuns, readEarlierRuns } from './earlier-runs.ts';
import { type Ended, Horizon } from './horizon.ts';
import type { MixCheckpoint, MixMoment } from './mix-checkpoint.ts';
import { AUDIO_BLOCK, MixOutput, type MixOutputOptions, PRIMING_SAMPLES } from './mix-output.ts';
import { MixSound } from './mix-sound.ts';
import { Moments } from './moments.ts';
import { Participants } from './participants.ts';
import { PictureClock } from './picture-clock.ts';
import { Scene } from './scene.ts';

/** How often packets are passed on and what is due is made. */
const STEP_MS = 20;
/** Frames are made in bursts of this length: caches stay warm, and nobody waits for the single frame. */
const BURST_US = 200_000;
/**
 * Holds this far back, in blocks of sound, are only counted: further than anything that is composed and not written.
 */
const FORGET_BLOCKS = 1000;
/** Pictures are made up to a burst late, and up to a second where media that was waited for has come. */
const LAG_LIMITS = { lateLagUs: 1_000_000, inTimeLagUs: 500_000 };
/** A recording without a picture moves on in steps of this many frames a second. */
const SOUND_ONLY_FPS = 25;

/** So long before that it no longer passes over what comes. */
const PASS_UNTIL_US = 500_000;

export class MixRecording implements Recording {
  readonly done: Promise<Ending>;
  readonly #plan: MixPlan;
  readonly #start: StartCommand;
  readonly #context: LineContext;
  readonly #clock: Clock;
  readonly #participants: Participants;
  /** Undefined when the recording has no picture. */
  readonly #scene: Scene | undefined;
  readonly #sound: MixSound;
  readonly #session: FeedSession;
  readonly #horizon: Horizon;
  readonly #timer: Timer;
  #output: MixOutput | undefined;
  #pictureClock: PictureClock | undefined;
  /** The holds that are known before the files begin; afterwards `#holds` knows them. */
  readonly #holdsAhead: Timeline<boolean>;
  #holds: HoldLine | undefined;
  /** The output has been put on hold. */
  #onhold = false;
  /** Where a run begins that follows another one, once that is known. */
  #followedFrom: EarlierRuns | undefined;
  /** Where the first media is, in a recording that begins on hold. */
  #firstMediaUs: RecordingUs | undefined;
  /** Up to where the recording has been made, or was passed over. */
  #reachedUs: RecordingUs = 0;
  /** What is taken from the picture where the machine is too slow; absent when the recording has none. */
  readonly #degradation: Degradation | undefined;
  /** The newest frame, when it was left out: files end with it all the same. */
  #leftOut: { frame: number; atUs: RecordingUs } | undefined;
  /** What earlier runs left; undefined when nothing was recorded yet. */
  readonly #earlier: EarlierRuns | undefined;
  /**
   * Where the files of this run begin; what lies before is made only because later frames and samples depend on it, and
   * is not written.
   */
  #begun: MixCheckpoint['begun'] = { frame: 0, sample: 0, continues: false };
  readonly #moments: Moments;
  readonly #losses: Losses;
  #settle!: { resolve(ending: Ending): void; reject(error: unknown): void };

  static async start(start: StartCommand, plan: MixPlan, context: LineContext): Promise<MixRecording> {
    const earlier = await readEarlierRuns(start, plan);
    const scene = plan.video && (await Scene.open(start, plan.video, context, earlier?.moment?.images));
    const recording = new MixRecording(start, plan, context, earlier, scene);
    try {
      await scene?.restored();
      await recording.#session.join();
    } catch (error) {
      await recording.#free();
      throw error;
    }
    return recording;
  }

  private constructor(
    start: StartCommand,
    plan: MixPlan,
    context: LineContext,
    earlier: EarlierRuns | undefined,
    scene: Scene | undefined,
  ) {
    this.#start = start;
    this.#scene = scene;
    this.#earlier = earlier;
    this.#plan = plan;
    this.#context = context;
    this.#losses = new Losses(context.emit);
    this.#clock = context.clock;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#holdsAhead = new Timeline(plan.onhold ?? false);
    if (plan.onhold) context.report.onHold(undefined, true);
    this.#participants = new Participants({
      plan,
      zeroUs: start.zeroMonoUs,
      sendRtcp: (track, datagram) => this.#session.sendRtcp(track, datagram),
      onStreamChange: (change) => this.#session.tellStream(change),
      onDegraded: (what, count) => context.emit({ type: 'degraded', what, count }),
      report: context.report,
      state: earlier?.moment?.channel,
    });
    this.#session = new FeedSession({
      start,
      clock: this.#clock,
      maxIdleMs: plan.maxIdleMs,
      stepMs: STEP_MS,
      taker: this.#participants,
      state: earlier?.moment?.channel,
      emit: (happening) => context.emit(happening),
      onEnd: (end) => this.#horizon.end(end),
    });
    this.#sound = new MixSound(plan, this.#participants);
    this.#horizon = new Horizon({
      zeroUs: start.zeroMonoUs,
      session: this.#session,
      participants: this.#participants,
      stepUs: STEP_MS * 1000,
    });
    this.#degradation = plan.video && this.#degradationOf(plan.video.fps);
    this.#moments = new Moments({
      clock: this.#clock,
      spoolDir: start.spoolDir,
      fps: this.#fps,
      hasPicture: plan.video !== undefined,
      hasSound: plan.audio !== undefined,
      onSafe: (untilUs) => this.#session.sendSafe(Math.floor(toHost(untilUs, start.zeroMonoUs))),
      onDegraded: (what) => context.emit({ type: 'degraded', what, count: 1 }),
    });
    this.#timer = this.#clock.every(STEP_MS, () => void this.#advance());
    for (const problem of earlier?.problems ?? [])
      context.emit({ type: 'degraded', what: `of an earlier run: ${problem}`, count: 1 });
    for (const command of start.changes) this.change(command);
  }

  #degradationOf(fps: number): Degradation {
    const { generation, lowestRung } = this.#start;
    const { report, clock, emit } = this.#context;
    const { rung = 'full', overload } = this.#earlier ?? {};
    return new Degradation({
      ...{ limits: LAG_LIMITS, fps, lowest: lowestRung, clock, emit, report: report.overload },
      from: generation > 1 ? { rung, overload } : undefined,
      nowUs: () => toRecording(clock.monoUs(), this.#start.zeroMonoUs),
      onEffort: (effort) => this.#output?.setEffort(effort),
    });
  }

  stop(atMonoUs: HostUs, reason: EndReason): void {
    this.#session.end({ atMonoUs, reason, message: reason === 'stopped' ? 'stopped as asked' : reason });
  }

  change(command: ChangeCommand): void {
    if (this.#session.stopping) return;
    const fromUs = toRecording(command.atMonoUs, this.#start.zeroMonoUs);
    switch (command.type) {
      case 'changeLayout':
        this.#scene?.change(fromUs, command);
        return;
      case 'changeOverlays':
        this.#scene?.changeOverlays(fromUs, command.overlays);
        return;
      case 'changeSubscription':
        this.#participants.changeSubscription(fromUs, command.subscribe, this.#session.nowUs);
        return;
      case 'changeStereo':
        this.#sound.changeStereo(fromUs, command.stereo);
        return;
      case 'changeHold':
        this.#context.report.onHold(this.#changeHold(fromUs, command.onhold), command.onhold);
        return;
    }
  }

  /** Returns from when on the change really holds. */
  #changeHold(fromUs: RecordingUs, onhold: boolean): RecordingUs {
    const holds = this.#holds;
    if (!holds) return this.#holdsAhead.change(fromUs, onhold);
    // The last block before a hold is faded out, so it must not be written yet.
    const made = this.#sound.place.block + 1;
    return holds.timeOf(holds.change(Math.max(holds.blockAt(Math.max(fromUs, this.#reachedUs)), made), onhold));
  }

  heardUs(): RecordingUs | undefined {
    return this.#session.takenUs;
  }

  lagUs(): number {
    const lateUs = this.#pictureClock ? Math.max(0, this.#horizon.atUs - this.#reachedUs) : 0;
    return this.#session.lagUs + lateUs;
  }

  rung(): RungName | undefined {
    return this.#degradation?.rung;
  }

  async #advance(): Promise<void> {
    try {
      await this.#session.advance(() => this.#step());
    } catch (error) {
      await this.#free();
      this.#settle.reject(error);
    }
  }

  /** Does everything that is due at the session's present. */
  async #step(): Promise<void> {
    this.#participants.poll(this.#session.nowUs);
    this.#horizon.advance();
    if (!this.#pictureClock) await this.#enter();
    if (this.#pictureClock) {
      await this.#record(this.#pictureClock);
      this.#keepMoment(this.#pictureClock);
      this.#losses.step(this.#reachedUs);
    }
    if (this.#horizon.ended) await this.#finish(this.#horizon.ended);
  }

  async #enter(): Promise<void> {
    const { follows } = this.#start;
    if (this.#earlier) await this.#goOn(this.#earlier);
    else if (follows) await this.#follow(follows);
    else await this.#begin();
  }

  /**
   * Begins where a run elsewhere begins one of its next slices. Until then it gets to know the clocks of those who
   * send, so that it makes the same pictures from there on.
   */
  async #follow(follows: NonNullable<StartCommand['follows']>): Promise<void> {
    if (!this.#participants.hasBegun || !Number.isFinite(this.#horizon.atUs)) return;
    const { atUs } = this.#horizon;
    this.#followedFrom ??= afterSlices(follows, this.#plan.video?.fps, atUs + FOLLOW_AFTER_US);
    const { originUs, end } = this.#followedFrom;
    if (!this.#horizon.ended && atUs < originUs + (end.sample * US) / SOUND_RATE - PASS_UNTIL_US) {
      this.#participants.passOver(atUs);
      this.#participants.soundUntil(atUs, () => 0);
      this.#participants.forget(atUs);
      return;
    }
    await this.#goOn(this.#followedFrom);
  }

  /** Sets the first moment of the files: the start call if media was there by then, otherwise the first media. */
  async #begin(): Promise<void> {
    this.#firstMediaUs ??= this.#participants.firstMediaUs();
    const firstUs = this.#unheldFrom(this.#firstMediaUs);
    if (firstUs === undefined || firstUs > this.#horizon.atUs) {
      // No frame will be made of this time.
      if (this.#holdsAhead.at(this.#horizon.atUs)) {
        this.#participants.passOver(this.#horizon.atUs);
        this.#participants.soundUntil(this.#horizon.atUs, () => 0);
      } else this.#firstMediaUs = undefined;
      this.#participants.forget(this.#horizon.atUs);
      return;
    }
    const originUs = Math.max(0, Math.round(firstUs));
    this.#holds = new HoldLine(originUs, this.#holdsAhead);
    this.#pictureClock = new PictureClock(this.#fps, originUs, 0, this.#holds);
    this.#reachedUs = originUs;
    this.#sound.begin(this.#holds);
    await this.#open(originUs);
    this.#context.emit({ type: 'firstFrameRecorded', recordingUs: originUs });
  }

  /** The first moment from `fromUs` on that is not on hold; undefined while there is none. */
  #unheldFrom(fromUs: RecordingUs | undefined): RecordingUs | undefined {
    if (fromUs === undefined) return undefined;
    const from = this.#holdsAhead.since(fromUs).find(({ value }) => !value)?.fromUs;
    return from === undefined ? undefined : Math.max(fromUs, from);
  }

  /**
   * Goes on where the files of earlier runs end. If the feed is still the same, it begins from the moment that those
   * runs kept before their end.
   */
  async #goOn({ originUs, end, mended, moment, sliceIndex }: EarlierRuns): Promise<void> {
    if (!this.#horizon.ended) {
      if (!this.#participants.hasBegun) return;
      // Until that moment packets are only taken and put in order, as they were the first time.
      if (moment && this.#participants.goesOn && this.#session.nowUs < moment.channel.takenUs) return;
    }
    const from = this.#participants.goesOn ? moment : undefined;
    const endFrame = this.#plan.video ? end.frame : Math.floor((end.sample * this.#fps) / SOUND_RATE);
    this.#begun = { frame: endFrame, sample: end.sample, continues: sliceIndex > 0 };
    const holds = new HoldLine(originUs, this.#holdsAhead);
    this.#holds = holds;
    // Counted in the files here, and in the recording below.
    const sampleAt = from?.sample ?? Math.max(0, end.sample - PRIMING_SAMPLES);
    const heldSamples = from?.heldSamples ?? this.#heldSamplesAt(holds, sampleAt);
    this.#sound.begin(holds, sampleAt + heldSamples, from);
    holds.recount((sampleAt + heldSamples) / AUDIO_BLOCK, heldSamples / AUDIO_BLOCK);
    this.#pictureClock = new PictureClock(this.#fps, originUs, from?.frame ?? endFrame, holds);
    this.#reachedUs = Math.min(this.#pictureClock.dueUs, this.#sound.reachedUs);
    if (!from) this.#horizon.loseChannel(this.#reachedUs);
    await this.#scene?.goOn(this.#reachedUs);
    const heldUs = usOfBlocks(heldSamples / AUDIO_BLOCK);
    await this.#open(originUs, { ...this.#begun, sliceIndex, heldUs }, from);
    for (const slice of mended) await this.#output?.keep(slice);
  }

  /** How many samples were on hold before a sample of the files, as far as holds are known. */
  #heldSamplesAt(holds: HoldLine, sample: number): number {
    const atUs = holds.toRecording((sample * US) / SOUND_RATE);
    return Number.isFinite(atUs) ? Math.round(holds.blockAt(atUs) * AUDIO_BLOCK) - sample : 0;
  }

  get #fps(): number {
    return this.#plan.video?.fps ?? SOUND_ONLY_FPS;
  }

  async #open(originUs: RecordingUs, from?: MixOutputOptions['from'], moment?: MixMoment): Promise<void> {
    const { video, audio, files, mp4Limit, baseName } = this.#plan;
    const { spoolDir, zeroUtcMs, generation } = this.#start;
    const trackType = video && audio ? 'audio_and_video' : video ? 'video' : 'audio';
    const begun = this.#begun;
    const notes: MixCheckpoint = { version: 1, mode: 'mix', originUs, begun, moment, ...this.#degradation?.save() };
    await writeCheckpoint(spoolDir, notes);
    this.#output = await MixOutput.open({
      ...{ video, audio, mp4Limit, baseName, spoolDir, from, effort: this.#degradation?.effort },
      // A run after the first would begin its MP4 in the middle; after the end it is made from the slices instead.
      files: { ...files, mp4: files.mp4 && generation === 1 },
      zeroUtcMs: zeroUtcMs + originUs / 1000,
      // A slice that continues another run's begins where that one ended.
      onSliceStart: (startUtcMs) =>
        this.#context.emit({ type: 'sliceStarted', startUtcMs, discontinueUtcMs: startUtcMs, trackType }),
      onLost: (output, what) => this.#losses.add(output, what),
      onFile: (file) => this.#context.emit({ type: 'fileSpooled', file }),
    });
    const runFromUs = this.#pictureClock!.recordingUs(begun.frame);
    this.#context.report.onFilesBegun(originUs, Number.isFinite(runFromUs) ? runFromUs : this.#reachedUs);
  }

  /** Makes all frames and sound that are due. */
  async #record(clock: PictureClock): Promise<void> {
    if (!this.#horizon.ended && this.#horizon.atUs - this.#reachedUs < BURST_US) return;
    for (;;) {
      this.#degradation?.observe(this.lagUs());
      await this.#passHolds(clock);
      const atUs = clock.dueUs;
      if (atUs >= this.#horizon.atUs) break;
      this.#sound.hear(atUs);
      if (this.#leavesOut(clock.frame)) this.#leftOut = { frame: clock.frame, atUs };
      else await this.#recordPicture(clock.frame, atUs);
      await this.#recordSound(atUs);
      clock.advance();
      this.#reachedUs = Math.min(clock.dueUs, atUs + Math.round(US / clock.fps));
      this.#participants.forget(atUs);
    }
    this.#scene?.forget(this.#reachedUs);
    this.#sound.forget(this.#reachedUs);
  }

  #leavesOut(frame: number): boolean {
    return this.#output?.awaitsPicture === false && this.#degradation?.leavesOut(frame) === true;
  }

  /** Passes over what is on hold before the next frame, up to where the recording may be made. */
  async #passHolds(clock: PictureClock): Promise<void> {
    const toUs = Math.min(clock.dueUs, this.#horizon.atUs);
    for (const hold of this.#holds?.between(this.#reachedUs, toUs) ?? []) {
      // The frame after it is due at its end, to the whole microsecond.
      const isOver = hold.untilUs < toUs + 1;
      const passedUs = isOver ? hold.untilUs : toUs;
      if (!this.#onhold) await this.#recordLastPicture();
      this.#participants.passOver(passedUs);
      await this.#recordSound(passedUs);
      if (!this.#onhold) await this.#output?.hold(clock.frame);
      this.#onhold = true;
      this.#participants.forget(passedUs);
      this.#reachedUs = passedUs;
      if (!isOver) return;
      this.#onhold = false;
      const { sample, heldSamples } = this.#sound.place;
      await this.#output?.resume(sample, usOfBlocks(heldSamples / AUDIO_BLOCK));
    }
  }

  /** The picture reaches as far as the sound, also where its last frame was left out. */
  async #recordLastPicture(): Promise<void> {
    if (!this.#leftOut) return;
    await this.#recordPicture(this.#leftOut.frame, this.#leftOut.atUs);
    this.#degradation?.takeBack();
  }

  async #recordPicture(frame: number, atUs: RecordingUs): Promise<void> {
    this.#leftOut = undefined;
    const scene = this.#scene;
    if (!scene || !this.#output) return;
    // A picture belongs to the nearest frame; shown at the first frame after it, all pictures would be half a frame
    // late.
    const halfFrameUs = 500_000 / this.#fps;
    const spoke = this.#sound.spoke;
    const placed = (uids: string[]) => scene.placed(atUs, uids, spoke);
    const hides = scene.hidesWithoutVideo(atUs);
    const seen = this.#participants.picturesAt(atUs, atUs + halfFrameUs, placed, hides);
    if (frame < this.#begun.frame) return scene.pass(atUs, seen, spoke);
    await this.#output.writePicture(await scene.draw(atUs, seen, spoke), frame, scene.changed);
    this.#moments.onPicture(frame);
  }

  async #recordSound(untilUs: RecordingUs): Promise<void> {
    const output = this.#output;
    if (output) await this.#sound.take(untilUs, (sound, sample) => output.writeSound(sound, sample));
  }

  /** Keeps this moment for a run that may have to go on from it, and writes down the newest one that counts. */
  #keepMoment({ frame, originUs }: PictureClock): void {
    const { block, sample, heldSamples } = this.#sound.place;
    if (frame < this.#begun.frame || sample < this.#begun.sample || this.#horizon.ended) return;
    this.#moments.note(this.#reachedUs, () => {
      const channel = this.#participants.save(this.#session.nowUs, this.#session.emptySinceUs);
      const images = this.#scene?.saveImages();
      return channel && { frame, sample, heldSamples, channel, ...this.#sound.save(), images };
    });
    this.#holds?.forget(block - FORGET_BLOCKS);
    const flushed = this.#output?.flushed;
    if (flushed) this.#moments.write(flushed, { originUs, begun: this.#begun, ...this.#degradation?.save() });
  }

  async #finish(ending: Ended): Promise<void> {
    this.#context.report.onEnd(ending.endUs);
    this.#timer.cancel();
    if (this.#output) {
      // With a picture: up to the last whole block before the end. Without one: up to the block that holds the end.
      const lastUs = this.#plan.video ? this.#reachedUs : ending.endUs + usOfBlocks(1);
      if (!this.#onhold) {
        await this.#recordLastPicture();
        await this.#recordSound(lastUs);
      }
      await this.#output.finish();
    }
    this.#losses.flush();
    await this.#moments.settled();
    const recorded = this.#output !== undefined;
    await this.#free();
    this.#settle.resolve({ reason: ending.reason, recorded, message: ending.message });
  }

  async #free(): Promise<void> {
    this.#timer.cancel();
    this.#session.close();
    this.#participants.close();
    this.#output?.close();
    await this.#scene?.close();
  }
}
