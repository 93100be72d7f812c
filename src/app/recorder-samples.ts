/**
 * recorderSamples: what running recorders told of themselves last, with whose they are, for /metrics.
 */
import { RUNG_NAMES } from '../contract/line/rungs.ts';
import type { RecorderSample } from '../observe/metrics.ts';
import type { AtWork } from '../worker/supervisor.ts';

/**
 * @param recordings those that are not over
 * @param atWork recorders by the sid of their recording
 */
export function recorderSamples(
  recordings: readonly { sid: string; appid: string }[],
  atWork: ReadonlyMap<string, Pick<AtWork, 'plan' | 'pong'>>,
): RecorderSample[] {
  return recordings.flatMap(({ sid, appid }): RecorderSample[] => {
    const { plan, pong } = atWork.get(sid) ?? {};
    if (!plan || !pong) return [];
    const { rung, lagUs, cpuUs, rssBytes, programs } = pong;
    return [
      {
        ...{ sid, appid, mode: plan.mode, lagUs },
        depth: rung && RUNG_NAMES.indexOf(rung),
        cpuUs: cpuUs + (programs?.cpuUs ?? 0),
        memoryBytes: rssBytes + (programs?.memoryBytes ?? 0),
      },
    ];
  });
}
