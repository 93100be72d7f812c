/**
 * One file with every speaker of a recording of single users: one track of sound each, without gaps from the
 * recording's zero to its end, so that an editor that knows nothing of times has everybody in sync (ADR 0022).
 */
import { join } from 'node:path';
import type { Manifest } from '../../contract/line/manifest.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { SpeakersFile } from '../../media/segment.ts';
import { AAC_BLOCK } from '../../stages/codec/audio-encoder.ts';
import { FlacEncoder } from '../../stages/codec/flac-encoder.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import { TrackFile } from '../../stages/mux/mka/track-file.ts';
import { baseName, speakersName } from '../../stages/mux/names.ts';
import { probeSlice } from '../../stages/mux/read-slices.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';
import type { HoldLine } from '../hold-line.ts';
import { type CastSlice, castOf } from '../remix/cast.ts';
import { readSlicesIn } from '../remix/read-slice.ts';
import { holdLineOf } from '../remix/remix.ts';
import { UserSound } from '../remix/user-sound.ts';

/** Sound is decoded this far before it is taken, so that a block's neighbours are there. */
const AHEAD_US = 120_000;
/** How many blocks of one user are made before the next user's turn: about a second. */
const BLOCKS_AT_ONCE = 45;
/** How far ahead sound may be added before it is taken. */
const MIXER_MS = 2000;

export type SpeakersOptions = {
  /** The spool folder, where the slices are and the file goes. */
  dir: string;
  manifest: Manifest;
  /** Something of the recording could not be used, in words; the file is made without it. */
  onProblem(what: string): void;
};

/**
 * Writes `<sid>_<cname>_speakers.mka`; undefined when nobody was heard. Its memory grows with the number of users
 * heard, not with the time. Throws a Fault when the file cannot be written.
 */
export async function makeSpeakers({ dir, manifest, onProblem }: SpeakersOptions): Promise<SpeakersFile | undefined> {
  const { sid, cname, zeroUtcMs, endUs } = manifest;
  const cast = castOf(manifest, { audio: true, video: false, missing: new Set() });
  const heard = [...cast.sounds].filter(([, slices]) => slices.length > 0);
  if (heard.length === 0) return undefined;
  const holds = holdLineOf({ holds: manifest.holds, fromUs: 0 });
  const name = speakersName(baseName(sid, cname));
  const path = join(dir, name);
  const speakers: Speaker[] = [];
  let file: TrackFile | undefined;
  try {
    for (const [uid, slices] of heard)
      speakers.push(new Speaker(uid, slices, await channelsOf(dir, slices), holds, readSlicesIn(dir), onProblem));
    file = new TrackFile(partPath(path), speakers);
    const blocks = Math.ceil(holds.blockAt(endUs));
    for (let done = 0; done < blocks; ) {
      const until = Math.min(blocks, done + BLOCKS_AT_ONCE);
      const frames: { track: number; sample: EncodedSample }[] = [];
      for (const [track, speaker] of speakers.entries())
        for (const sample of await speaker.encode(done, until)) frames.push({ track, sample });
      file.write(frames);
      done = until;
    }
    file.write(speakers.flatMap((speaker, track) => speaker.flush().map((sample) => ({ track, sample }))));
    await file.finish();
    const durationUs = Math.round(((blocks - holds.heldBefore(blocks)) * AAC_BLOCK * 1e6) / SOUND_RATE);
    const bytes = await finishPart(path);
    return { type: 'speakers', name, startUtcMs: zeroUtcMs, durationUs, bytes, uids: heard.map(([uid]) => uid) };
  } finally {
    file?.close();
    for (const speaker of speakers) await speaker.close();
  }
}

/** Two when any of the slices has two: a track has the same number from beginning to end. */
async function channelsOf(dir: string, slices: readonly CastSlice[]): Promise<1 | 2> {
  for (const { name } of slices) {
    // A slice that cannot be read is told of when its sound is due.
    const { audio } = await probeSlice(join(dir, name)).catch(() => ({ audio: undefined }));
    if (audio?.channels === 2) return 2;
  }
  return 1;
}

/** One user's sound, from slices to FLAC. */
class Speaker {
  readonly name: string;
  readonly sampleRate = SOUND_RATE;
  readonly channels: 1 | 2;
  readonly #sound: UserSound;
  readonly #mixer: SoundMixer;
  readonly #encoder: FlacEncoder;
  readonly #holds: HoldLine;

  constructor(
    uid: string,
    slices: readonly CastSlice[],
    channels: 1 | 2,
    holds: HoldLine,
    ...[read, onProblem]: [ReturnType<typeof readSlicesIn>, (what: string) => void]
  ) {
    this.name = uid;
    this.channels = channels;
    this.#holds = holds;
    this.#sound = new UserSound(slices, 0, channels, read, onProblem);
    // The sound of one user alone cannot add up beyond full scale.
    this.#mixer = new SoundMixer({ channels, aheadMs: MIXER_MS, limited: false });
    this.#encoder = new FlacEncoder(channels);
  }

  get extradata(): Buffer {
    return this.#encoder.extradata;
  }

  /** Blocks `from` to `until` of the recording, without those on hold. Called in order. */
  async encode(from: number, until: number): Promise<EncodedSample[]> {
    const samples: EncodedSample[] = [];
    await this.#sound.decodeUntil(this.#holds.timeOf(until) + AHEAD_US, (start, sound) =>
      this.#mixer.add(this.name, start, sound),
    );
    for (let block = from; block < until; block++) {
      const sound = this.#mixer.take(AAC_BLOCK);
      if (!this.#holds.isHeld(block))
        samples.push(...this.#encoder.encode(withFades(sound, this.#holds.edgesOf(block))));
    }
    return samples;
  }

  flush(): EncodedSample[] {
    return this.#encoder.flush();
  }

  async close(): Promise<void> {
    this.#encoder.close();
    await this.#sound.close();
  }
}
