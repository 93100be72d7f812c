/**
 * countRecordings: counts for /metrics what happens to recordings.
 */
import { RUNG_NAMES } from '../contract/line/rungs.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { TaskObserver } from '../session/ports.ts';

export function countRecordings(
  metrics: Pick<Metrics, 'recordingStarted' | 'recordingEnded' | 'runLost' | 'degraded'>,
): TaskObserver {
  return {
    onEvent({ createdMs, document: { plan } }, event, before, after) {
      const { mode } = plan;
      // Only its first recorder starts a recording.
      if (event.type === 'recorderJoined' && !before.joined && after.joined)
        metrics.recordingStarted(mode, Math.max(0, event.atMs - createdMs) / 1000);
      if (event.type === 'recorderLost' && after.lossesMs !== before.lossesMs) metrics.runLost(mode);
      if (event.type === 'rungChanged' && RUNG_NAMES.indexOf(after.rung) > RUNG_NAMES.indexOf(before.rung))
        metrics.degraded(mode, 'rung', 1);
      if (after.phase === 'ended' && before.phase !== 'ended') metrics.recordingEnded(mode, after.healthy);
    },
    onLeft() {},
    onFact({ document: { plan } }, fact) {
      if (fact.type === 'degraded') metrics.degraded(plan.mode, 'damage', fact.count);
    },
  };
}
