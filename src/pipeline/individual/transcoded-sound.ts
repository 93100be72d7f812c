/**
 * TranscodedSound: one user's decoded sound as AAC, at its absolute place. A gap is filled with silence, so that later
 * sound keeps its place; a gap of 15 s ends the slice (contract §4.2) and is not written.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { AAC_BLOCK, AudioEncoder } from '../../stages/codec/audio-encoder.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { INTERRUPTION_US } from './file-sink.ts';

/** AAC-LC: what speech and music over WebRTC carry, and a little more. Two channels are a pair that shares its bits. */
const CODING = { 1: { bitrateKbps: 52, frugal: true }, 2: { bitrateKbps: 128 } } as const;
/** Sound that begins further ahead of the encoder has what is before it encoded. */
const AHEAD_SAMPLES = SOUND_RATE / 10;
/** Longer sound is added in pieces: Opus has 120 ms at most, and G.711 as much as fits into a packet. */
const PIECE_SAMPLES = (SOUND_RATE * 120) / 1000;
/** Room for a piece that begins so far ahead. */
const AHEAD_MS = 250;
/** Each block on its way from the mixer to the encoder, of whichever user. */
const BLOCK = [new Float32Array(AAC_BLOCK), new Float32Array(AAC_BLOCK)];
/** A gap this long is a pause. */
const PAUSE_SAMPLES = SOUND_RATE / 2;
const INTERRUPTION_SAMPLES = (INTERRUPTION_US / US) * SOUND_RATE;

/** The encoder's parameters, for a container. */
export type AacFormat = { sampleRate: number; channels: 1 | 2; extradata: Buffer };
/** An encoded block. `run` grows when the stream begins anew; `silent` tells that there was no sound. */
export type EncodedBlock = { sample: EncodedSample; run: number; silent: boolean; format: AacFormat };

type Voice = { encoder: AudioEncoder; mixer: SoundMixer; format: AacFormat; tags: { run: number; silent: boolean }[] };

export class TranscodedSound {
  readonly #onBlock: (block: EncodedBlock) => void;
  #voice: Voice | undefined;
  #track: number | undefined;
  #run = 0;
  /** Where the sound so far ends, in samples from the recording's zero. */
  #end = Number.NEGATIVE_INFINITY;

  /** Where the blocks of an earlier run ended: those of this run continue the same row. */
  #past: number | undefined;
  /** The next sound goes on where the earlier run's ended, and what is missing between them is silence. */
  #goesOn: boolean;

  /**
   * @param onBlock takes every finished block, in order
   * @param pastUs where the sound of an earlier run of the recording ended
   * @param onGrid whether blocks begin at multiples of their length, as those of another recorder of this sound do
   */
  constructor(onBlock: (block: EncodedBlock) => void, pastUs?: RecordingUs, onGrid = false) {
    this.#onBlock = onBlock;
    if (onGrid) this.#past = 0;
    this.#goesOn = pastUs !== undefined;
    if (pastUs === undefined) return;
    this.#past = Math.round((pastUs * SOUND_RATE) / US);
    this.#end = this.#past;
  }

