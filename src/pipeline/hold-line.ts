/**
 * HoldLine: when a recording is on hold, in blocks of sound from where its files begin. What is held is in no file:
 * after a hold the files go on as if no time had passed. Holds begin and end between blocks, so that sound and picture
 * agree. Pure.
 */
import { type FileUs, type RecordingUs, US } from '../kernel/time.ts';
import { SOUND_RATE } from '../media/frame.ts';
import { AAC_BLOCK } from '../stages/codec/audio-encoder.ts';
import type { Edges } from '../stages/compose/edges.ts';
import type { Timeline } from './timeline.ts';

type Change = { at: number; onhold: boolean };
/** A hold in microseconds of the recording; `untilUs` is infinite while it goes on. */
export type Hold = { fromUs: RecordingUs; untilUs: RecordingUs };

const BLOCK_US = (AAC_BLOCK * US) / SOUND_RATE;
/** Moments are whole microseconds and blocks are not: two moments this close, in blocks, are the same. */
const SAME = 0.0001;

export class HoldLine {
  /** Where the files begin, microseconds of the recording, and the nearest sample. */
  readonly originUs: RecordingUs;
  readonly originSample: number;
  /** In order; the first one tells the state before all others. */
  #changes: Change[];
  /** How many blocks were held before the first change. */
  #held = 0;

  /** @param holds the holds that are known when the files begin */
  constructor(originUs: RecordingUs, holds: Timeline<boolean>) {
    this.originUs = originUs;
    this.originSample = Math.round((originUs * SOUND_RATE) / US);
    const [first, ...later] = holds.since(originUs);
    this.#changes = [{ at: Number.NEGATIVE_INFINITY, onhold: first?.value ?? false }];
    for (const { fromUs, value } of later) this.change(this.blockAt(fromUs), value);
  }

  /** Where a moment of the recording lies, in blocks; mostly between two. */
  blockAt(atUs: RecordingUs): number {
    return ((atUs * SOUND_RATE) / US - this.originSample) / AAC_BLOCK;
  }

  /** The recording's moment at which a block begins. */
  timeOf(block: number): RecordingUs {
    return ((this.originSample + block * AAC_BLOCK) * US) / SOUND_RATE;
  }

  /**
   * Holds, or goes on, from block `at` on, which may lie between two. Returns the block from which that really takes
   * effect.
   */
  change(at: number, onhold: boolean): number {
    const from = Math.max(Math.ceil(at - SAME), this.#changes.at(-1)!.at);
    this.#changes.push({ at: from, onhold });
    return from;
  }

  /** Whether nothing is held, as in nearly every recording; asked for each sample. */
  get isFree(): boolean {
    return this.#changes.length === 1 && !this.#changes[0]!.onhold;
  }

  isHeld(at: number): boolean {
    if (this.#changes.length === 1) return this.#changes[0]!.onhold;
    return this.#changes.findLast((change) => change.at <= at)!.onhold;
  }

  /** How far the nearest holds are from a block that is not held. */
  edgesOf(block: number): Edges {
    return {
      sinceEdge: block > 0 && this.isHeld(block - 1) ? 0 : Number.POSITIVE_INFINITY,
      untilEdge: this.isHeld(block + 1) ? 0 : Number.POSITIVE_INFINITY,
    };
  }

  /** How many blocks before `at` are in no file. Holds from before the files begin do not count. */
  heldBefore(at: number): number {
    let held = this.#held;
    for (const { from, to } of this.#holds()) held += Math.max(0, Math.min(at, to) - Math.max(0, from));
    return held;
  }

  /** The recording's moment of a place in the files; infinite while a hold at that place goes on. */
  toRecording(fileUs: FileUs): RecordingUs {
    let held = this.#held;
    for (const { from, to } of this.#holds())
      if (Math.max(0, from) - held <= fileUs / BLOCK_US + SAME) held += Math.max(0, to - Math.max(0, from));
    return this.originUs + fileUs + held * BLOCK_US;
  }

  /** The holds that overlap `fromUs` to `untilUs` of the recording. */
  between(fromUs: RecordingUs, untilUs: RecordingUs): Hold[] {
    return this.#holds()
      .map(({ from, to }) => ({ fromUs: this.timeOf(from), untilUs: this.timeOf(to) }))
      .filter((hold) => hold.fromUs < untilUs && hold.untilUs > fromUs);
  }

  /**
   * The parts of `samples` samples of the recording from `start` on that are not held, each with how far it is from a
   * hold.
   */
  unheldIn(start: number, samples: number): ({ from: number; to: number } & Edges)[] {
    const end = start + samples;
    const parts: ({ from: number; to: number } & Edges)[] = [];
    let freeFrom = Number.NEGATIVE_INFINITY;
    const add = (freeTo: number) => {
      const [from, to] = [Math.max(start, freeFrom), Math.min(end, freeTo)];
      if (from < to) parts.push({ from, to, sinceEdge: from - freeFrom, untilEdge: freeTo - to });
    };
    for (const hold of this.#holds()) {
      add(this.originSample + hold.from * AAC_BLOCK);
      freeFrom = this.originSample + hold.to * AAC_BLOCK;
    }
    add(Number.POSITIVE_INFINITY);
    return parts;
  }

  /** An earlier run has counted that `held` blocks before block `at` are held. */
  recount(at: number, held: number): void {
    this.#held += held - this.heldBefore(at);
  }

  /** Nothing before `at` is asked about any more. */
  forget(at: number): void {
    while (this.#changes.length > 1 && this.#changes[1]!.at <= at) {
      const [{ at: from, onhold }, next] = this.#changes as [Change, Change];
      if (onhold) this.#held += Math.max(0, next.at - Math.max(0, from));
      this.#changes.shift();
    }
  }

  /** In order; none is empty. */
  #holds(): { from: number; to: number }[] {
    const holds: { from: number; to: number }[] = [];
    for (const [i, { at: from, onhold }] of this.#changes.entries()) {
      const to = this.#changes[i + 1]?.at ?? Number.POSITIVE_INFINITY;
      if (!onhold || to <= from) continue;
      const last = holds.at(-1);
      if (last && last.to >= from) last.to = to;
      else holds.push({ from, to });
    }
    return holds;
  }
}

/** Blocks of sound in microseconds. */
export function usOfBlocks(blocks: number): number {
  return blocks * BLOCK_US;
}
