/** openDerived: what is made of recordings when somebody asks for it, cuts and mixes. */
import type { Cuts } from './cuts.ts';
import type { Mixes } from './mixes/mixes.ts';
import { type OpenMixes, openMixes } from './mixes/open-mixes.ts';
import { openCuts } from './open-cuts.ts';

/** `owner`: as of CutsOptions. */
type OpenDerived = OpenMixes & { owner: string };

/** Start `mixes` once recordings are taken up, and close what it resolves to. */
export async function openDerived(
  options: OpenDerived,
): Promise<{ cuts: Cuts; mixes: Mixes; close(): Promise<unknown> }> {
  const { dataDir, spoolReserveMb } = options.config;
  const cuts = await openCuts({ ...options, dataDir, reserveBytes: spoolReserveMb * 1_000_000 });
  const mixes = openMixes(options);
  return { cuts, mixes, close: () => Promise.all([cuts.close(), mixes.close()]) };
}
