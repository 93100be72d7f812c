/**
 * KeyFrameGate: which samples of a stream go on to a receiver that may be too slow for it. Once there is no room
 * everything is left out, sound included, up to the next key frame, so that both kinds begin again together. Pure.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';

export class KeyFrameGate {
  #fromUs: StreamUs | undefined;

  /** Whether `sample` goes on; `isFull` tells that there is no room for it. */
  admits({ kind, keyFrame, dtsUs }: EncodedSample, isFull: boolean): boolean {
    if (isFull) this.#fromUs = undefined;
    else if (kind === 'video' && keyFrame) this.#fromUs ??= dtsUs;
    return this.#fromUs !== undefined && dtsUs >= this.#fromUs;
  }
}
