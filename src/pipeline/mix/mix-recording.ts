/**
 * MixRecording: all users of a channel in one picture and one sound. It joins feed, lines, compositor, mixer, encoders and
 * writers, and is driven by one steady clock that runs behind the present (ADR 0004).
 */
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import type { Fault } from '../../kernel/fault.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { FeedClient } from '../../stages/source/embedded/feed-client.ts';
import type { Ending, LineContext, Recording } from '../recording.ts';
import { Timeline } from '../timeline.ts';
import { IdleWatch } from '../tracks/idle-watch.ts';
import type { StreamChange } from '../tracks/stream-state.ts';
import { Canvas, type Look } from './canvas.ts';
import { AUDIO_BLOCK, MixOutput } from './mix-output.ts';
import { Participants } from './participants.ts';
import { PictureClock } from './picture-clock.ts';

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
/** When encoding is this late, frames are left out until it is not. */
const MAX_LAG_US = 3_000_000;
/** After a stop, packets that were sent before it may still come up the socket for this long. */
const STRAGGLERS_MS = 30;
/** While nobody is there nothing is recorded for this long: if nobody comes back, the file ends with the last user. */
const HOLD_EMPTY_US = 60_000_000;
/** A recording without a picture moves on in steps of this many frames a second. */
const SOUND_ONLY_FPS = 25;

/** Where the recording ends, in recording time, and why. */
type End = { endUs: number; reason: EndReason; message: string };

export class MixRecording implements Recording {
  readonly done: Promise<Ending>;
  readonly #plan: MixPlan;
  readonly #start: StartCommand;
  readonly #context: LineContext;
  readonly #clock: Clock;
  readonly #participants: Participants;
  /** Absent when the recording has no picture. */
  readonly #looks: Timeline<Look> | undefined;
  readonly #mixer: SoundMixer | undefined;
  readonly #idle: IdleWatch;
  readonly #timer: Timer;
  #feed: FeedClient | undefined;
  #canvas: Canvas | undefined;
  #output: MixOutput | undefined;
  #pictureClock: PictureClock | undefined;
  /** The next sample the mixer hands over, counted from the recording's zero. */
  #soundAt = 0;
  #busy = false;
  /** True from a wait for somebody to come back until the time waited is made up for: no slowness, so nothing is left out. */
  #catchingUp = false;
  /** True once all that was kept for us before we joined has been read. */
  #caughtUp = false;
  /** What became of streams before that. */
  readonly #early: StreamChange[] = [];
  /** Set once the recording is to end; carries it out as soon as it can be. */
  #stopping: (() => void) | undefined;
  #ending: End | undefined;
  #settle!: { resolve(ending: Ending): void; reject(error: unknown): void };

  static async start(start: StartCommand, plan: MixPlan, context: LineContext): Promise<MixRecording> {
    const recording = new MixRecording(start, plan, context);
    try {
      await recording.#join();
    } catch (error) {
      recording.#free();
      throw error;
    }
    return recording;
  }

