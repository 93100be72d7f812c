/** Reads a manifest's slices from their folder, in the recording's time. */
import { join } from 'node:path';
import { readSamples } from '../../stages/mux/read-slices.ts';
import type { ReadSlice } from './sample-stream.ts';

export function readSlicesIn(folder: string): ReadSlice {
  return ({ name, startUs }) => readSamples(join(folder, name), startUs);
}
