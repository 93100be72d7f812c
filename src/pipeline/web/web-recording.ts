/**
 * WebRecording: a web page in one picture and one sound. Pictures are read off the page's screen at a steady rate, and
 * sound is placed by when it arrived; both are encoded once and written by the writers that composites have (ADR 0016).
 */
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { PageAddress, WebPlan } from '../../contract/line/plan.ts';
import type { RungName } from '../../contract/line/rungs.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, toRecording, US } from '../../kernel/time.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { ScreenGrabber } from '../../stages/codec/screen-grabber.ts';
import type { PageUse } from '../../stages/source/page/page-meter.ts';
import type { PageLoss, PageSourceListener } from '../../stages/source/page/page-source.ts';
import { type EarlierRuns, readEarlierRuns } from '../mix/earlier-runs.ts';
import type { Ending, LineContext, Recording } from '../recording.ts';
import type { PageReport } from '../report/page-report.ts';
import type { Lateness } from './picture-lateness.ts';
import { PreparedPage } from './prepared-page.ts';
import { PushLine } from './push-line.ts';
import { type Grabbed, WebFiles } from './web-files.ts';

const STEP_MS = 20;
/** How many pictures may wait for the encoder, in seconds. */
const MAX_WAITING_S = 1;
/** No picture waits longer to be taken: by a wall clock that tells another time it was read before that was set. */
const MAX_TAKING_US = 2 * US;
/** The wall clock is read in whole milliseconds. */
const ROUNDED_US = 1000;
/** How many different notes about refused requests and errors of a page are told. */
const MAX_NOTES = 100;

type Ended = { endUs: RecordingUs; reason: EndReason; message: string };

export class WebRecording implements Recording {
  readonly done: Promise<Ending>;
  readonly #plan: WebPlan;
  readonly #start: StartCommand;
  readonly #context: LineContext;
  readonly #clock: Clock;
  readonly #pool = new PicturePool();
  readonly #page: PreparedPage;
  readonly #address: PageAddress;
  readonly #files: WebFiles;
  readonly #pushes: PushLine;
  readonly #report: PageReport;
  readonly #timer: Timer;
  readonly #waiting: Grabbed[] = [];
  readonly #notes = new Set<string>();
  #grabber: ScreenGrabber | undefined;
  /** Set once the page is ready, while its screen and the files are being opened. */
  #beginning: Promise<void> | undefined;
  #grabbing: Promise<void> = Promise.resolve();
  /** Whether what the page shows and plays is being recorded. */
  #capturing = false;
  /** The step under way: what it writes to is freed only after it. */
  #stepping: Promise<unknown> | undefined;
  #leftOut = 0;
  #use: PageUse | undefined;
  #ending: Ended | undefined;
  #finished = false;
  #settle!: { resolve(ending: Ending): void; reject(error: unknown): void };

  static start(start: StartCommand, plan: WebPlan, context: LineContext): WebRecording {
    const recording = new WebRecording(start, plan, context);
    recording.#run().catch((error) => recording.#fail(error));
    return recording;
  }