  private constructor(start: StartCommand, plan: MixPlan, context: LineContext) {
    this.#start = start;
    this.#plan = plan;
    this.#context = context;
    this.#clock = context.clock;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#looks = plan.video && new Timeline<Look>(plan.video);
    this.#mixer = plan.audio && new SoundMixer({ channels: plan.audio.channels });
    this.#idle = new IdleWatch(start.zeroMonoUs);
    this.#participants = new Participants({
      plan,
      zeroUs: start.zeroMonoUs,
      sendRtcp: (track, datagram) => this.#feed?.sendRtcp(track, datagram, this.#clock.monoUs()),
      onStreamChange: (change) => this.#tellStream(change),
      onDegraded: (what, count) => context.emit({ type: 'degraded', what, count }),
      report: context.report,
    });
    this.#timer = this.#clock.every(STEP_MS, () => void this.#step());
  }

  stop(atMonoUs: number, reason: EndReason): void {
    this.#end(atMonoUs, reason, reason === 'stopped' ? 'stopped as asked' : reason);
  }

  change(command: ChangeCommand): void {
    if (this.#stopping) return;
    const fromUs = command.atMonoUs - this.#start.zeroMonoUs;
    switch (command.type) {
      case 'changeLayout':
        this.#looks?.change(fromUs, { layout: command.layout, backgroundColor: command.backgroundColor });
        return;
      case 'changeSubscription':
        this.#participants.changeSubscription(fromUs, command.subscribe, this.#clock.monoUs());
        return;
    }
  }

  lagUs(): number {
    return this.#pictureClock ? Math.max(0, this.#horizonUs() - this.#pictureClock.dueUs) : 0;
  }

  async #join(): Promise<void> {
    this.#feed = await FeedClient.connect(this.#start.feedPath, {
      onEvent: (event, atUs) => {
        this.#participants.onEvent(event, atUs);
        this.#idle.onPresence(this.#participants.count, atUs);
        if (event.type === 'caughtUp') this.#onCaughtUp();
      },
      onRtp: (track, datagram, arrivalUs) => this.#participants.onRtp(track, datagram, arrivalUs),
      onRtcp: (track, datagram, arrivalUs) => this.#participants.onRtcp(track, datagram, arrivalUs),
      onEnd: (fault: Fault | undefined) => {
        this.#onCaughtUp();
        this.#end(this.#clock.monoUs(), 'feedLost', fault?.message ?? 'the channel ended the feed');
      },
    });
  }

  /** Streams are told of once the recorder has told that it is there, also those that were there before it. */
  #tellStream(change: StreamChange): void {
    if (this.#caughtUp) this.#context.emit({ type: 'streamStateChanged', ...change });
    else this.#early.push(change);
  }

  #onCaughtUp(): void {
    if (this.#caughtUp) return;
    this.#caughtUp = true;
    this.#context.emit({ type: 'joined' });
    for (const change of this.#early.splice(0)) this.#tellStream(change);
    if (this.#stopping) this.#stopping();
  }

  #end(atMonoUs: number, reason: EndReason, message: string): void {
    if (this.#stopping) return;
    const atUs = atMonoUs - this.#start.zeroMonoUs;
    // An empty channel adds nothing: the file ends with the last user who was held for.
    const endUs = Math.min(atUs, this.#heldUs(atUs) ?? atUs);
    this.#stopping = () => {
      // A stop that comes before the feed was read waits for it: what is in there was sent before the stop.
      if (!this.#caughtUp || this.#ending) return;
      this.#participants.end(atMonoUs);
      this.#ending = { endUs, reason, message };
      void this.#step();
    };
    this.#clock.after(STRAGGLERS_MS, this.#stopping);
  }

  /** Up to where the recording may be made now, in recording time. */
  #horizonUs(): number {
    // Pictures made before their packets were read would show nothing of them.
    if (!this.#caughtUp) return Number.NEGATIVE_INFINITY;
    if (this.#ending) return this.#ending.endUs;
    const monoUs = this.#clock.monoUs();
    const nowUs = monoUs - this.#start.zeroMonoUs;
    const completeUs = Math.max(this.#participants.completeUs(monoUs), nowUs - MAX_DELAY_US);
    const dueUs = Math.min(nowUs - DELAY_US, completeUs);
    const heldUs = this.#heldUs(nowUs - DELAY_US);
    return heldUs === undefined ? dueUs : Math.min(dueUs, heldUs);
  }

  /** Since when, in recording time, nothing is recorded because nobody is there; undefined when that is not so. */
  #heldUs(nowUs: number): number | undefined {
    const emptyUs = this.#idle.emptySinceUs;
    if (emptyUs === undefined) return undefined;
    const heldUs = emptyUs - this.#start.zeroMonoUs;
    return nowUs - heldUs < HOLD_EMPTY_US ? heldUs : undefined;
  }

  /** Does everything that is due. Never runs twice at once; what falls due meanwhile is done in the same run. */
  async #step(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      const nowUs = this.#clock.monoUs();
      this.#participants.poll(nowUs);
      if (!this.#ending && this.#idle.isExpired(nowUs, this.#plan.maxIdleMs)) {
        this.#end(nowUs, 'idle', `nobody was in the channel for ${this.#plan.maxIdleMs / 1000} s`);
      }
      let ending: End | undefined;
      do {
        // An end that comes while recording has more to record first.
        ending = this.#ending;
        if (!this.#pictureClock) await this.#begin();
        if (this.#pictureClock) await this.#record(this.#pictureClock);
      } while (ending !== this.#ending);
      if (ending) await this.#finish(ending);
    } catch (error) {
      this.#free();
      this.#settle.reject(error);
    } finally {
      this.#busy = false;
    }
  }

  /** Sets the file's first moment: the start call if media was there already, otherwise the first media. */
  async #begin(): Promise<void> {
    const firstUs = this.#participants.firstMediaUs();
    if (firstUs === undefined || firstUs > this.#horizonUs()) {
      // No frame will be made of the time so far.
      this.#participants.forget(this.#horizonUs());
      return;
    }
    const originUs = Math.max(0, Math.round(firstUs));
    const { video, audio } = this.#plan;
    this.#pictureClock = new PictureClock(video?.fps ?? SOUND_ONLY_FPS, originUs);
    this.#soundAt = Math.round((originUs * SOUND_RATE) / 1e6);
    this.#mixer?.seek(this.#soundAt);
    if (video) this.#canvas = new Canvas(video);
    const trackType = video && audio ? 'audio_and_video' : video ? 'video' : 'audio';
    this.#output = await MixOutput.open({
      video,
      audio,
      files: this.#plan.files,
      mp4Limit: this.#plan.mp4Limit,
      baseName: this.#plan.baseName,
      spoolDir: this.#start.spoolDir,
      zeroUtcMs: this.#start.zeroUtcMs + originUs / 1000,
      // One recorder writes without interruption, so no slice begins later than the one before it ended.
      onSliceStart: (startUtcMs) =>
        this.#context.emit({ type: 'sliceStarted', startUtcMs, discontinueUtcMs: startUtcMs, trackType }),
      onFile: (file) => this.#context.emit({ type: 'fileSpooled', file }),
    });
    this.#context.report.onFilesBegun(originUs);
    this.#context.emit({ type: 'firstFrameRecorded', recordingUs: originUs });
  }

  /** Makes all frames and sound that are due. */
  async #record(clock: PictureClock): Promise<void> {
    if (this.#heldUs(this.#clock.monoUs() - this.#start.zeroMonoUs - DELAY_US) !== undefined) this.#catchingUp = true;
    if (!this.#ending && this.#horizonUs() - clock.dueUs < BURST_US) return;
    while (clock.dueUs < this.#horizonUs()) {
      const lagUs = this.#horizonUs() - clock.dueUs;
      if (lagUs < DELAY_US) this.#catchingUp = false;
      if (lagUs > MAX_LAG_US && !this.#ending && !this.#catchingUp) {
        const skipped = clock.skipTo(this.#horizonUs() - DELAY_US);
        this.#context.emit({
          type: 'degraded',
          what: 'encoding is too slow for this machine; frames were left out',
          count: skipped,
        });
      }
      const atUs = clock.dueUs;
      await this.#recordPicture(clock, atUs);
      await this.#recordSound(atUs);
      clock.advance();
      this.#participants.forget(atUs);
      this.#looks?.forget(atUs);
      this.#participants.poll(this.#clock.monoUs());
    }
  }

  async #recordPicture(clock: PictureClock, atUs: number): Promise<void> {
    if (!this.#canvas || !this.#looks || !this.#output) return;
    // A picture belongs to the frame nearest to it; shown at the first one after it, all would be half a frame late.
    const halfFrameUs = 500_000 / clock.fps;
    const { uids, pictures } = this.#participants.picturesAt(atUs, atUs + halfFrameUs);
    await this.#output.writePicture(this.#canvas.draw(this.#looks.at(atUs), uids, pictures), clock.frame);
  }

  /** Mixes and writes whole blocks that end before `untilUs`. */
  async #recordSound(untilUs: number): Promise<void> {
    const mixer = this.#mixer;
    if (!mixer || !this.#output) return;
    this.#participants.soundUntil(untilUs + SOUND_AHEAD_US, (uid, start, sound) => mixer.add(uid, start, sound));
    const originSample = Math.round(((this.#pictureClock?.originUs ?? 0) * SOUND_RATE) / 1e6);
    while (((this.#soundAt + AUDIO_BLOCK) * 1e6) / SOUND_RATE <= untilUs) {
      await this.#output.writeSound(mixer.take(AUDIO_BLOCK), this.#soundAt - originSample);
      this.#soundAt += AUDIO_BLOCK;
    }
  }

  async #finish(ending: End): Promise<void> {
    this.#context.report.onEnd(ending.endUs);
    this.#timer.cancel();
    if (this.#output) {
      // With a picture, the last whole block before its end; without one, the block that holds the end.
      const blockUs = (AUDIO_BLOCK * 1e6) / SOUND_RATE;
      await this.#recordSound(this.#plan.video ? (this.#pictureClock?.dueUs ?? 0) : ending.endUs + blockUs);
      await this.#output.finish();
    }
    const recorded = this.#output !== undefined;
    this.#free();
    this.#settle.resolve({ reason: ending.reason, recorded, message: ending.message });
  }

  #free(): void {
    this.#timer.cancel();
    this.#feed?.close();
    this.#participants.close();
    this.#canvas?.close();
    this.#output?.close();
  }
}
