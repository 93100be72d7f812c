/**
 * WebFiles: the files of a page's recording. It says where in them each picture and each piece of sound belongs, leaves
 * out what is on hold, and goes on after an earlier run's.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import { type HostUs, type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { NativePicture } from '../../stages/codec/picture-pool.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import { HoldLine } from '../hold-line.ts';
import type { EarlierRuns } from '../mix/earlier-runs.ts';
import type { MixCheckpoint } from '../mix/mix-checkpoint.ts';
import { AUDIO_BLOCK, type LiveOutput, MixOutput, PRIMING_SAMPLES } from '../mix/mix-output.ts';
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
  emit(happening: Happening): void;
  live?: LiveOutput | undefined;
};

const VOICE = 'page';
const CHECKPOINT_US = US;

/** What is known once the files have begun. */
type Begun = {
  originUs: number;
  holds: HoldLine;
  /** What earlier runs held, in samples. */
  heldSamples: number;
  numbers: FrameNumbers;
  output: MixOutput;
  first: { frame: number; sample: number; continues: boolean };
};

export class WebFiles {
  readonly #o: WebFilesOptions;
  readonly #mixer: SoundMixer;
  readonly #losses: Losses;
  readonly #soundClock = new ParticipantClock().addStream(SOUND_RATE);
  /** What is known of holds before the files begin. */
  readonly #holds: Timeline<boolean>;
  #earlier: EarlierRuns | undefined;
  #begun: Begun | undefined;
  /** The next sample the mixer hands over, counted from the recording's zero. */
  #soundAt = 0;
  #checkpointUs = 0;

  constructor(options: WebFilesOptions) {
    this.#o = options;
    this.#holds = new Timeline(options.plan.onhold);
    this.#losses = new Losses(options.emit);
    this.#mixer = new SoundMixer({ channels: options.plan.audio.channels, limited: false });
  }

