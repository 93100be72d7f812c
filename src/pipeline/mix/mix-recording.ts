/**
 * MixRecording: all users of a channel in one picture and one sound. It joins feed, lines, compositor, mixer, encoders
 * and writers, and is driven by one steady clock that runs behind the present (ADR 0004).
 */
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import { type Stereo, sideOf } from '../../contract/line/stereo.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, toHost, toRecording, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { ActiveSpeaker } from '../../stages/compose/active-speaker.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { HoldLine, usOfBlocks } from '../hold-line.ts';
import type { Ending, LineContext, Recording } from '../recording.ts';
import { Timeline } from '../timeline.ts';
import { FeedSession, type SessionEnd } from '../tracks/feed-session.ts';
import { Losses } from '../tracks/losses.ts';
import { type EarlierRuns, type End, readEarlierRuns } from './earlier-runs.ts';
import { type MixCheckpoint, type MixMoment, Moments } from './mix-checkpoint.ts';
import { AUDIO_BLOCK, MixOutput, type MixOutputOptions, PRIMING_SAMPLES } from './mix-output.ts';
import { Pace } from './pace.ts';
import { Participants } from './participants.ts';
import { Patience } from './patience.ts';
import { PictureClock } from './picture-clock.ts';
import { Scene } from './scene.ts';

/** How far behind the present pictures are composed. A stop encodes this much at once. */
const DELAY_US = 1_000_000;
/** How far behind while somebody's media is incomplete: a gap may still be filled, packets may be late. */
const MAX_DELAY_US = 2_000_000;
/** How often packets are passed on and it is looked whether something is due. */
const STEP_MS = 20;
/** Frames are made in bursts of this length: caches stay warm, and nobody waits for the single frame. */
const BURST_US = 200_000;
/** Sound is decoded this far before it is mixed, so that a block's neighbours are there. */
const SOUND_AHEAD_US = 120_000;
/** While nobody is there nothing is recorded for this long: if nobody comes back, the file ends with the last user. */
const HOLD_EMPTY_US = 60_000_000;
/** How often a run writes down how to go on from it. */
const CHECKPOINT_US = 1_000_000;
/** Media may arrive this much before the moment that it is placed at. */
const SAFE_MARGIN_US = 500_000;
/** Holds so far back, in blocks of sound, are only counted: more than what is composed and not written. */
const FORGET_BLOCKS = 1000;
/** A recording without a picture moves on in steps of this many frames a second. */
const SOUND_ONLY_FPS = 25;

/** Where the recording ends, in recording time, and why. */
type Ended = { endUs: RecordingUs; reason: EndReason; message: string };

export class MixRecording implements Recording {
  readonly done: Promise<Ending>;
  readonly #plan: MixPlan;
  readonly #start: StartCommand;
  readonly #context: LineContext;
  readonly #clock: Clock;
  readonly #participants: Participants;
  /** Absent when the recording has no picture. */
  readonly #scene: Scene | undefined;
  readonly #mixer: SoundMixer | undefined;
  readonly #stereo: Timeline<Stereo | undefined>;
  /** Who speaks; undefined in a recording without sound or without a picture. */
  readonly #speaker: ActiveSpeaker | undefined;
  readonly #session: FeedSession;
  readonly #timer: Timer;
  #output: MixOutput | undefined;
  #pictureClock: PictureClock | undefined;
  /** What is known of holds before the files begin, and when they are from then on. */
  readonly #holdsAhead: Timeline<boolean>;
  #holds: HoldLine | undefined;
  /** The output has been put on hold. */
  #onhold = false;
  /** Where the first media is, in a recording that begins on hold. */
  #firstMediaUs: RecordingUs | undefined;
  /** Up to where the recording is made, or was passed over. */
  #reachedUs: RecordingUs = 0;
  /** The next sample the mixer hands over, counted from the recording's zero. */
  #soundAt = 0;
  readonly #pace = new Pace();
  readonly #patience = new Patience();
  /** Up to where the recording may be made now, in recording time. */
  #horizonUs = Number.NEGATIVE_INFINITY;
  /** What earlier runs left; undefined when nothing was recorded yet. */
  readonly #earlier: EarlierRuns | undefined;
  /** Where the files of this run begin; what lies before is made for what follows from it, and not written. */
  #begun: End = { frame: 0, sample: 0 };
  /** The channel was lost with those in it at `atUs` of the recording; nobody came since monotonic `emptyUs`. */
  #lost: { atUs: RecordingUs; emptyUs: HostUs | undefined } | undefined;
  readonly #moments: Moments;
  readonly #losses: Losses;
  #checkpointUs = Number.NEGATIVE_INFINITY;
  #checkpoint: Promise<void> | undefined;
  #ending: Ended | undefined;
  #settle!: { resolve(ending: Ending): void; reject(error: unknown): void };

