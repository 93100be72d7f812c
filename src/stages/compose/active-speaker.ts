/**
 * ActiveSpeaker: who speaks, by how loud users are. It hears in windows of 50 ms that are counted from the recording's
 * zero, so what it says of a moment depends on what was heard before it and on nothing else. Pure.
 */
import type { ActiveSpeakerState } from '../../contract/line/active-speaker-state.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Sound } from '../../media/frame.ts';

/** 50 ms. */
const WINDOW_SAMPLES = 2400;
const WINDOW_US = 50_000;

/** Whose level is above this, dBFS, is heard to speak. */
const SPEECH_DB = -50;
/** Silence, as far as levels go down. */
const FLOOR_DB = -100;
/** How far a level goes towards a louder window. */
const RISE = 0.5;
/** How fast a level falls, dB in a window: 60 dB/s, so pauses between words do not count. */
const FALL_DB = 3;
/**
 * Attack: so long one must speak before being taken for the speaker, 0.3 s. A window in which one is heard counts two,
 * and one in which one is not takes one away: words are not without pauses, and a cough is no speech.
 */
const ATTACK = 12;
/** Release: so long the speaker must be silent before somebody else may follow who is not louder, windows. */
const RELEASE = 10;
/** Who is louder than a speaker by this, dB, for so many windows, follows one who still speaks. */
const LOUDER_DB = 6;
const LOUDER = 20;
/** Hold: so long a speaker stays whoever else speaks, windows. */
const HOLD = 30;
/** Windows ahead of what was decided that are kept: sound comes a little before its moment. */
const MAX_AHEAD = 40;

/** A user who was heard. Counts are of windows and end where they say nothing more. */
type Voice = {
  levelDb: number;
  /** As of `ATTACK`. */
  speaking: number;
  /** For how long the level was below what counts as speech. */
  silent: number;
  /** For how long it was louder than the speaker's. */
  louder: number;
};

export class ActiveSpeaker {
  /** Sums of squares by window and user. */
  #energies = new Map<number, Map<string, number>>();
  /** The first window that is not decided on. */
  #next = 0;
  readonly #voices = new Map<string, Voice>();
  /** Who spoke, the last one first. */
  #recent: string[] = [];
  /** For how long the first of them has been the speaker. */
  #held = 0;

  /** Those present who have spoken, the speaker first; who was silent all the time is not among them. */
  get recent(): readonly string[] {
    return this.#recent;
  }

  /** Goes on from a sample, counted from the recording's zero, with nothing heard yet. */
  seek(position: number): void {
    const next = Math.floor(position / WINDOW_SAMPLES);
    this.restore({ next, energies: [], voices: [], recent: [], held: 0 });
  }

  /**
   * A user's sound from `startSample` on, counted from the recording's zero. What lies in windows that are decided on
   * is left out.
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
   * Decides on all windows that end by `untilUs`.
   * @param presentAt who is there at a moment, in join order: of those equally loud the first is taken
   */
  advance(untilUs: RecordingUs, presentAt: (atUs: RecordingUs) => readonly string[]): void {
    const end = Math.floor(untilUs / WINDOW_US);
    for (; this.#next < end; this.#next++) {
      const energies = this.#energies.get(this.#next);
      this.#energies.delete(this.#next);
      this.#decide(energies, presentAt((this.#next + 1) * WINDOW_US));
    }
  }

  /** For another one that goes on as this one would. */
  save(): ActiveSpeakerState {
    return {
      next: this.#next,
      energies: [...this.#energies].map(([window, users]) => ({ window, users: [...users] })),
      voices: [...this.#voices].map(([uid, voice]) => ({ uid, ...voice })),
      recent: [...this.#recent],
      held: this.#held,
    };
  }

  /** Goes on where another one stood. */
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
    // Then there is nobody to be held.
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
    // Who was never heard is not kept.
    if (!known && heardDb <= SPEECH_DB) return;
    const voice = known ?? { levelDb: FLOOR_DB, speaking: 0, silent: 0, louder: 0 };
    this.#voices.set(uid, voice);
    const { levelDb } = voice;
    voice.levelDb = heardDb > levelDb ? levelDb + RISE * (heardDb - levelDb) : Math.max(heardDb, levelDb - FALL_DB);
    const isHeard = heardDb > SPEECH_DB;
    voice.speaking = isHeard ? Math.min(ATTACK, voice.speaking + 2) : Math.max(0, voice.speaking - 1);
    voice.silent = voice.levelDb > SPEECH_DB ? 0 : Math.min(RELEASE, voice.silent + 1);
  }

  /** Who becomes the speaker now, if somebody does. */
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
