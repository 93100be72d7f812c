/**
 * MixOutput: takes canvases and sound, and makes finished files on the spool. It holds the encoders and the writers of
 * one recording; picture and sound are encoded once and go to every file that was asked for.
 */
import type { AudioPlan, MixPlan, VideoPlan } from '../../contract/line/plan.ts';
import { messageOf } from '../../kernel/fault.ts';
import { US } from '../../kernel/time.ts';
import type { Picture, Sound } from '../../media/frame.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { SpooledFile } from '../../media/segment.ts';
import { AAC_BLOCK, AudioEncoder } from '../../stages/codec/audio-encoder.ts';
import type { Part } from '../../stages/codec/changed-parts.ts';
import { VideoEncoder } from '../../stages/codec/video-encoder.ts';
import type { Effort } from '../../stages/codec/x264.ts';
import { Mp4Files } from '../../stages/mux/mp4/mp4-files.ts';
import type { Flushed } from '../../stages/mux/slices.ts';
import { TsSlices } from '../../stages/mux/ts/ts-slices.ts';
import { Journal } from '../../stages/spool/journal.ts';
import { FileNotes } from '../tracks/file-notes.ts';

/** Samples per block of sound. */
export const AUDIO_BLOCK = AAC_BLOCK;
/** An encoder of sound that goes on must first get at least this much of what came before. */
export const PRIMING_SAMPLES = 2 * AUDIO_BLOCK;
/** Key frames stand this far apart, so that a slice of at least 15 s (contract §4.2) is one of exactly 15 s. */
export const KEY_INTERVAL_S = 3;
/** So long is every slice but those that a hold or the end cuts off, and the one before a run that goes on. */
export const SLICE_S = 15;

/** Gets everything that goes to the files as soon as it is encoded, and never makes the files wait. */
export type LiveOutput = {
  /** Called before the first sample. */
  begin(streams: {
    video: Pick<VideoPlan, 'width' | 'height' | 'fps' | 'bitrateKbps'> & { extradata: Buffer };
    audio: AudioPlan & { sampleRate: number; extradata: Buffer };
  }): void;
  write(sample: EncodedSample): void;
};

export type MixOutputOptions = {
  video: Pick<VideoPlan, 'width' | 'height' | 'fps' | 'bitrateKbps'> | undefined;
  audio: AudioPlan | undefined;
  files: MixPlan['files'];
  mp4Limit: MixPlan['mp4Limit'];
  baseName: string;
  spoolDir: string;
  /** Wall time of the files' zero, Unix milliseconds. */
  zeroUtcMs: number;
  /**
   * Where this run goes on after an earlier run: the first frame and the first sample, counted from the files' zero.
   */
  from?: { frame: number; sample: number; sliceIndex: number; continues: boolean; heldUs?: number } | undefined;
  /** How much work goes into a picture, until `setEffort` says otherwise; left out: as much as usual. */
  effort?: Effort | undefined;
  /** Threads of the video encoder; when left out, as many as keep up with the clock. */
  threads?: number | undefined;
  /** A slice was begun at `startUtcMs`, Unix milliseconds. */
  onSliceStart(startUtcMs: number): void;
  /**
   * Something of an output could not be written, in words; the other outputs go on. Without this callback the first
   * such failure is thrown.
   */
  onLost?: ((output: string, what: string) => void) | undefined;
  /** A file is finished, on the spool and in its journal. */
  onFile(file: SpooledFile): void;
  /** Only for a recording with picture and sound. */
  live?: LiveOutput | undefined;
};

export class MixOutput {
  readonly #options: MixOutputOptions;
  /** Undefined while the recording is on hold. */
  #video: VideoEncoder | undefined;
  #audio: AudioEncoder | undefined;
  #effort: Effort | undefined;
  #awaitsPicture = true;
  readonly #writers: (TsSlices | Mp4Files)[] = [];
  readonly #journal: Journal;
  readonly #slices: TsSlices | undefined;
  readonly #notes: FileNotes;
  readonly #onLost: MixOutputOptions['onLost'];
  readonly #live: LiveOutput | undefined;