  static async start(start: StartCommand, plan: MixPlan, context: LineContext): Promise<MixRecording> {
    const earlier = await readEarlierRuns(start, plan);
    const scene = plan.video && (await Scene.open(start, plan.video, context));
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
    this.#moments = new Moments(plan.video?.fps);
    this.#plan = plan;
    this.#context = context;
    this.#losses = new Losses(context.emit);
    this.#clock = context.clock;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#holdsAhead = new Timeline(plan.onhold ?? false);
    if (plan.onhold) context.report.onHold(undefined, true);
    this.#mixer = plan.audio && new SoundMixer({ channels: plan.audio.channels });
    this.#stereo = new Timeline(plan.stereo);
    this.#speaker = plan.audio && plan.video && new ActiveSpeaker();
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
      onEnd: (end) => this.#end(end),
    });
    this.#timer = this.#clock.every(STEP_MS, () => void this.#advance());
    for (const problem of earlier?.problems ?? [])
      context.emit({ type: 'degraded', what: `of an earlier run: ${problem}`, count: 1 });
    for (const command of start.changes) this.change(command);
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
        this.#stereo.change(fromUs, command.stereo);
        return;
      case 'changeHold':
        this.#context.report.onHold(this.#changeHold(fromUs, command.onhold), command.onhold);
        return;
    }
  }

  /** Returns from when on it really holds. */
  #changeHold(fromUs: RecordingUs, onhold: boolean): RecordingUs {
    const holds = this.#holds;
    if (!holds) return this.#holdsAhead.change(fromUs, onhold);
    // The last block before a hold is faded out, so it must not be written yet.
    const made = (this.#soundAt - holds.originSample) / AUDIO_BLOCK;
    return holds.timeOf(holds.change(Math.max(holds.blockAt(Math.max(fromUs, this.#reachedUs)), made + 1), onhold));
  }

  lagUs(): number {
    const lateUs = this.#pictureClock ? Math.max(0, this.#horizonUs - this.#reachedUs) : 0;
    return this.#session.lagUs + lateUs;
  }

  #end({ atMonoUs, reason, message }: SessionEnd): void {
    const atUs = toRecording(atMonoUs, this.#start.zeroMonoUs);
    // An empty channel adds nothing: the file ends with the last user who was held for.
    this.#ending = { endUs: Math.min(atUs, this.#heldUs(atUs) ?? atUs), reason, message };
  }

  #lookAhead(): RecordingUs {
    if (this.#ending) return this.#ending.endUs;
    const monoUs = this.#session.nowUs;
    const nowUs = toRecording(monoUs, this.#start.zeroMonoUs);
    const completeUs = Math.max(this.#participants.completeUs(monoUs), nowUs - MAX_DELAY_US);
    const dueUs = Math.min(nowUs - DELAY_US, completeUs);
    const heldUs = this.#heldUs(nowUs - DELAY_US);
    const horizonUs = heldUs === undefined ? dueUs : Math.min(dueUs, heldUs);
    return this.#patience.limit(horizonUs, this.#session.unheardUs, STEP_MS * 1000);
  }

  /** Since when, in recording time, nothing is recorded because nobody is there; undefined when that is not so. */
  #heldUs(nowUs: RecordingUs): RecordingUs | undefined {
    const emptyUs = this.#session.emptySinceUs;
    if (emptyUs === undefined) return undefined;
    const lost = this.#lost;
    const heldUs = lost && lost.emptyUs === emptyUs ? lost.atUs : toRecording(emptyUs, this.#start.zeroMonoUs);
    return nowUs - heldUs < HOLD_EMPTY_US ? heldUs : undefined;
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
    this.#horizonUs = this.#lookAhead();
    if (!this.#pictureClock) await (this.#earlier ? this.#goOn(this.#earlier) : this.#begin());
    if (this.#pictureClock) {
      await this.#record(this.#pictureClock);
      this.#keepMoment(this.#pictureClock);
      this.#losses.step(this.#reachedUs);
    }
    if (this.#ending) await this.#finish(this.#ending);
  }

  /** Sets the file's first moment: the start call if media was there already, otherwise the first media. */
  async #begin(): Promise<void> {
    this.#firstMediaUs ??= this.#participants.firstMediaUs();
    const firstUs = this.#unheldFrom(this.#firstMediaUs);
    if (firstUs === undefined || firstUs > this.#horizonUs) {
      // No frame will be made of the time so far.
      if (this.#holdsAhead.at(this.#horizonUs)) {
        this.#participants.passOver(this.#horizonUs);
        this.#participants.soundUntil(this.#horizonUs, () => {});
      } else this.#firstMediaUs = undefined;
      this.#participants.forget(this.#horizonUs);
      return;
    }
    const originUs = Math.max(0, Math.round(firstUs));
    this.#holds = new HoldLine(originUs, this.#holdsAhead);
    this.#pictureClock = new PictureClock(this.#fps, originUs, 0, this.#holds);
    this.#reachedUs = originUs;
    this.#soundAt = this.#holds.originSample;
    this.#mixer?.seek(this.#soundAt);
    this.#speaker?.seek(this.#soundAt);
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
   * Goes on where the files of earlier runs end, from the moment before that which they kept, if the feed is still the
   * same.
   */
  async #goOn({ originUs, end, mended, moment, sliceIndex }: EarlierRuns): Promise<void> {
    if (!this.#ending) {
      if (!this.#participants.hasBegun) return;
      // Until then packets are taken and put in order as they were the first time.
      if (moment && this.#participants.goesOn && this.#session.nowUs < moment.channel.takenUs) return;
    }
    const from = this.#participants.goesOn ? moment : undefined;
    const endFrame = this.#plan.video ? end.frame : Math.floor((end.sample * this.#fps) / SOUND_RATE);
    this.#begun = { frame: endFrame, sample: end.sample };
    const holds = new HoldLine(originUs, this.#holdsAhead);
    this.#holds = holds;
    // In the files, and then in the recording.
    const sampleAt = from?.sample ?? Math.max(0, end.sample - PRIMING_SAMPLES);
    const heldSamples = from?.heldSamples ?? this.#heldSamplesAt(holds, sampleAt);
    this.#soundAt = holds.originSample + sampleAt + heldSamples;
    holds.recount((sampleAt + heldSamples) / AUDIO_BLOCK, heldSamples / AUDIO_BLOCK);
    this.#pictureClock = new PictureClock(this.#fps, originUs, from?.frame ?? endFrame, holds);
    this.#reachedUs = Math.min(this.#pictureClock.dueUs, (this.#soundAt * US) / SOUND_RATE);
    if (from?.mixer) this.#mixer?.restore(from.mixer);
    else this.#mixer?.seek(this.#soundAt);
    if (from?.speaker) this.#speaker?.restore(from.speaker);
    else this.#speaker?.seek(this.#soundAt);
    if (!from) this.#lost = { atUs: this.#reachedUs, emptyUs: this.#session.emptySinceUs };
    const heldUs = usOfBlocks(heldSamples / AUDIO_BLOCK);
    await this.#open(originUs, { ...this.#begun, sliceIndex, continues: sliceIndex > 0, heldUs }, from);
    for (const slice of mended) await this.#output?.keep(slice);
  }

  /** How much was on hold before a sample of the files, as far as holds are known. */
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
    const { frame, sample } = this.#begun;
    const begun = { frame, sample, continues: from?.continues === true };
    await writeCheckpoint(spoolDir, { version: 1, mode: 'mix', originUs, begun, moment } satisfies MixCheckpoint);
    this.#output = await MixOutput.open({
      ...{ video, audio, mp4Limit, baseName, spoolDir, from },
      // What a run after the first would write begins in the middle: MP4s are made from the slices then, at the end.
      files: { ...files, mp4: files.mp4 && generation === 1 },
      zeroUtcMs: zeroUtcMs + originUs / 1000,
      // A slice that goes on from another run's begins where that one ended.
      onSliceStart: (startUtcMs) =>
        this.#context.emit({ type: 'sliceStarted', startUtcMs, discontinueUtcMs: startUtcMs, trackType }),
      onLost: (output, what) => this.#losses.add(output, what),
      onFile: (file) => this.#context.emit({ type: 'fileSpooled', file }),
    });
    const runFromUs = this.#pictureClock!.recordingUs(frame);
    this.#context.report.onFilesBegun(originUs, Number.isFinite(runFromUs) ? runFromUs : this.#reachedUs);
  }

  /** Makes all frames and sound that are due. */
  async #record(clock: PictureClock): Promise<void> {
    if (!this.#ending && this.#horizonUs - this.#reachedUs < BURST_US) return;
    let leftOut = 0;
    for (;;) {
      await this.#passHolds(clock);
      const atUs = clock.dueUs;
      if (atUs >= this.#horizonUs) break;
      this.#hear(atUs);
      if (this.#ending || !this.#pace.leavesOut(clock.frame, this.lagUs(), this.#clock.monoUs()))
        await this.#recordPicture(clock, atUs);
      else leftOut++;
      await this.#recordSound(atUs);
      clock.advance();
      this.#reachedUs = Math.min(clock.dueUs, atUs + Math.round(US / clock.fps));
      this.#participants.forget(atUs);
    }
    this.#scene?.forget(this.#reachedUs);
    this.#stereo.forget(this.#reachedUs - MAX_DELAY_US);
    const what = 'encoding is too slow for this machine; frames were left out';
    if (leftOut > 0) this.#context.emit({ type: 'degraded', what, count: leftOut });
  }

  /** Passes over what is on hold before the next frame, up to where the recording may be made. */
  async #passHolds(clock: PictureClock): Promise<void> {
    const toUs = Math.min(clock.dueUs, this.#horizonUs);
    for (const hold of this.#holds?.between(this.#reachedUs, toUs) ?? []) {
      const passedUs = Math.min(hold.untilUs, toUs);
      this.#participants.passOver(passedUs);
      await this.#recordSound(passedUs);
      if (!this.#onhold) await this.#output?.hold(clock.frame);
      this.#onhold = true;
      this.#participants.forget(passedUs);
      this.#reachedUs = passedUs;
      if (passedUs < hold.untilUs) return;
      this.#onhold = false;
      const { sample, heldSamples } = this.#soundPlace();
      await this.#output?.resume(sample, usOfBlocks(heldSamples / AUDIO_BLOCK));
    }
  }

  async #recordPicture(clock: PictureClock, atUs: RecordingUs): Promise<void> {
    const scene = this.#scene;
    if (!scene || !this.#output) return;
    // A picture belongs to the frame nearest to it; shown at the first one after it, all would be half a frame late.
    const halfFrameUs = 500_000 / clock.fps;
    const spoke = this.#speaker?.recent ?? [];
    const placed = (uids: string[]) => scene.placed(atUs, uids, spoke);
    const hides = scene.hidesWithoutVideo(atUs);
    const seen = this.#participants.picturesAt(atUs, atUs + halfFrameUs, placed, hides);
    if (clock.frame < this.#begun.frame) return;
    await this.#output.writePicture(await scene.draw(atUs, seen, spoke), clock.frame);
  }

  /** Decodes sound up to what a frame at `atUs` needs of it, and finds out who speaks then. */
  #hear(atUs: RecordingUs): void {
    const [mixer, speaker] = [this.#mixer, this.#speaker];
    if (!mixer) return;
    this.#participants.soundUntil(atUs + SOUND_AHEAD_US, (uid, start, sound) => {
      mixer.add(uid, start, sound, sideOf(this.#stereo.at((start * US) / SOUND_RATE), uid));
      speaker?.add(uid, start, sound);
    });
    speaker?.advance(atUs, (us) => this.#participants.presentAt(us));
  }

  /** Mixes and writes whole blocks that end before `untilUs`. */
  async #recordSound(untilUs: RecordingUs): Promise<void> {
    const mixer = this.#mixer;
    const holds = this.#holds;
    if (!this.#output || !holds) return;
    this.#hear(untilUs);
    while (((this.#soundAt + AUDIO_BLOCK) * 1e6) / SOUND_RATE <= untilUs) {
      const { block, sample } = this.#soundPlace();
      const sound = mixer?.take(AUDIO_BLOCK);
      this.#soundAt += AUDIO_BLOCK;
      if (!sound || holds.isHeld(block)) continue;
      await this.#output.writeSound(withFades(sound, holds.edgesOf(block)), sample);
    }
  }

  /** Where the next block of sound is: in the recording, and as samples in the files, where holds are left out. */
  #soundPlace(): { block: number; sample: number; heldSamples: number } {
    const passed = this.#soundAt - (this.#holds?.originSample ?? 0);
    const block = passed / AUDIO_BLOCK;
    const heldSamples = (this.#holds?.heldBefore(block) ?? 0) * AUDIO_BLOCK;
    return { block, sample: passed - heldSamples, heldSamples };
  }

  /** Keeps this moment for a run that may have to go on from it, and writes down the newest that it can. */
  #keepMoment(clock: PictureClock): void {
    const { zeroMonoUs, spoolDir } = this.#start;
    const { frame } = clock;
    const { block, sample, heldSamples } = this.#soundPlace();
    if (frame < this.#begun.frame || sample < this.#begun.sample || this.#ending) return;
    this.#moments.note(this.#reachedUs, () => {
      const channel = this.#participants.save(this.#session.nowUs, this.#session.emptySinceUs);
      const made = { mixer: this.#mixer?.save(), speaker: this.#speaker?.save() };
      return channel && { frame, sample, heldSamples, channel, ...made };
    });
    this.#holds?.forget(block - FORGET_BLOCKS);
    const nowUs = this.#clock.monoUs();
    const flushed = this.#output?.flushed;
    if (this.#checkpoint || !flushed || nowUs - this.#checkpointUs < CHECKPOINT_US) return;
    const moment = this.#moments.takeWritten(flushed, this.#mixer !== undefined);
    if (!moment) return;
    this.#checkpointUs = nowUs;
    const { originUs } = clock;
    const begun = { ...this.#begun, continues: (this.#earlier?.sliceIndex ?? 0) > 0 };
    const heldUs = ((moment.heldSamples ?? 0) * US) / SOUND_RATE;
    const momentUs = Math.min((moment.frame * US) / this.#fps, (moment.sample * US) / SOUND_RATE) + heldUs;
    this.#checkpoint = writeCheckpoint(spoolDir, { version: 1, mode: 'mix', originUs, begun, moment })
      .then(() => this.#session.sendSafe(Math.floor(toHost(originUs + momentUs - SAFE_MARGIN_US, zeroMonoUs))))
      .catch((error) => this.#context.emit({ type: 'degraded', what: messageOf(error), count: 1 }))
      .finally(() => {
        this.#checkpoint = undefined;
      });
  }

  async #finish(ending: Ended): Promise<void> {
    this.#context.report.onEnd(ending.endUs);
    this.#timer.cancel();
    if (this.#output) {
      // With a picture, the last whole block before its end; without one, the block that holds the end.
      const lastUs = this.#plan.video ? this.#reachedUs : ending.endUs + usOfBlocks(1);
      if (!this.#onhold) await this.#recordSound(lastUs);
      await this.#output.finish();
    }
    this.#losses.flush();
    await this.#checkpoint;
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