  /** What is recorded from `nowUs` on belongs into the files. */
  async begin(nowUs: RecordingUs, earlier: EarlierRuns | undefined): Promise<void> {
    this.#earlier = earlier;
    this.#mixer.seek(Math.round((nowUs * SOUND_RATE) / US));
    // Those that came before are no more than how it is now.
    this.#holds.forget(nowUs);
    // Files begin with a picture; but on hold none may come for long, and what earlier runs left is kept all the same.
    if (earlier && earlier.mended.length > 0 && this.#holds.at(nowUs)) await this.#open(nowUs);
  }

  /** Whether nothing is recorded from `fromUs` of the recording on. */
  changeHold(fromUs: RecordingUs, onhold: boolean): void {
    const holds = this.#begun?.holds;
    if (holds) holds.change(holds.blockAt(fromUs), onhold);
    else this.#holds.change(fromUs, onhold);
  }

  addSound(sound: Sound, firstFrame: number, arrivalUs: HostUs): void {
    this.#soundClock.onPacket(firstFrame + sound.samples, arrivalUs);
    const atUs = this.#soundClock.toLocalUs(firstFrame) - this.#o.start.zeroMonoUs;
    this.#mixer.add(VOICE, (atUs * SOUND_RATE) / US, sound);
  }

  /**
   * Encodes and writes a picture, unless it is on hold or has no place. It stays the caller's. Await before the next.
   */
  async addPicture({ picture, atUs, changed }: Grabbed): Promise<void> {
    if (!this.#begun && this.#holds.at(atUs)) return;
    const begun = this.#begun ?? (await this.#open(atUs));
    if (begun.holds.isHeld(begun.holds.blockAt(atUs))) return;
    const frame = begun.numbers.take(this.#fileUs(begun, atUs));
    if (frame === undefined) return;
    this.#o.page.onPicture(frame, atUs, changed);
    await begun.output.writePicture(picture, frame);
    await this.#checkpoint(begun, atUs);
  }

  /** Writes whole blocks of sound that end before `untilUs`. Await before the next. */
  async recordSound(untilUs: RecordingUs): Promise<void> {
    const begun = this.#begun;
    if (!begun) {
      // The mixer holds no more than some seconds, and a pause may be long.
      const until = Math.floor((untilUs * SOUND_RATE) / US);
      if (this.#holds.at(untilUs) && until > this.#mixer.position) this.#skipTo(until);
      return;
    }
    this.#losses.step(untilUs);
    while (((this.#soundAt + AUDIO_BLOCK) * US) / SOUND_RATE <= untilUs) {
      const { holds } = begun;
      const block = (this.#soundAt - holds.originSample) / AUDIO_BLOCK;
      const sound = this.#mixer.take(AUDIO_BLOCK);
      const atUs = (this.#soundAt * US) / SOUND_RATE;
      this.#soundAt += AUDIO_BLOCK;
      if (holds.isHeld(block)) this.#o.page.onHeld(atUs);
      else {
        const sample = (block - holds.heldBefore(block)) * AUDIO_BLOCK - begun.heldSamples;
        const faded = withFades(sound, holds.edgesOf(block));
        this.#o.page.onSound(atUs, faded);
        await begun.output.writeSound(faded, sample);
      }
      holds.forget(block - 100);
    }
  }

  /** Finishes all files. Resolves to whether there are any. */
  async finish(): Promise<boolean> {
    await this.#begun?.output.finish();
    this.#losses.flush();
    return this.#begun !== undefined;
  }

  close(): void {
    this.#begun?.output.close();
  }

  /** Where in the files a moment of the recording is. */
  #fileUs(begun: Begun, atUs: RecordingUs): number {
    const heldSamples = begun.heldSamples + begun.holds.heldBefore(begun.holds.blockAt(atUs)) * AUDIO_BLOCK;
    return atUs - begun.originUs - (heldSamples * US) / SOUND_RATE;
  }

  /** Begins the files with what is shown at `atUs`, or goes on with those of earlier runs. */
  async #open(atUs: RecordingUs): Promise<Begun> {
    const { start, plan, report, emit } = this.#o;
    const { video, audio, files, mp4Limit, baseName } = plan;
    const { spoolDir, zeroUtcMs, generation } = start;
    const earlier = this.#earlier;
    const originUs = earlier?.originUs ?? Math.max(0, Math.round(atUs));
    const place = this.#placeAfter(earlier, atUs, originUs);
    const { frame, sample, heldSamples } = place;
    const first = { frame, sample, continues: (earlier?.sliceIndex ?? 0) > 0 };
    const holds = new HoldLine(originUs, new Timeline(false));
    const numbers = new FrameNumbers(video.fps, frame);
    // An encoder that goes on wants something before what it is to hand over.
    this.#soundAt = holds.originSample + heldSamples + sample - (earlier ? PRIMING_SAMPLES : 0);
    this.#skipTo(this.#soundAt);
    await writeCheckpoint(spoolDir, this.#notes(originUs, first, heldSamples));
    const output = await MixOutput.open({
      ...{ video, audio, mp4Limit, baseName, spoolDir },
      from: earlier && { frame, sample, sliceIndex: earlier.sliceIndex, continues: first.continues },
      // What a run after the first would write begins in the middle: MP4s are made from the slices then, at the end.
      files: { ...files, mp4: files.mp4 && generation === 1 },
      zeroUtcMs: zeroUtcMs + originUs / 1000,
      // Slices of a page are told of as they are stored.
      onSliceStart: () => {},
      onLost: (output, what) => this.#losses.add(output, what),
      onFile: (file) => emit({ type: 'fileSpooled', file }),
      live: this.#o.live,
    });
    const begun: Begun = { originUs, holds, heldSamples, numbers, output, first };
    for (const slice of earlier?.mended ?? []) await output.keep(slice);
    const [, ...later] = this.#holds.since(atUs);
    if (this.#holds.at(atUs)) holds.change(holds.blockAt(atUs), true);
    for (const { fromUs, value } of later) holds.change(holds.blockAt(fromUs), value);
    this.#begun = begun;
    report.onFilesBegun(originUs, atUs);
    if (!earlier) emit({ type: 'firstFrameRecorded', recordingUs: originUs });
    return begun;
  }

  /** Leaves out sound before `sample`; what follows from it is there already. */
  #skipTo(sample: number): void {
    if (this.#mixer.position > sample) this.#mixer.seek(sample);
    while (this.#mixer.position < sample) this.#mixer.take(Math.min(SOUND_RATE, sample - this.#mixer.position));
  }

  /** The first frame and sample of this run, and what of the time before them is held. */
  #placeAfter(
    earlier: EarlierRuns | undefined,
    atUs: number,
    originUs: number,
  ): { frame: number; sample: number; heldSamples: number } {
    if (!earlier) return { frame: 0, sample: 0, heldSamples: 0 };
    const { fps } = this.#o.plan.video;
    const blocks = (samples: number) => Math.ceil(samples / AUDIO_BLOCK) * AUDIO_BLOCK;
    const ended = Math.max(earlier.end.sample, Math.round((earlier.end.frame * SOUND_RATE) / fps));
    const passed = Math.round(((atUs - originUs) * SOUND_RATE) / US);
    const wasHeld = Math.round((earlier.heldUs * SOUND_RATE) / US);
    const sample = blocks(Math.max(ended, passed - wasHeld));
    const frame = Math.max(earlier.end.frame, Math.ceil((sample * fps) / SOUND_RATE));
    const lostMs = Math.round(((sample - ended) * 1000) / SOUND_RATE);
    this.#o.emit({ type: 'degraded', what: `${lostMs} ms of the page are lost with an earlier run`, count: 1 });
    return { frame, sample, heldSamples: blocks(passed) - sample };
  }

  #notes(originUs: number, begun: Begun['first'], heldSamples: number): MixCheckpoint {
    return { version: 1, mode: 'web', originUs, begun, heldUs: Math.round((heldSamples * US) / SOUND_RATE) };
  }

  /** Writes down what was held, for a run that may have to go on. */
  async #checkpoint(begun: Begun, atUs: number): Promise<void> {
    if (atUs - this.#checkpointUs < CHECKPOINT_US) return;
    this.#checkpointUs = atUs;
    const held = begun.heldSamples + begun.holds.heldBefore(begun.holds.blockAt(atUs)) * AUDIO_BLOCK;
    await writeCheckpoint(this.#o.start.spoolDir, this.#notes(begun.originUs, begun.first, held));
  }
}
