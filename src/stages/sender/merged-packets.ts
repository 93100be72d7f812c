/** Packets of several inputs in the order in which they come: a camera and a microphone are read beside each other. */
import type { Demuxer } from 'node-av/api';
import type { Packet } from 'node-av/lib';
import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { US } from '../../kernel/time.ts';

/** A device that sends nothing for so long has been unplugged, or hangs. */
const SILENT_US = 10 * US;
const LOOK_MS = 1_000;

type Come = { packet: Packet; at: number; taken: () => void };

/**
 * @yields what comes with the index of its input, whoever takes it frees the packet; ends when all inputs are over, or
 *   the signal aborts
 * @param isLive whether inputs are devices: one that ends, or is silent for ten seconds, is an error then
 */
export async function* mergedPackets(
  inputs: readonly Demuxer[],
  { clock, signal, isLive }: { clock: Clock; signal: AbortSignal; isLive: boolean },
): AsyncGenerator<{ packet: Packet; at: number }> {
  const come: Come[] = [];
  const lastUs = inputs.map(() => clock.monoUs());
  let open = inputs.length;
  let failure: unknown;
  let wake = () => {};
  const read = async (input: Demuxer, at: number) => {
    for await (const packet of input.packets()) {
      if (!packet) break;
      // One packet of each waits here; the rest in the input's own queue.
      await new Promise<void>((taken) => {
        come.push({ packet, at, taken });
        wake();
      });
    }
    if (isLive) throw lost('ended: was it unplugged?');
    open--;
  };
  const look = clock.every(LOOK_MS, () => wake());
  const onAbort = () => wake();
  signal.addEventListener('abort', onAbort);
  for (const [at, input] of inputs.entries())
    read(input, at)
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(() => wake());
  try {
    while (!signal.aborted) {
      const next = come.shift();
      if (next) {
        next.taken();
        yield next;
        // While whoever took it was busy the device had no turn.
        lastUs[next.at] = clock.monoUs();
        continue;
      }
      if (failure !== undefined) throw failure;
      if (open === 0) return;
      const silentUs = clock.monoUs() - Math.min(...lastUs);
      if (isLive && silentUs > SILENT_US) throw lost('has sent nothing for 10 s');
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  } finally {
    look.cancel();
    signal.removeEventListener('abort', onAbort);
    for (const { packet } of come) packet.free();
  }
}

function lost(what: string): Fault {
  return new Fault('device-lost', `the camera or the microphone ${what}`, { blame: 'caller' });
}