  private constructor(start: StartCommand, plan: WebPlan, context: LineContext) {
    if (start.source.kind !== 'page') throw new TypeError('a web recording reads a page');
    this.#start = start;
    this.#plan = plan;
    this.#context = context;
    this.#clock = context.clock;
    this.done = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Holds from before this run do not concern the pushes.
    const held = start.changes.findLast((command) => command.type === 'changeHold');
    this.#pushes = new PushLine({ start, context, onhold: held?.onhold ?? plan.onhold });
    this.#report = context.report.onPage(plan.video.fps);
    this.#files = new WebFiles({
      ...{ start, plan, report: context.report, page: this.#report, clock: this.#clock, live: this.#pushes },
      emit: (happening) => context.emit(happening),
    });
    this.#address = start.source;
    this.#page =
      context.preparedPage ??
      new PreparedPage({ ...context, place: start.source, size: plan.video }, `${process.pid}-${start.generation}`);
    this.#page.source.listen(this.#listener());
    this.#timer = this.#clock.every(STEP_MS, () => void this.#advance());
    if (plan.onhold) context.report.onHold(undefined, true);
    for (const command of start.changes) if (command.type === 'changeHold') this.#holdFiles(command);
  }

  stop(atMonoUs: HostUs, reason: EndReason): void {
    this.#end(atMonoUs, reason, reason === 'stopped' ? 'stopped as asked' : reason);
  }

  change(command: ChangeCommand): void {
    if (this.#ending) return;
    if (command.type === 'changePushes') this.#pushes.use(command.targets);
    if (command.type !== 'changeHold') return;
    this.#holdFiles(command);
    this.#pushes.hold(command.onhold);
  }

  #holdFiles({ atMonoUs, onhold }: Extract<ChangeCommand, { type: 'changeHold' }>): void {
    const fromUs = this.#files.changeHold(toRecording(atMonoUs, this.#start.zeroMonoUs), onhold);
    this.#context.report.onHold(fromUs, onhold);
  }

  lagUs(): number {
    const [oldest] = this.#waiting;
    return oldest ? Math.max(0, this.#nowUs - oldest.atUs) : 0;
  }

  rung(): RungName | undefined {
    return this.#files.rung;
  }

  programs(): PageUse | undefined {
    return this.#use;
  }

  get #nowUs(): RecordingUs {
    return toRecording(this.#clock.monoUs(), this.#start.zeroMonoUs);
  }

  #listener(): PageSourceListener {
    return {
      onSound: (sound, firstFrame, arrivalUs) => {
        if (this.#capturing) this.#files.addSound(sound, firstFrame, arrivalUs);
      },
      onReloaded: (reason, message) => {
        this.#context.emit({ type: 'pageReloaded', reason, message });
        this.#context.emit({ type: 'degraded', what: `${message}; it is loaded again`, count: 1 });
      },
      onNoted: (what) => this.#note(what),
      onPageError: (kind, text) => this.#report.onError(kind, text, this.#nowUs),
      onUse: (use) => void this.#countUse(use),
      onLost: (loss) => this.#onLost(loss),
    };
  }

  /** The process that pushes the page counts as part of it. */
  async #countUse(page: PageUse): Promise<void> {
    const push = await this.#pushes.measure();
    this.#use = {
      cpuUs: page.cpuUs + push.cpuUs,
      memoryBytes: page.memoryBytes + push.memoryBytes,
      processes: page.processes + push.processes,
    };
    this.#report.onUse(this.#use);
  }

  async #run(): Promise<void> {
    const earlier = await readEarlierRuns(this.#start, this.#plan);
    for (const problem of earlier?.problems ?? []) this.#note(`of an earlier run: ${problem}`);
    if (this.#ending) return;
    const lateness = await this.#page.fit(this.#plan.video);
    this.#report.onLateness(lateness);
    const { unmeasured, source } = this.#page;
    if (unmeasured !== undefined) this.#note(`how late pictures are could not be measured: ${unmeasured}`);
    if (this.#ending || !(await source.open(this.#address)) || this.#ending) return;
    this.#context.emit({ type: 'joined' });
    this.#beginning = this.#begin(earlier, lateness);
    await this.#beginning;
    await this.#grabbing;
  }

  async #begin(earlier: EarlierRuns | undefined, lateness: Lateness): Promise<void> {
    const { width, height, fps } = this.#plan.video;
    const { display } = this.#page.source.screen;
    const grabber = await ScreenGrabber.open({ display, width, height, fps, pool: this.#pool });
    this.#grabber = grabber;
    await this.#files.begin(this.#nowUs, earlier);
    this.#capturing = true;
    this.#grabbing = this.#grab(grabber, lateness);
  }

  /** Reads pictures until the recording ends. */
  async #grab(grabber: ScreenGrabber, lateness: Lateness): Promise<void> {
    const { fps } = this.#plan.video;
    // On average a shown picture waits for half the time between two readings.
    const latenessUs = lateness.us + 500_000 / fps;
    let agoUs = 0;
    while (!this.#finished) {
      const next = await grabber.next();
      if (!next) return;
      const { picture, utcUs, changed } = next;
      // The grabber tells wall time, by which the recording does not count.
      const passedUs = this.#clock.nowMs() * 1000 - utcUs;
      if (passedUs >= -ROUNDED_US && passedUs < MAX_TAKING_US) agoUs = passedUs;
      const atUs = this.#nowUs - agoUs - latenessUs;
      if (this.#ending && atUs >= this.#ending.endUs) {
        picture.free();
        return;
      }
      if (this.#waiting.length < MAX_WAITING_S * fps) this.#waiting.push({ picture, atUs, changed });
      else {
        picture.free();
        this.#leftOut++;
      }
    }
  }

  async #advance(): Promise<void> {
    if (this.#stepping || this.#finished) return;
    const step = this.#step();
    this.#stepping = step;
    try {
      const ended = await step;
      if (ended) await this.#finish(ended);
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#stepping = undefined;
    }
  }

  /** Resolves to how the recording ends, once everything up to there is recorded. */
  async #step(): Promise<Ended | undefined> {
    const { maxAgeMs } = this.#plan;
    const nowUs = this.#nowUs;
    if (nowUs > maxAgeMs * 1000) {
      const message = `max recording hour is ${maxAgeMs / 3_600_000}`;
      this.#end(this.#start.zeroMonoUs + maxAgeMs * 1000, 'aged', message);
    }
    if (this.#leftOut > 0) {
      const what = 'encoding is too slow for this machine; frames were left out';
      this.#context.emit({ type: 'degraded', what, count: this.#leftOut });
      this.#leftOut = 0;
    }
    const ending = this.#ending;
    const dueUs = this.#files.soundDueUs(nowUs);
    const untilUs = Math.min(dueUs, ending?.endUs ?? dueUs);
    this.#files.observeLag(this.lagUs());
    do await this.#recordPictures();
    while (this.#capturing && !this.#finished && (await this.#files.recordSound(untilUs)));
    const isOver = ending && (!this.#beginning || (this.#capturing && dueUs >= ending.endUs));
    return isOver ? ending : undefined;
  }

  async #recordPictures(): Promise<void> {
    // Those that come meanwhile wait for another turn: sound has its own between, however slow the encoder is.
    for (let left = this.#waiting.length; left > 0; left--) {
      this.#files.observeLag(this.lagUs());
      const next = this.#takePicture();
      if (!next) return;
      try {
        await this.#files.addPicture(next);
      } finally {
        next.picture.free();
      }
    }
  }

  /** The oldest waiting picture, if it can be written now. */
  #takePicture(): Grabbed | undefined {
    const [oldest] = this.#waiting;
    if (!oldest || this.#finished || !this.#files.takesPicture(oldest.atUs)) return undefined;
    return this.#waiting.shift();
  }

  #end(atMonoUs: HostUs, reason: EndReason, message: string): void {
    this.#ending ??= { endUs: toRecording(atMonoUs, this.#start.zeroMonoUs), reason, message };
  }

  #onLost({ kind, why }: PageLoss): void {
    // For another run what we need may work again.
    if (kind === 'engine') this.#fail(new Error(why));
    else this.#end(this.#clock.monoUs(), kind === 'late' ? 'pageLate' : 'pageUnreachable', why);
  }

  /** Each note is told once: a page may repeat an error at every frame. */
  #note(what: string): void {
    if (this.#notes.has(what) || this.#notes.size >= MAX_NOTES) return;
    this.#notes.add(what);
    this.#context.emit({ type: 'degraded', what, count: 1 });
  }

  async #finish({ endUs, reason, message }: Ended): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    this.#context.report.onEnd(endUs);
    try {
      const recorded = await this.#files.finish();
      await this.#free();
      this.#settle.resolve({ reason, recorded, message });
    } catch (error) {
      this.#freeAndReject(error);
    }
  }

  #fail(error: unknown): void {
    if (this.#finished) return;
    this.#finished = true;
    this.#freeAndReject(error);
  }

  #freeAndReject(error: unknown): void {
    void this.#free()
      .catch((cause) => this.#note(messageOf(cause)))
      .finally(() => this.#settle.reject(error));
  }

  async #free(): Promise<void> {
    this.#timer.cancel();
    // Whatever is still being opened would otherwise stay open.
    await this.#beginning?.catch(() => {});
    await this.#grabbing.catch(() => {});
    await this.#stepping?.catch(() => {});
    this.#grabber?.close();
    for (const { picture } of this.#waiting.splice(0)) picture.free();
    this.#files.close();
    this.#pool.close();
    await Promise.all([this.#pushes.close(), this.#page.close()]);
  }
}
