/**
 * Reads slices of a manifest from the folder they lie in, on the recording's clock.
 */
import { join } from 'node:path';
import { readSamples } from '../../stages/mux/read-slices.ts';
import type { ReadSlice } from './sample-stream.ts';

export function readSlicesIn(folder: string): ReadSlice {
  return ({ name, startUs }) => readSamples(join(folder, name), startUs);
}