  /**
   * Takes the next sound of a track. Returns how many of its samples come too late.
   * @param start in samples from the recording's zero
   */
  add(track: number, start: number, sound: Sound): number {
    const channels = sound.channels.length === 2 ? 2 : 1;
    if (start + sound.samples <= 0 || sound.samples === 0) return 0;
    const goesOn = this.#goesOn;
    this.#goesOn = false;
    if (goesOn) this.#track = track;
    const isNew = this.#track !== track || start - this.#end >= INTERRUPTION_SAMPLES;
    if (isNew) {
      this.#completeBlock();
      this.#run++;
      this.#track = track;
    }
    const voice = this.#voice;
    // A gap that need not be filled is skipped.
    const isOther = voice !== undefined && voice.format.channels !== channels;
    if (isOther && !isNew) {
      // Sound with another number of channels cannot be in the same file.
      this.#completeBlock();
      this.#run++;
    }
    const isFar = voice && start - voice.mixer.position >= INTERRUPTION_SAMPLES;
    if (isFar || isOther) this.rest();
    // What is missing since the sound of an earlier run is filled with silence.
    const fromSample = goesOn && !isNew ? Math.min(start, this.#end) : start;
    const current = this.#voice ?? this.#open(channels, Math.max(0, fromSample));
    let late = 0;
    for (let at = 0; at < sound.samples; at += PIECE_SAMPLES) {
      while (start + at - current.mixer.position > AHEAD_SAMPLES) this.#encode(current);
      late += current.mixer.add('', start + at, pieceOf(sound, at));
    }
    this.#end = Math.max(this.#end, start + sound.samples);
    return late;
  }

  /**
   * Encodes what is complete before `untilUs` of the recording; with `filled` also silence, from `fromUs` at the
   * earliest.
   */
  advance(untilUs: RecordingUs, filled?: { fromUs: RecordingUs; channels: 1 | 2 }): void {
    const until = Math.floor((untilUs * SOUND_RATE) / US);
    const voice =
      this.#voice ??
      (filled && this.#open(filled.channels, Math.max(0, Math.round((filled.fromUs * SOUND_RATE) / US))));
    if (!voice) return;
    const limit = filled ? until : Math.min(until, this.#end);
    while (voice.mixer.position + AAC_BLOCK <= limit) this.#encode(voice);
    // An encoder hands a block over only once it has the next two; the last sound before a pause must not stay in it.
    if (!filled && until - this.#end >= PAUSE_SAMPLES)
      while (voice.mixer.position < this.#end + 2 * AAC_BLOCK) this.#encode(voice);
  }

  /** Hands over everything that is held and frees everything native; what comes next begins anew. */
  rest(): void {
    this.#goesOn = false;
    const voice = this.#voice;
    if (!voice) return;
    this.#completeBlock();
    this.#voice = undefined;
    this.#hand(voice, voice.encoder.flush());
    voice.encoder.close();
  }

  close(): void {
    this.#voice?.encoder.close();
    this.#voice = undefined;
  }

  #open(channels: 1 | 2, start: number): Voice {
    const encoder = new AudioEncoder({ channels, ...CODING[channels], freedInSilence: true });
    const mixer = new SoundMixer({ channels, aheadMs: AHEAD_MS, limited: false });
    const past = this.#past;
    mixer.seek(past === undefined ? start : start - ((((start - past) % AAC_BLOCK) + AAC_BLOCK) % AAC_BLOCK));
    const format = { sampleRate: SOUND_RATE, channels, extradata: encoder.extradata };
    this.#voice = { encoder, mixer, format, tags: [] };
    return this.#voice;
  }

  /** Encodes up to the end of the block that holds the last sound. */
  #completeBlock(): void {
    const voice = this.#voice;
    while (voice && voice.mixer.position < this.#end) this.#encode(voice);
  }

  #encode(voice: Voice): void {
    const { position } = voice.mixer;
    voice.tags.push({ run: this.#run, silent: position >= this.#end });
    this.#hand(voice, voice.encoder.encode(voice.mixer.take(AAC_BLOCK, BLOCK), position));
  }

  #hand(voice: Voice, samples: EncodedSample[]): void {
    for (const sample of samples) {
      const tag = voice.tags.shift();
      if (tag) this.#onBlock({ sample, ...tag, format: voice.format });
    }
  }
}

function pieceOf(sound: Sound, at: number): Sound {
  if (sound.samples <= PIECE_SAMPLES) return sound;
  const channels = sound.channels.map((samples) => samples.subarray(at, at + PIECE_SAMPLES));
  return { channels, samples: Math.min(PIECE_SAMPLES, sound.samples - at) };
}
