/**
 * `aircheck drain`: has the server that runs take nothing new, and waits until it has nothing left, also when it is
 * started anew meanwhile.
 */
import { nodesReplySchema } from '../../contract/rest/nodes.ts';
import { pauseCommand, systemClock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { askAsOperator } from './own-server.ts';
import { Patience } from './patience.ts';
import { print, printJson } from './print.ts';

export type DrainWords = { wait: number; undo?: boolean; json?: boolean };

/** Exit code when there is something left after the wait. */
const NOT_EMPTY = 2;
const LOOK_MS = 1_000;
/** A server that takes so long for an answer does not answer. */
const ANSWER_LIMIT_MS = 10_000;

/** Throws a Fault when the server does not answer, or not to these credentials. */
export async function drain({ wait, undo, json }: DrainWords): Promise<void> {
  const say = (words: string, told: object) => (json ? printJson(told) : print(words));
  const patience = new Patience();
  const ask = (path: string, method: 'GET' | 'POST') =>
    askAsOperator(path, { method, signal: AbortSignal.timeout(ANSWER_LIMIT_MS), send: patience.fetch });
  await ask(`/v1/aircheck/${undo ? 'undrain' : 'drain'}`, 'POST');
  if (undo) {
    say('new recordings and channels are taken again', { draining: false });
    return;
  }
  const untilUs = systemClock.monoUs() + wait * 1_000_000;
  const over = new AbortController();
  const timer = systemClock.after(wait * 1000, () => over.abort(unanswered()));
  try {
    for (let drained: string | undefined; ; ) {
      const { self, nodes } = await patience.keepAsking(async () => {
        const reply = nodesReplySchema.parse(await ask('/v1/aircheck/nodes', 'GET'));
        const isNew =
          reply.self !== drained && reply.nodes.some(({ id, state }) => id === reply.self && state === 'live');
        // A server that was started anew knows nothing of it.
        if (isNew) await ask('/v1/aircheck/drain', 'POST');
        return reply;
      }, over.signal);
      if (drained !== undefined && drained !== self)
        process.stderr.write('aircheck: the server was started anew, and has been told again to take nothing new\n');
      drained = self;
      const { recordings = 0, publishers = 0 } = nodes.find(({ id }) => id === self) ?? {};
      if (recordings === 0) {
        say(`draining: no recording is left, ${publishers} publishers are`, { draining: true, recordings, publishers });
        return;
      }
      if (systemClock.monoUs() >= untilUs) {
        const others = nodes.filter(({ id, state, nodeUrl }) => id !== self && state === 'live' && nodeUrl !== null);
        const alone =
          others.length === 0 ? '; no other node is there to take them over: they go on until they end' : '';
        const words = `draining: ${recordings} recordings are left, ${publishers} publishers${alone}`;
        say(words, { draining: true, recordings, publishers, otherNodes: others.length });
        process.exitCode = wait > 0 ? NOT_EMPTY : 0;
        return;
      }
      await pauseCommand(LOOK_MS);
    }
  } finally {
    timer.cancel();
  }
}

function unanswered(): Fault {
  const words = 'the wait is over, and the server does not answer: what it still records is not known';
  return new Fault('server-unreachable', words, { blame: 'caller' });
}
