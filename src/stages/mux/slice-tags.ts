/**
 * StreamTags: what a playlist says before each slice of one stream (contract §4.3): whether it is a discontinuity,
 * which kinds of sample begin in it, and the size and rotation of its picture. Pure.
 */
import type { Segment } from '../../media/segment.ts';
import type { MediaKind } from '../../media/track.ts';
import type { PictureShape } from './slice-container.ts';

/** What a playlist says before one slice. */
export type SliceTags = Pick<Segment, 'discontinuity' | 'starts' | 'rotations'>;

export class StreamTags {
  readonly #continues: boolean;
  #shape: PictureShape | undefined;
  readonly #seen = new Set<MediaKind>();
  /** What is still to be said, because the slices that it belongs to are in no playlist. */
  #unlisted: SliceTags | undefined;

  /**
   * @param shape of the first picture
   * @param continues the stream goes on from slices written otherwise, so that no kind begins anew
   */
  constructor({ shape, continues = false }: { shape?: PictureShape | undefined; continues?: boolean | undefined }) {
    this.#shape = shape;
    this.#continues = continues;
  }

  /** The size and rotation of the present picture. */
  get shape(): PictureShape | undefined {
    return this.#shape;
  }

  /** The picture has another shape from `utcMs` on. @param within the slice in which it changes, if it is within one */
  turn(shape: PictureShape, within: SliceTags | undefined, utcMs: number): void {
    this.#shape = shape;
    within?.rotations.push({ ...shape, utcMs });
  }

  /**
   * Takes note of a sample in a slice: the first of its kind begins there, and the picture's shape is told with it.
   * @param anew the sample begins the slice after a break, whose shape is told again
   */
  note(slice: SliceTags, kind: MediaKind, utcMs: number, anew: boolean): void {
    const isFirst = !this.#seen.has(kind);
    if (kind === 'video' && (isFirst || anew) && this.#shape && slice.rotations.length === 0)
      slice.rotations.push({ ...this.#shape, utcMs });
    if (!isFirst) return;
    this.#seen.add(kind);
    if (!this.#continues) slice.starts.push({ kind, startUtcMs: utcMs });
    slice.discontinuity = true;
  }

  /** A slice that began at `startUtcMs` is in no playlist: what was to be said before it is said before the next. */
  leaveOut(slice: SliceTags, startUtcMs: number): void {
    this.#unlisted = this.before(slice, startUtcMs);
  }

  /** A slice is in its playlist, with everything that was still to be said. */
  listed(): void {
    this.#unlisted = undefined;
  }

  /** What the playlist says before a finished slice, with what is still to be said. */
  before({ discontinuity, starts, rotations }: SliceTags, startUtcMs: number): SliceTags {
    const unlisted = this.#unlisted;
    if (!unlisted) return { discontinuity, starts, rotations };
    const turned = unlisted.rotations.at(-1);
    return {
      discontinuity: true,
      starts: starts.length > 0 ? starts : unlisted.starts.map((start) => ({ ...start, startUtcMs })),
      rotations: rotations.length > 0 || !turned ? rotations : [{ ...turned, utcMs: startUtcMs }],
    };
  }
}
