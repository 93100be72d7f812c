/**
 * `aircheck drain`: has the server that runs take nothing new, and waits until it has nothing left.
 */
import { nodesReplySchema } from '../../contract/rest/nodes.ts';
import { pauseCommand, systemClock } from '../../kernel/clock.ts';
import { askAsOperator } from './own-server.ts';
import { print, printJson } from './print.ts';

export type DrainWords = { wait: number; undo?: boolean; json?: boolean };

/** Exit code when there is something left after the wait. */
const NOT_EMPTY = 2;
const LOOK_MS = 1_000;

/** Throws a Fault when the server does not answer, or not to these credentials. */
export async function drain({ wait, undo, json }: DrainWords): Promise<void> {
  const say = (words: string, told: object) => (json ? printJson(told) : print(words));
  await askAsOperator(`/v1/aircheck/${undo ? 'undrain' : 'drain'}`, 'POST');
  if (undo) {
    say('new recordings and channels are taken again', { draining: false });
    return;
  }
  const untilUs = systemClock.monoUs() + wait * 1_000_000;
  for (;;) {
    const { self, nodes } = nodesReplySchema.parse(await askAsOperator('/v1/aircheck/nodes'));
    const { recordings = 0, publishers = 0 } = nodes.find(({ id }) => id === self) ?? {};
    if (recordings === 0) {
      say(`draining: no recording is left, ${publishers} publishers are`, { draining: true, recordings, publishers });
      return;
    }
    if (systemClock.monoUs() >= untilUs) {
      const others = nodes.filter(({ id, state, nodeUrl }) => id !== self && state === 'live' && nodeUrl !== null);
      const alone = others.length === 0 ? '; no other node is there to take them over: they go on until they end' : '';
      const words = `draining: ${recordings} recordings are left, ${publishers} publishers${alone}`;
      say(words, { draining: true, recordings, publishers, otherNodes: others.length });
      process.exitCode = wait > 0 ? NOT_EMPTY : 0;
      return;
    }
    await pauseCommand(LOOK_MS);
  }
}
