/**
 * KeyFrameGate: what of a stream goes on to somebody who may be too slow for it. Once there is no room, everything is
 * left out up to the next picture that needs none before it, sound included, so that both begin again together. Pure.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';

export class KeyFrameGate {
  #fromUs: StreamUs | undefined;

  /** Whether `sample` goes on; `isFull` when there is no room for it. */
  admits({ kind, keyFrame, dtsUs }: EncodedSample, isFull: boolean): boolean {
    if (isFull) this.#fromUs = undefined;
    else if (kind === 'video' && keyFrame) this.#fromUs ??= dtsUs;
    return this.#fromUs !== undefined && dtsUs >= this.#fromUs;
  }
}
