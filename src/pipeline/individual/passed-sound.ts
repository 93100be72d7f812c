/**
 * PassedSound: the audio slices of one user whose Opus is passed on as it came (stream mode `original`). A slice ends
 * as soon as packets stop (contract §4.2).
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import { opusTicks } from '../../media/opus.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import type { PlacedSample } from './due-samples.ts';
import type { SliceRuns } from './file-sink.ts';
import { isHeard, type RowEnd } from './row-end.ts';

/** In silence a sender with DTX still sends a packet every 400 ms (RFC 7587 §3.1.3). */
const INTERRUPTION_US = US;
/** Lost packets leave a gap; overlapping ones are placed one after the other. */
const MIN_STEP_US = 1000;

export class PassedSound {
  readonly #runs: SliceRuns;
  #track: number | undefined;
  #channels: 1 | 2 | undefined;
  #lastUs = Number.NEGATIVE_INFINITY;
  #endUs = Number.NEGATIVE_INFINITY;

  readonly #past: RowEnd | undefined;

  /**
   * @param runs the user's row of sound
   * @param past where an earlier run of the recording left it
   */
  constructor(runs: SliceRuns, past?: RowEnd) {
    this.#runs = runs;
    this.#past = past;
    if (past?.isOpen && past.soundEndUs !== undefined) this.#endUs = past.soundEndUs;
  }

  /** Takes the next packet of a track. */
  push(sample: PlacedSample, track: number, channels: 1 | 2): void {
    if (sample.ptsUs < 0) return;
    if (isHeard(sample.ptsUs, this.#past?.soundEndUs)) {
      this.#track = track;
      this.#channels = channels;
      return;
    }
    const ptsUs = Math.max(sample.ptsUs, this.#lastUs + MIN_STEP_US);
    const isOther = track !== this.#track || channels !== this.#channels;
    if (isOther || ptsUs - this.#endUs >= INTERRUPTION_US || !this.#runs.running) {
      this.#track = track;
      this.#channels = channels;
      this.#runs.begin({
        kinds: ['audio'],
        codecs: { audio: 'opus' },
        container: () => new TsContainer({ audio: { codec: 'opus', sampleRate: SOUND_RATE, channels } }),
      });
    }
    const durationUs = Math.round((opusTicks(sample.data) * US) / SOUND_RATE);
    this.#runs.write({ kind: 'audio', ptsUs, dtsUs: ptsUs, durationUs, keyFrame: true, data: sample.data });
    this.#lastUs = ptsUs;
    this.#endUs = ptsUs + durationUs;
  }

  /** @param nowUs of the recording */
  step(nowUs: RecordingUs): void {
    if (nowUs - this.#endUs >= INTERRUPTION_US) this.#runs.end();
  }

  interrupt(): void {
    this.#runs.end();
  }
}
