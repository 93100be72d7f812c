/**
 * ActiveSpeaker: who speaks, by how loud users are. It hears in windows of 50 ms, counted from the recording's zero, so
 * what it says of a moment depends only on what was heard before. Pure.
 */
import type { ActiveSpeakerState } from '../../contract/line/active-speaker-state.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Sound } from '../../media/frame.ts';

/** 50 ms. */
const WINDOW_SAMPLES = 2400;
const WINDOW_US = 50_000;

/** A user whose level is above this, dBFS, is speaking. */
const SPEECH_DB = -50;
/** The lowest level; it means silence. */
const FLOOR_DB = -100;
/** How far a level moves towards that of a louder window. */
const RISE = 0.5;
/** How fast a level falls, dB per window: 60 dB/s, so that pauses between words do not count. */
const FALL_DB = 3;
/**
 * Attack: a user must speak this long to become the speaker, 0.3 s. A window with speech counts two and one without
 * takes one away, because words have pauses, and a cough is no speech.
 */
const ATTACK = 12;
/** Release: after the speaker was silent for this many windows, a user who is not louder may follow. */
const RELEASE = 10;
/** A user who is louder than the speaker by this many dB, for this many windows, follows a speaker who still speaks. */
const LOUDER_DB = 6;
const LOUDER = 20;
/** Hold: a speaker stays for this many windows, whoever else speaks. */
const HOLD = 30;
/** How many windows ahead of the last decision are kept: sound comes a little before its moment. */
const MAX_AHEAD = 40;

/** A user who was heard. Counts are of windows, and stop where they no longer matter. */
type Voice = {
  levelDb: number;
  /** Counted as described at `ATTACK`. */
  speaking: number;
  /** How long the level has been below that of speech. */
  silent: number;
  /** How long the level has been above the speaker's. */
  louder: number;
};

export class ActiveSpeaker {
  /** Sums of squares by window and user. */
  #energies = new Map<number, Map<string, number>>();
  /** The first window that is not decided on. */
  #next = 0;
  readonly #voices = new Map<string, Voice>();
  /** Who has spoken, the last one first. */
  #recent: string[] = [];
  /** For how long the first of them has been the speaker. */
  #held = 0;

  /** Present users who have spoken, the speaker first; users who were always silent are not among them. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** Goes on from a sample, counted from the recording's zero, without having heard anything. */
  seek(position: number): void {
    const next = Math.floor(position / WINDOW_SAMPLES);
    this.restore({ next, energies: [], voices: [], recent: [], held: 0 });
  }

