/**
 * The short form of the scenarios with machines: three nodes of a fleet, two of which have wrong clocks, with a
 * composite and a recording of single users. Skipped, with the reason, where Linux lets nobody make namespaces.
 */
import { expect, test } from 'vitest';
import { Machines } from '../support/machines.ts';
import { machinesInShort } from './machines.ts';
import { missesOf } from './play.ts';

const refusal = await Machines.refusal();
if (refusal !== undefined) console.warn(`nodes on machines of their own cannot be tried here: ${refusal}`);

test.skipIf(refusal !== undefined)(
  'recordings outlive the death of a node, the loss of the database, and that of their publishers',
  async () => {
    expect(missesOf(await machinesInShort())).toEqual([]);
  },
);
