/**
 * Joint: where a row of slices that one node stored is gone on with from what the recorder of another made (ADR 0042).
 * Both place the same packets at the same time but for their clocks' error, so a picture or sound is told by its place:
 * it is new when most of it lies after the end of what is stored. Slices of pictures begin with a key frame, so one
 * that lies near counts as the next. Nothing that was given is given twice. Pure.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { MediaKind } from '../../media/track.ts';

/** The key frame that follows what is stored lies no further from its end than this. */
const NEAR_US = 100_000;
/** Two versions of a slice have the same times, counted in a container's ticks. */
const TICK_US = 500;

export class Joint {
  readonly #storedUs: StreamUs | undefined;
  /** From where on pictures, and sound beside them, are given; undefined while that is open. */
  #fromUs: StreamUs | undefined;
  #held: EncodedSample[] = [];
  readonly #given = new Map<MediaKind, StreamUs>();

  /** @param storedUs where the stored slices end, microseconds of the recording; undefined when none are stored */
  constructor(storedUs: StreamUs | undefined) {
    this.#storedUs = storedUs;
    if (storedUs === undefined) this.#fromUs = Number.NEGATIVE_INFINITY;
  }

  /** Whether something is stored. */
  get isSet(): boolean {
    return this.#storedUs !== undefined;
  }

  /** Takes the next sample of the row; returns those that can be given now, in order. */
  push(sample: EncodedSample): EncodedSample[] {
    const storedUs = this.#storedUs;
    if (this.#fromUs !== undefined || storedUs === undefined) return this.#give([sample]);
    if (sample.ptsUs + sample.durationUs < storedUs - NEAR_US) return [];
    this.#held.push(sample);
    return sample.dtsUs > storedUs + NEAR_US ? this.flush() : [];
  }

  /** What is held of it, where nothing comes any more that could be nearer. */
  flush(): EncodedSample[] {
    const storedUs = this.#storedUs;
    const held = this.#held.splice(0);
    if (storedUs === undefined || this.#fromUs !== undefined || held.length === 0) return [];
    const isNew = ({ ptsUs, durationUs }: EncodedSample) => ptsUs + durationUs / 2 > storedUs;
    const pictures = held.filter(({ kind }) => kind === 'video');
    const first = pictures.length > 0 ? firstPicture(pictures, storedUs, isNew) : held.find(isNew);
    if (!first) return [];
    this.#fromUs = first.dtsUs;
    return this.#give(held);
  }

  #give(samples: readonly EncodedSample[]): EncodedSample[] {
    return samples.filter(({ kind, dtsUs }) => {
      if (dtsUs < (this.#fromUs ?? 0) || dtsUs <= (this.#given.get(kind) ?? Number.NEGATIVE_INFINITY) + TICK_US)
        return false;
      this.#given.set(kind, dtsUs);
      return true;
    });
  }
}

/** The picture that follows what is stored. After a slice that was ended by force it is no key frame. */
function firstPicture(
  pictures: readonly EncodedSample[],
  storedUs: StreamUs,
  isNew: (sample: EncodedSample) => boolean,
): EncodedSample | undefined {
  const first = pictures.find(isNew);
  if (!first || first.keyFrame) return first;
  const distance = ({ ptsUs }: EncodedSample) => Math.abs(ptsUs - storedUs);
  const near = pictures.filter((sample) => sample.keyFrame && distance(sample) <= NEAR_US);
  return near.toSorted((a, b) => distance(a) - distance(b))[0] ?? first;
}