  /**
   * A user's sound from `startSample` on, counted from the recording's zero. Sound in windows that have been decided is
   * left out.
   */
  add(uid: string, startSample: number, { channels, samples }: Sound): void {
    const start = Math.round(startSample);
    for (let from = 0; from < samples; ) {
      const window = Math.floor((start + from) / WINDOW_SAMPLES);
      const to = Math.min(samples, (window + 1) * WINDOW_SAMPLES - start);
      if (window >= this.#next && window < this.#next + MAX_AHEAD) this.#addTo(window, uid, channels, from, to);
      from = to;
    }
  }

  /**
   * Decides all windows that end by `untilUs`.
   * @param presentAt who is in the channel at a moment, in join order: of equally loud users the first is chosen
   */
  advance(untilUs: RecordingUs, presentAt: (atUs: RecordingUs) => readonly string[]): void {
    const end = Math.floor(untilUs / WINDOW_US);
    for (; this.#next < end; this.#next++) {
      const energies = this.#energies.get(this.#next);
      this.#energies.delete(this.#next);
      this.#decide(energies, presentAt((this.#next + 1) * WINDOW_US));
    }
  }

  /** The state for another one that goes on in the same way. */
  save(): ActiveSpeakerState {
    return {
      next: this.#next,
      energies: [...this.#energies].map(([window, users]) => ({ window, users: [...users] })),
      voices: [...this.#voices].map(([uid, voice]) => ({ uid, ...voice })),
      recent: [...this.#recent],
      held: this.#held,
    };
  }

  /** Goes on from another one's state. */
  restore({ next, energies, voices, recent, held }: ActiveSpeakerState): void {
    this.#next = next;
    this.#energies = new Map(energies.map(({ window, users }) => [window, new Map(users)]));
    this.#voices.clear();
    for (const { uid, ...voice } of voices) this.#voices.set(uid, voice);
    this.#recent = [...recent];
    this.#held = held;
  }

  #addTo(window: number, uid: string, channels: Float32Array[], from: number, to: number): void {
    const users = this.#energies.get(window) ?? new Map<string, number>();
    this.#energies.set(window, users);
    let sum = users.get(uid) ?? 0;
    for (const samples of channels)
      for (let i = from; i < to; i++) sum += (samples[i]! * samples[i]!) / channels.length;
    users.set(uid, sum);
  }

  #decide(energies: ReadonlyMap<string, number> | undefined, present: readonly string[]): void {
    const there = new Set(present);
    for (const uid of this.#voices.keys()) if (!there.has(uid)) this.#voices.delete(uid);
    const before = this.#recent[0];
    this.#recent = this.#recent.filter((uid) => there.has(uid));
    const hasLeft = this.#recent[0] !== before;
    for (const uid of present) this.#hear(uid, energies?.get(uid) ?? 0);
    const speaker = this.#recent[0];
    const voice = speaker === undefined ? undefined : this.#voices.get(speaker);
    // Nobody is left who could be held.
    if (hasLeft) this.#held = HOLD;
    this.#held = Math.min(HOLD, this.#held + 1);
    const follower = this.#followerOf(speaker, voice, present);
    if (follower === undefined) return;
    this.#recent = [follower, ...this.#recent.filter((uid) => uid !== follower)];
    this.#held = 0;
    for (const each of this.#voices.values()) each.louder = 0;
  }

  #hear(uid: string, energy: number): void {
    const heardDb = Math.max(FLOOR_DB, 10 * Math.log10(energy / WINDOW_SAMPLES));
    const known = this.#voices.get(uid);
    // Users who were never heard are not kept.
    if (!known && heardDb <= SPEECH_DB) return;
    const voice = known ?? { levelDb: FLOOR_DB, speaking: 0, silent: 0, louder: 0 };
    this.#voices.set(uid, voice);
    const { levelDb } = voice;
    voice.levelDb = heardDb > levelDb ? levelDb + RISE * (heardDb - levelDb) : Math.max(heardDb, levelDb - FALL_DB);
    const isHeard = heardDb > SPEECH_DB;
    voice.speaking = isHeard ? Math.min(ATTACK, voice.speaking + 2) : Math.max(0, voice.speaking - 1);
    voice.silent = voice.levelDb > SPEECH_DB ? 0 : Math.min(RELEASE, voice.silent + 1);
  }

  /** The user who becomes the speaker now, if anybody does. */
  #followerOf(
    speaker: string | undefined,
    { levelDb: speakerDb, silent }: Pick<Voice, 'levelDb' | 'silent'> = { levelDb: FLOOR_DB, silent: RELEASE },
    present: readonly string[],
  ): string | undefined {
    const isOver = silent >= RELEASE;
    let follower: { uid: string; levelDb: number } | undefined;
    for (const uid of present) {
      const voice = this.#voices.get(uid);
      if (!voice || uid === speaker) continue;
      const isLouder = voice.levelDb >= speakerDb + LOUDER_DB;
      voice.louder = isLouder ? Math.min(LOUDER, voice.louder + 1) : 0;
      const isHeard = voice.speaking >= ATTACK && (isOver || voice.louder >= LOUDER);
      if (isHeard && (!follower || voice.levelDb > follower.levelDb)) follower = { uid, levelDb: voice.levelDb };
    }
    return this.#held >= HOLD || speaker === undefined ? follower?.uid : undefined;
  }
}
