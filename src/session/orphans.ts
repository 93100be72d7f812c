/** Orphans: processes of a server that died, which may still be finishing a recording's files. */
import { sleep } from '../kernel/clock.ts';
import type { TaskPorts } from './ports.ts';
import type { RunRecord } from './run-record.ts';

/** How long the recorder of a server that died may take to finish its files; then it is ended by force. */
const ORPHAN_WAIT_MS = 30_000;
const ORPHAN_LOOK_MS = 500;

/**
 * Waits until the processes of a server that died have ended. Recorders may finish their files; one that takes too long
 * is ended by force, and so is a process that completes a recording.
 */
export async function awaitOrphans(
  { recorders, clock, log }: Pick<TaskPorts, 'recorders' | 'clock' | 'log'>,
  { sid, former }: { sid: string; former: readonly RunRecord[] },
  signal: AbortSignal,
): Promise<void> {
  const giveUpUs = clock.monoUs() + ORPHAN_WAIT_MS * 1000;
  for (const { process, phase, kind, generation } of former) {
    if (phase === 'ended' || !process) continue;
    if (kind === 'complete') recorders.endOrphan(process);
    while (recorders.isAlive(process) && clock.monoUs() < giveUpUs) await sleep(clock, ORPHAN_LOOK_MS, signal);
    if (!recorders.isAlive(process)) continue;
    log.warn({ sid, generation, ...process }, 'the process of a former server is ended');
    recorders.endOrphan(process);
  }
}