  private constructor(options: MixOutputOptions, journal: Journal) {
    const { video, audio, files, mp4Limit, baseName, spoolDir: dir, zeroUtcMs } = options;
    this.#options = options;
    this.#journal = journal;
    this.#onLost = options.onLost;
    this.#live = options.live;
    this.#effort = options.effort;
    this.#openEncoders(options.from?.sample);
    this.#notes = new FileNotes({
      journal,
      onNoted: options.onFile,
      onLate: ({ name }, error) => {
        if (!this.#onLost) throw error;
        this.#onLost('finished files cannot be noted yet', `${name}: ${messageOf(error)}`);
      },
    });
    if (video && this.#video && audio && this.#audio) {
      const { extradata } = this.#video;
      const sound = { ...audio, sampleRate: SOUND_RATE, extradata: this.#audio.extradata };
      this.#live?.begin({ video: { ...video, extradata }, audio: sound });
    }
    const streams = {
      dir,
      baseName,
      zeroUtcMs,
      onFile: (file: SpooledFile) => this.#notes.add(file),
      video: video && this.#video && { ...video, extradata: this.#video.extradata, color: this.#video.color },
      audio: audio &&
        this.#audio && { sampleRate: SOUND_RATE, channels: audio.channels, extradata: this.#audio.extradata },
    };
    if (files.hls) {
      const { onSliceStart, from } = options;
      const { sliceIndex: firstIndex, continues, heldUs } = from ?? {};
      const startUs = from && video && Math.round((from.frame * US) / video.fps);
      const onLost = options.onLost && ((what: string) => this.#onLost?.('the slices lack something', what));
      this.#slices = new TsSlices({ ...streams, onSliceStart, firstIndex, startUs, continues, heldUs, onLost });
      this.#writers.push(this.#slices);
    }
    if (files.mp4) {
      const onLost = options.onLost && ((what: string) => this.#loseMp4(mp4, what));
      const mp4: Mp4Files = new Mp4Files({ ...streams, limit: mp4Limit, endsSoon: true, onLost });
      this.#writers.push(mp4);
    }
  }

  static async open(options: MixOutputOptions): Promise<MixOutput> {
    return new MixOutput(options, await Journal.open(options.spoolDir));
  }

  /** As in Slices; undefined without slices. */
  get flushed(): Flushed | undefined {
    return this.#slices?.flushed;
  }

  /** No picture was written yet, or none since the last hold: the next one begins a file, and may not be left out. */
  get awaitsPicture(): boolean {
    return this.#awaitsPicture;
  }

  /** So much work goes into pictures from now on. */
  setEffort(effort: Effort): void {
    this.#effort = effort;
    this.#video?.setEffort(effort);
  }

  /** Notes a file that was made beside the streams, before any file of the streams. */
  keep(file: SpooledFile): Promise<void> {
    return this.#notes.add(file);
  }

  /**
   * Encodes and writes one canvas as frame `frame` of the files. The caller keeps the canvas. Await it before the next
   * call.
   * @param changed where it may differ from the canvas of the call before; left out: anywhere
   */
  async writePicture(canvas: Picture, frame: number, changed?: readonly Part[]): Promise<void> {
    if (!this.#video) return;
    this.#awaitsPicture = false;
    await this.#write(await this.#video.encode(canvas, frame, { changed }));
  }

  /**
   * Encodes and writes one block that begins `sample` samples after the files' zero; blocks follow each other without
   * gaps.
   */
  async writeSound(sound: Sound, sample: number): Promise<void> {
    if (this.#audio) await this.#write(this.#audio.encode(sound, sample));
  }

  /**
   * The recording is on hold from frame `frame` on. When this resolves everything before it is on the spool and in its
   * journal; nothing is encoded until `resume`.
   */
  async hold(frame: number): Promise<void> {
    await this.#flush();
    this.#closeEncoders();
    const { video } = this.#options;
    await this.#slices?.hold(video && Math.round((frame * US) / video.fps));
  }

  /**
   * Goes on with sample `sample`, right where `hold` left off, and with a key frame.
   * @param heldUs how long all holds so far took together
   */
  async resume(sample: number, heldUs: number): Promise<void> {
    for (const writer of this.#writers) writer.resume(heldUs);
    // A run that goes on from within a hold may find that the files already hold some of what comes after it.
    this.#openEncoders(Math.max(sample, this.#options.from?.sample ?? sample));
    // The sound before the hold was faded out.
    await this.prime(sample);
  }

  /** Makes the encoder of sound, which goes on with sample `sample`, assume silence before it. */
  async prime(sample: number): Promise<void> {
    const { audio } = this.#options;
    if (!audio) return;
    const channels = Array.from({ length: audio.channels }, () => new Float32Array(AUDIO_BLOCK));
    for (let before = PRIMING_SAMPLES; before > 0; before -= AUDIO_BLOCK)
      await this.writeSound({ channels, samples: AUDIO_BLOCK }, sample - before);
  }

  /** Ends the streams and finishes every file. */
  async finish(): Promise<void> {
    await this.#flush();
    await Promise.all(this.#writers.map((writer) => writer.finish()));
    await this.#notes.flush();
    await this.#journal.close();
  }

  /** Frees everything native. Unfinished files stay behind as `.part`. Calling it again does nothing. */
  close(): void {
    this.#closeEncoders();
    for (const writer of this.#writers) writer.close();
    void this.#journal.close();
  }

  #openEncoders(firstSample: number | undefined): void {
    const { video, audio, threads } = this.#options;
    const chosen = { ...(threads && { threads }), ...(this.#effort && { effort: this.#effort }) };
    this.#video = video && new VideoEncoder({ ...video, ...chosen, keyIntervalFrames: video.fps * KEY_INTERVAL_S });
    this.#awaitsPicture = true;
    this.#audio = audio && new AudioEncoder({ ...audio, firstSample });
  }

  #closeEncoders(): void {
    this.#video?.close();
    this.#audio?.close();
    this.#video = undefined;
    this.#audio = undefined;
  }

  async #flush(): Promise<void> {
    if (this.#video) await this.#write(await this.#video.flush());
    if (this.#audio) await this.#write(this.#audio.flush());
  }

  /** The MP4 lacks something. Where there are slices, a complete one is made from them when the recording is over. */
  #loseMp4(mp4: Mp4Files, what: string): void {
    if (this.#slices) mp4.abandon();
    const output = this.#slices
      ? 'the MP4 is made from the slices at the end, as it could not be written'
      : 'the MP4 lacks something';
    this.#onLost?.(output, what);
  }

  async #write(samples: EncodedSample[]): Promise<void> {
    for (const sample of samples) {
      this.#live?.write(sample);
      for (const writer of this.#writers) await writer.write(sample);
    }
  }
}
