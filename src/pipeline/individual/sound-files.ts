/**
 * SoundFiles: the audio slices of one user, made from encoded blocks. Silence is written only when sound follows it, so
 * that a slice ends with its last sound.
 */
import type { EncodedSample } from '../../media/sample.ts';
import { Fmp4Container } from '../../stages/mux/mp4/fmp4-container.ts';
import { TsContainer } from '../../stages/mux/ts/ts-slices.ts';
import { INTERRUPTION_US, type SliceRuns, type UserRows } from './file-sink.ts';
import { isHeard, type RowEnd } from './row-end.ts';
import type { AacFormat, EncodedBlock } from './transcoded-sound.ts';

const AAC = { kinds: ['audio'], codecs: { audio: 'aac' } } as const;

type SoundPast = { audio?: RowEnd | undefined; fragments?: RowEnd | undefined };

export class SoundFiles {
  readonly #runs: SliceRuns;
  readonly #rows: UserRows;
  /** The same sound again for an MPD, because players of MPDs do not take MPEG-TS. */
  #fragments: SliceRuns | undefined;
  #mpd: string | undefined;
  #run: number | undefined;
  #fragmentEndUs = Number.NEGATIVE_INFINITY;
  #silence: EncodedSample[] = [];

  readonly #past: SoundPast;
  /** The slice that an earlier run left goes on with the first block. */
  #goesOn: boolean;

  /** @param past where an earlier run of the recording left both rows */
  constructor(rows: UserRows, past: SoundPast = {}) {
    this.#rows = rows;
    this.#past = past;
    this.#goesOn = past.audio?.isOpen ?? false;
    if (past.fragments?.isOpen) this.#fragmentEndUs = past.fragments.soundEndUs ?? this.#fragmentEndUs;
    this.#runs = rows.row('audio');
  }

  /** From now on this MPD lists the sound as well; undefined: no MPD does any more. */
  useMpd(mpd: string | undefined): void {
    if (mpd === this.#mpd) return;
    this.#mpd = mpd;
    if (mpd === undefined) this.#fragments?.end();
    else this.#fragments = this.#rows.row('fragments');
  }

  write({ sample, run, silent, format }: EncodedBlock): void {
    this.#writeFragment(sample, format);
    if (isHeard(sample.ptsUs, this.#past.audio?.soundEndUs)) return;
    if (this.#goesOn && this.#past.audio?.channels === format.channels) this.#run = run;
    this.#goesOn = false;
    if (silent) {
      if (!this.#runs.running) return;
      this.#silence.push(sample);
      const first = this.#silence[0];
      if (first && sample.ptsUs + sample.durationUs - first.ptsUs >= INTERRUPTION_US) this.#end();
      return;
    }
    if (run !== this.#run || !this.#runs.running) {
      this.#silence = [];
      this.#runs.begin({ ...AAC, container: () => new TsContainer({ audio: format }) });
      this.#run = run;
    }
    for (const held of this.#silence.splice(0)) this.#runs.write(held);
    this.#runs.write(sample);
  }

  interrupt(): void {
    this.#end();
    this.#fragments?.end();
  }

  #end(): void {
    this.#silence = [];
    this.#runs.end();
  }

  /** Writes silence too: when it is asked for, there is a picture beside it. */
  #writeFragment(sample: EncodedSample, format: AacFormat): void {
    if (!this.#fragments || this.#mpd === undefined || isHeard(sample.ptsUs, this.#past.fragments?.soundEndUs)) return;
    if (sample.ptsUs - this.#fragmentEndUs > sample.durationUs) this.#fragments.end();
    if (!this.#fragments.running)
      this.#fragments.begin({ ...AAC, container: () => new Fmp4Container(format), mpd: this.#mpd });
    this.#fragments.write(sample);
    this.#fragmentEndUs = sample.ptsUs + sample.durationUs;
  }
}
