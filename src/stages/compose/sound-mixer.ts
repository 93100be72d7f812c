/**
 * Mixes users' sound at absolute positions, in samples of 48 kHz from the recording's zero. Blocks of one user that
 * nearly meet are joined seamlessly; gaps and jumps are faded, so that no edge clicks.
 */
import type { SoundMixerState } from '../../contract/line/sound-mixer-state.ts';
import type { Side } from '../../contract/line/stereo.ts';
import { invariant } from '../../kernel/fault.ts';
import { continueWave } from '../../media/continued-wave.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { LIMITER_HOP, Limiter } from './limiter.ts';
import { toSide } from './side.ts';

export type SoundMixerOptions = {
  channels: 1 | 2;
  /** How far ahead of `take` sound may be added. */
  aheadMs?: number;
  /** False for a mixer with a single user, whose sound cannot exceed full scale. */
  limited?: boolean;
};

/** A block continues the one before when it begins this close to its end: 3 ms. */
const SNAP_SAMPLES = 144;
/** A smaller error of a block's position than this, 0.5 ms, is jitter of its timestamp and not corrected. */
const DRIFT_SAMPLES = 24;
/** A block is stretched or squeezed by at most this share to correct drift; half a percent is not heard. */
const MAX_STRETCH = 0.005;
/**
 * Used when the error is almost too large to join blocks: after a late first report a stream's clock is slewed as fast.
 */
const URGENT_STRETCH = 0.05;
/** Length of fades, 5 ms. */
const FADE_SAMPLES = 240;
/** A user is forgotten this long after the last sound. */
const FORGET_SAMPLES = SOUND_RATE;

type Voice = {
  /** Where this user's sound ends. */
  end: number;
  /** The last samples written, from which a fade continues; fewer when fewer were written. */
  tail: Float32Array[];
  /** True when the fade after `end` has been written, so that the next sound begins anew. */
  released: boolean;
  /** True when sound has been left out since the last that was written, so that the next must not join it. */
  cut: boolean;
  /** Where this user's last sound was heard. */
  side: Side;
};

export class SoundMixer {
  readonly channels: 1 | 2;
  readonly #size: number;
  readonly #ring: Float32Array[];
  readonly #limiter: Limiter | undefined;
  #voices = new Map<string, Voice>();
  #position = 0;
  /** Where it began. */
  #from = 0;
  #late = 0;
  #early = 0;

  constructor(options: SoundMixerOptions) {
    this.channels = options.channels;
    this.#limiter = options.limited === false ? undefined : new Limiter();
    this.#size = Math.ceil(((options.aheadMs ?? 6000) * SOUND_RATE) / 1000);
    this.#ring = Array.from({ length: options.channels }, () => new Float32Array(this.#size));
  }

  /** The sample that the next `take` begins with. */
  get position(): number {
    return this.#position;
  }

  /** How many samples came after their place had been taken. */
  get lateSamples(): number {
    return this.#late;
  }

  /** How many samples were too far ahead to be kept. */
  get earlySamples(): number {
    return this.#early;
  }

