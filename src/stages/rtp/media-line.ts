/**
 * MediaLine: a stream's timestamps as they would be if the sender had never stopped counting, nor counted too far. When
 * capture stalls (a phone call, another microphone) the timestamps have no gap, but from then on every packet is late
 * by the same time. Such steps show in packets that are suddenly late and stay so, and in sender reports. All times in
 * microseconds.
 */

import type { MediaLineState } from '../../contract/line/reception-state.ts';
import type { HostUs, MediaUs } from '../../kernel/time.ts';

/** A packet is late when it is later than this; good networks have less jitter. */
const LATE_US = 40_000;
/**
 * Lateness that grows by less than this from one packet to the next comes from a queue that fills, not from a stall.
 */
const SUDDEN_US = 30_000;
/** A packet has come early when it is this much earlier than any before it. */
const FALL_US = 15_000;
/** This many packets show that it is not only one. */
const MIN_PACKETS = 4;
/** Lateness that has lasted this long does not come from a burst that was held up. */
const HELD_UP_US = 700_000;
/** How closely packets must agree with what a report says. */
const TOLERANCE_US = 30_000;
const MAX_STEPS = 16;

type Step = MediaLineState['steps'][number];
/** Packets from `fromUs` on that are all late, by at least `leastUs - floorUs`. */
type LateRun = MediaLineState['runs'][number];
type Fall = NonNullable<MediaLineState['fall']>;
type Last = MediaLineState['last'];

export class MediaLine {
  /** What is added to media from `fromUs` on. */
  #steps: Step[];
  /** The outermost run first; each begins within the one before it. */
  #runs: LateRun[];
  /** Packets that came earlier than any before them. */
  #fall: Fall | undefined;
  #last: Last;

  constructor(state?: MediaLineState) {
    this.#steps = structuredClone(state?.steps ?? []);
    this.#runs = structuredClone(state?.runs ?? []);
    this.#fall = state?.fall && { ...state.fall };
    this.#last = state?.last && { ...state.last };
  }

