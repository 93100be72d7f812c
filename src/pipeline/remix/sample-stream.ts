/**
 * SampleStream: the samples of one stream from its slices, one slice after another as time reaches them. A slice is
 * opened when it is due and closed when it has been read, so that a stream costs the same however long it is.
 */

import { messageOf } from '../../kernel/fault.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import type { CastSlice } from './cast.ts';

/**
 * Reads the samples of a slice in decode order, in the recording's time. Throws a Fault for a file that cannot be read.
 */
export type ReadSlice = (slice: CastSlice) => AsyncIterable<SliceSample>;

export type StreamSample = {
  sample: SliceSample;
  slice: CastSlice;
  /** True when samples before this one are missing, so that what is predicted from them cannot be decoded. */
  afterGap: boolean;
};

/** A slice is opened this early: decode times come before display times, and manifests round to milliseconds. */
const LEAD_US = 500_000;
/**
 * How far a sample may stand from its slice's place in the manifest. One that is further off is damaged, and would stop
 * the stream.
 */
const ASTRAY_US = 5_000_000;

export class SampleStream {
  readonly #slices: CastSlice[];
  readonly #read: ReadSlice;
  readonly #onProblem: (what: string) => void;
  #slice: CastSlice | undefined;
  #samples: AsyncIterator<SliceSample> | undefined;
  #next: StreamSample | undefined;
  #gap = false;
  #astray = false;

  /** @param slices in order */
  constructor(slices: readonly CastSlice[], read: ReadSlice, onProblem: (what: string) => void) {
    this.#slices = [...slices];
    this.#read = read;
    this.#onProblem = onProblem;
  }

  /** True when everything was taken. */
  get ended(): boolean {
    return !this.#next && !this.#samples && this.#slices.length === 0;
  }

  /** Takes the next sample whose decode time is at most `untilUs`, if there is one. */
  async take(untilUs: RecordingUs): Promise<StreamSample | undefined> {
    for (;;) {
      const next = this.#next;
      if (next) {
        if (next.sample.dtsUs > untilUs) return undefined;
        this.#next = undefined;
        return next;
      }
      if (!this.#samples && !this.#open(untilUs)) return undefined;
      await this.#fetch();
    }
  }

  /** Closes the open file. Nothing may be taken afterwards. */
  async close(): Promise<void> {
    const samples = this.#samples;
    this.#samples = undefined;
    this.#next = undefined;
    this.#slices.length = 0;
    await samples?.return?.();
  }

  #open(untilUs: RecordingUs): boolean {
    while (this.#slices[0]?.missing) {
      this.#gap = true;
      this.#slices.shift();
    }
    const slice = this.#slices[0];
    if (!slice || slice.startUs - LEAD_US > untilUs) return false;
    this.#slices.shift();
    this.#slice = slice;
    this.#astray = false;
    this.#samples = this.#read(slice)[Symbol.asyncIterator]();
    return true;
  }

  async #fetch(): Promise<void> {
    const slice = this.#slice as CastSlice;
    try {
      const result = await this.#samples?.next();
      if (!result || result.done) {
        this.#samples = undefined;
        return;
      }
      const sample = result.value;
      if (isAstray(sample, slice)) {
        if (!this.#astray) this.#onProblem(`${slice.name} holds samples that are not of its time; they are left out`);
        this.#astray = true;
        this.#gap = true;
        return;
      }
      this.#next = { sample, slice, afterGap: this.#gap };
      this.#gap = false;
    } catch (error) {
      this.#samples = undefined;
      this.#gap = true;
      this.#onProblem(`${slice.name} cannot be read on; the rest of it is left out: ${messageOf(error)}`);
    }
  }
}

function isAstray({ ptsUs, dtsUs }: SliceSample, { startUs, durationUs }: CastSlice): boolean {
  const earliest = startUs - ASTRAY_US;
  const latest = startUs + durationUs + ASTRAY_US;
  return !(Math.min(ptsUs, dtsUs) >= earliest && Math.max(ptsUs, dtsUs) <= latest);
}