  /** Goes on from `position` without any sound. */
  seek(position: number): void {
    this.#position = position;
    this.#from = position;
    this.#voices.clear();
    for (const samples of this.#ring) samples.fill(0);
  }

  /** The state for a mixer that goes on in the same way. */
  save(): SoundMixerState {
    let end = this.#position;
    // A voice that ended was faded out beyond its end.
    for (const voice of this.#voices.values()) end = Math.max(end, voice.end + FADE_SAMPLES);
    const ahead = Math.min(this.#size, end - this.#position);
    const gain = this.#limiter?.gain;
    return {
      position: this.#position,
      ahead: this.#read(this.#position, ahead).map(toText),
      ...(gain === undefined ? {} : { limiterGain: gain }),
      voices: [...this.#voices].map(([uid, { tail, ...voice }]) => ({ uid, tail: tail.map(toText), ...voice })),
    };
  }

  /** Goes on from the state of another mixer with the same number of channels. */
  restore(state: SoundMixerState): void {
    this.seek(state.position);
    this.#ring.forEach((ring, channel) => {
      const ahead = fromText(state.ahead[channel] ?? '').subarray(0, this.#size);
      const at = modulo(state.position, this.#size);
      const first = Math.min(ahead.length, this.#size - at);
      ring.set(ahead.subarray(0, first), at);
      ring.set(ahead.subarray(first), 0);
    });
    for (const { uid, tail, ...voice } of state.voices) this.#voices.set(uid, { ...voice, tail: tail.map(fromText) });
    if (state.limiterGain !== undefined) this.#limiter?.restore(state.limiterGain);
  }

  /**
   * Adds a user's sound that begins at `startSample`. Sound that overlaps other sound of the user, or is late, is left
   * out.
   * @param side where it is heard, in a mixer of two channels; a user who is moved glides there
   * @returns how many samples are missing: their place had been taken, or was too far ahead to be kept
   */
  add(uid: string, startSample: number, sound: Sound, side: Side = 'both'): number {
    if (sound.samples === 0) return 0;
    const start = Math.round(startSample);
    const voice = this.#voices.get(uid);
    const error = voice ? start - voice.end : 0;
    // Three blocks at the fastest slew: where blocks are long, a single one moves further than 3 ms.
    const snap = Math.max(SNAP_SAMPLES, 3 * URGENT_STRETCH * sound.samples);
    const joins = voice !== undefined && !voice.released && !voice.cut && Math.abs(error) <= snap;
    const input = this.#onSide(this.#toChannels(sound), side, joins ? voice.side : side);
    if (joins) {
      voice.side = side;
      return this.#write(voice, voice.end, stretch(input, error, snap / 2), 0, false);
    }
    if (voice && start + sound.samples <= voice.end) {
      // Sound after this need not continue what is there.
      voice.cut = true;
      return 0;
    }
    const next = voice ?? { end: Math.min(start, this.#position), tail: [], released: true, cut: false, side };
    next.side = side;
    if (!voice) this.#voices.set(uid, next);
    this.#release(next);
    // Sound before the voice's end is there already; a voice that starts anew has none.
    const from = voice ? Math.max(start, voice.end) : start;
    return this.#write(next, from, input, from - start, true);
  }

  /**
   * The next `count` samples; silence where nobody has sound.
   * @param into memory of so many samples for each channel, which they are put into; memory of their own otherwise
   */
  take(count: number, into?: Float32Array[]): Sound {
    invariant(
      count > 0 && count + LIMITER_HOP <= this.#size,
      `a block of ${count} samples is longer than the mixer holds`,
    );
    const end = this.#position + count;
    // These voices have no sound that follows in time, so they fade out here. Sound that arrives later fades in.
    for (const voice of this.#voices.values()) if (voice.end < end + LIMITER_HOP) this.#release(voice);
    const channels = this.#read(this.#position, count, into);
    this.#limiter?.process(channels, this.#read(end, LIMITER_HOP));
    this.#clear(this.#position, count);
    this.#position = end;
    for (const [uid, voice] of this.#voices) if (voice.end < end - FORGET_SAMPLES) this.#voices.delete(uid);
    return { channels, samples: count };
  }

  /** Writes `input` from `skip` on at `position`. Returns how many samples are missing. */
  #write(voice: Voice, position: number, input: Float32Array[], skip: number, fadeIn: boolean): number {
    const length = (input[0]?.length ?? 0) - skip;
    if (length <= 0) return 0;
    const late = Math.min(length, Math.max(0, this.#position - position));
    const room = this.#position + this.#size - position;
    const kept = Math.min(length, Math.max(0, room));
    this.#late += late;
    this.#early += length - kept;
    // Nobody misses what lies before the beginning.
    const missing = length - kept + Math.min(late, Math.max(0, position + late - this.#from));
    if (kept <= late) {
      // When all of it is too late the voice still moves on in time. When all of it is too early it was never heard.
      if (kept > 0 && position + kept > voice.end) {
        voice.end = position + kept;
        voice.tail = [];
        voice.released = true;
      }
      return missing;
    }
    // Sound whose beginning was cut off starts in the middle of a wave.
    const fade = fadeIn || late > 0 ? Math.min(FADE_SAMPLES, kept - late) : 0;
    input.forEach((samples, channel) => {
      const ring = this.#ring[channel]!;
      let at = modulo(position + late, this.#size);
      for (let i = 0; i < kept - late; i++) {
        const value = samples[skip + late + i]!;
        // The counterpart of the fade that ends a voice: both together are as loud as one.
        ring[at]! += i < fade ? value * (0.5 - 0.5 * Math.cos((Math.PI * (i + 1)) / (fade + 1))) : value;
        if (++at === this.#size) at = 0;
      }
    });
    voice.end = position + kept;
    voice.tail = lastOf(input, Math.max(skip + late, skip + kept - FADE_SAMPLES), skip + kept, voice.tail);
    voice.released = false;
    voice.cut = false;
    return missing;
  }

  /** Fades a voice out after its end, as its wave would have gone on. */
  #release(voice: Voice): void {
    if (voice.released) return;
    voice.released = true;
    voice.tail.forEach((tail, channel) => {
      const ring = this.#ring[channel]!;
      continueWave(tail, FADE_SAMPLES).forEach((sample, i) => {
        const position = voice.end + i;
        if (position < this.#position || position >= this.#position + this.#size) return;
        ring[modulo(position, this.#size)]! += sample;
      });
    });
  }

  #read(position: number, count: number, into?: Float32Array[]): Float32Array[] {
    return this.#ring.map((ring, channel) => {
      const samples = into?.[channel] ?? new Float32Array(count);
      const at = modulo(position, this.#size);
      const first = Math.min(count, this.#size - at);
      samples.set(ring.subarray(at, at + first));
      samples.set(ring.subarray(0, count - first), first);
      return samples;
    });
  }

  #clear(position: number, count: number): void {
    const at = modulo(position, this.#size);
    const first = Math.min(count, this.#size - at);
    for (const ring of this.#ring) {
      ring.fill(0, at, at + first);
      ring.fill(0, 0, count - first);
    }
  }

  #onSide(channels: Float32Array[], side: Side, before: Side): Float32Array[] {
    return this.channels === 2 ? toSide(channels, side, before, FADE_SAMPLES) : channels;
  }

  #toChannels(sound: Sound): Float32Array[] {
    const [left, right] = sound.channels;
    invariant(left, 'sound has at least one channel');
    if (this.channels === sound.channels.length) return sound.channels;
    if (!right) return [left, left];
    return [left.map((value, i) => (value + right[i]!) / 2)];
  }
}

/**
 * The input made a little longer or shorter, so that a block that continues another drifts towards its proper place.
 * @param urgent a larger error than this many samples is corrected as fast as possible
 */
function stretch(input: Float32Array[], error: number, urgent: number): Float32Array[] {
  const length = input[0]?.length ?? 0;
  const size = Math.abs(error);
  if (size <= DRIFT_SAMPLES) return input;
  const slow = Math.min(Math.floor(length * MAX_STRETCH), Math.round(size / 8));
  const fast = Math.min(Math.floor(length * URGENT_STRETCH), Math.round(size - urgent));
  const change = Math.sign(error) * Math.max(slow, fast);
  const newLength = length + change;
  if (change === 0 || newLength < 2 || length < 2) return input;
  const ratio = (length - 1) / (newLength - 1);
  return input.map((samples) => {
    const out = new Float32Array(newLength);
    for (let i = 0; i < newLength; i++) {
      const at = i * ratio;
      const index = Math.min(length - 2, Math.floor(at));
      const part = at - index;
      out[i] = samples[index]! * (1 - part) + samples[index + 1]! * part;
    }
    return out;
  });
}

/** Samples `from` to `until` of each channel, in the memory of `former` where that has as many. */
function lastOf(input: Float32Array[], from: number, until: number, former: Float32Array[]): Float32Array[] {
  return input.map((samples, channel) => {
    const memory = former[channel];
    if (memory?.length !== until - from) return samples.slice(from, until);
    memory.set(samples.subarray(from, until));
    return memory;
  });
}

function toText(samples: Float32Array): string {
  return Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength).toString('base64');
}

function fromText(text: string): Float32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'));
  return new Float32Array(bytes.buffer, 0, bytes.length >> 2);
}

function modulo(value: number, size: number): number {
  return ((value % size) + size) % size;
}