  save(): MediaLineState {
    return {
      steps: structuredClone(this.#steps),
      runs: structuredClone(this.#runs),
      fall: this.#fall && { ...this.#fall },
      last: this.#last && { ...this.#last },
    };
  }

  /** The place of a timestamp's media on the line, by all steps that are certain. */
  at(mediaUs: MediaUs): number {
    return mediaUs + (this.#steps.findLast(({ fromUs }) => mediaUs >= fromUs)?.shiftUs ?? 0);
  }

  /**
   * How much later it lies if what is late now stays late: lateness that has lasted at least `minAgeUs`, and is at
   * least `minUs`.
   */
  supposedUs(mediaUs: MediaUs, nowUs: HostUs, minAgeUs: number, minUs = 0): number {
    let us = 0;
    for (const run of this.#runs) {
      if (mediaUs < run.fromUs) break;
      if (isSuspect(run) && nowUs - run.sinceUs >= minAgeUs) us += run.leastUs - run.floorUs;
    }
    return us >= minUs ? us : 0;
  }

  /**
   * Since when packets have been late in a way that no network causes, as far as is known; undefined when they are not.
   */
  get suspectSinceUs(): HostUs | undefined {
    return this.#runs.find(isSuspect)?.sinceUs;
  }

  /**
   * Takes note of a packet that is newer than all before it.
   * @param offsetUs arrival minus its place on the line
   * @param baseUs the least of the latest offsets; undefined while they are not well known
   * @returns whether it is on time
   */
  onPacket(mediaUs: MediaUs, arrivalUs: HostUs, offsetUs: number, baseUs: number | undefined): boolean {
    const last = this.#last ?? { mediaUs, offsetUs };
    this.#last = { mediaUs, offsetUs };
    if (baseUs === undefined) return true;
    while (this.#runs.length > 0 && offsetUs <= this.#runs.at(-1)!.floorUs + LATE_US) this.#runs.pop();
    for (const run of this.#runs) {
      run.leastUs = Math.min(run.leastUs, offsetUs);
      run.packets++;
    }
    const floorUs = this.#runs.at(-1)?.leastUs ?? baseUs;
    if (offsetUs > floorUs + LATE_US && this.#runs.length < MAX_STEPS) {
      const sudden = offsetUs - last.offsetUs >= SUDDEN_US;
      const fromUs = (last.mediaUs + mediaUs) / 2;
      const run = { fromUs, sinceUs: arrivalUs, floorUs, leastUs: offsetUs, packets: 1, sudden, denied: false };
      // A second run within the first counts only when it comes from another stall.
      if (this.#runs.length === 0 || sudden) this.#runs.push(run);
    }
    this.#noteFall(mediaUs, arrivalUs, offsetUs, baseUs, last);
    return this.#runs.length === 0;
  }

  /**
   * Packets that have been earlier than any before them for `afterUs` show a step: the sender counted too far before.
   * Returns by how much, and from when on packets came by the new count.
   */
  settleFall(nowUs: HostUs, afterUs: number): { sinceUs: HostUs; byUs: number } | undefined {
    const fall = this.#fall;
    if (!fall || fall.packets < MIN_PACKETS || nowUs - fall.sinceUs < afterUs) return undefined;
    const byUs = fall.floorUs - fall.leastUs;
    if (!fall.sudden || byUs < LATE_US) return undefined;
    this.#fall = undefined;
    this.#add(fall.fromUs, -byUs);
    return { sinceUs: fall.sinceUs, byUs };
  }

  /** Packets that have been late for `afterUs` stay late: a step. Returns whether there was one. */
  settle(nowUs: HostUs, afterUs: number): boolean {
    const at = this.#runs.findIndex(isSuspect);
    const run = this.#runs[at];
    if (!run || run.packets < MIN_PACKETS || nowUs - run.sinceUs < Math.max(afterUs, HELD_UP_US)) return false;
    this.#accept(at, run.leastUs - run.floorUs);
    return true;
  }

  /**
   * A report says that media lies later on the sender's clock than was known, by `stepUs`, or earlier when that is
   * negative. Returns whether packets agree, which makes it a step, and from when on packets came by the new count.
   */
  onReport(stepUs: number): { sinceUs: HostUs } | undefined {
    const tolerance = TOLERANCE_US + Math.abs(stepUs) / 10;
    const [run] = this.#runs;
    if (stepUs > 0 && run) {
      const lateUs = this.#runs.at(-1)!.leastUs - run.floorUs;
      if (lateUs < stepUs - tolerance) return undefined;
      const { sinceUs } = run;
      // Each run by the amount that its packets show, and the last one by the rest of what the report says.
      let restUs = stepUs;
      while (this.#runs.length > 0) {
        const first = this.#runs[0]!;
        const ownUs = this.#runs.length === 1 ? restUs : Math.min(restUs, first.leastUs - first.floorUs);
        restUs -= ownUs;
        this.#accept(0, ownUs);
      }
      return { sinceUs };
    }
    const fall = this.#fall;
    if (stepUs >= 0 || !fall || Math.abs(fall.floorUs - fall.leastUs + stepUs) > tolerance) return undefined;
    this.#fall = undefined;
    this.#add(fall.fromUs, stepUs);
    return { sinceUs: fall.sinceUs };
  }

  /** A report says that packets that are late by about this, or by less, are only late on their way. */
  deny(lateUs = Number.POSITIVE_INFINITY): void {
    const tolerance = TOLERANCE_US + lateUs / 10;
    for (const run of this.#runs) if (run.leastUs - run.floorUs <= lateUs + tolerance) run.denied = true;
  }

  #noteFall(mediaUs: MediaUs, arrivalUs: HostUs, offsetUs: number, baseUs: number, last: NonNullable<Last>): void {
    const fall = this.#fall;
    if (fall && offsetUs <= fall.floorUs - FALL_US) {
      fall.leastUs = Math.min(fall.leastUs, offsetUs);
      fall.packets++;
      return;
    }
    this.#fall = undefined;
    if (offsetUs > baseUs - FALL_US) return;
    const sudden = last.offsetUs - offsetUs >= SUDDEN_US;
    const fromUs = (last.mediaUs + mediaUs) / 2;
    this.#fall = { fromUs, sinceUs: arrivalUs, floorUs: baseUs, leastUs: offsetUs, packets: 1, sudden };
  }

  /** Turns a run into a step; runs within it are then late by that much less. */
  #accept(at: MediaUs, stepUs: number): void {
    const [run] = this.#runs.splice(at, 1);
    if (!run) return;
    for (const inner of this.#runs.slice(at)) {
      inner.floorUs -= stepUs;
      inner.leastUs -= stepUs;
    }
    if (this.#last) this.#last.offsetUs -= stepUs;
    this.#add(run.fromUs, stepUs);
  }

  #add(fromUs: MediaUs, stepUs: number): void {
    const shiftUs = (this.#steps.at(-1)?.shiftUs ?? 0) + stepUs;
    this.#steps = [...this.#steps.filter((step) => step.fromUs < fromUs), { fromUs, shiftUs }].slice(-MAX_STEPS);
  }
}

/** Whether packets became late all at once, and no report says that they were late on their way. */
function isSuspect({ sudden, denied }: LateRun): boolean {
  return sudden && !denied;
}
