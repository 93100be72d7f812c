/**
 * reported: adds the quality report to a recording of any mode: it is measured as the recording goes on, told now and
 * then, and put on the spool as the last file.
 */

import type { StartCommand } from '../../contract/line/commands.ts';
import type { QualityReport } from '../../contract/line/quality-report.ts';
import { messageOf } from '../../kernel/fault.ts';
import { toRecording } from '../../kernel/time.ts';
import type { Ending, Happening, LineContext, Recording, RecordingContext } from '../recording.ts';
import { goOnFrom, keepReport, readEarlierReport } from './earlier-report.ts';
import { type Measurement, QualityCollector } from './quality-collector.ts';
import { writeReport } from './write-report.ts';

const TELL_EVERY_MS = 5_000;

/** @param begin starts the mode's own line, which tells the context's report what happens */
export async function reported(
  start: StartCommand,
  context: RecordingContext,
  begin: (context: LineContext) => Promise<Recording>,
): Promise<Recording> {
  const { clock } = context;
  const { plan, spoolDir, zeroUtcMs, zeroMonoUs } = start;
  const nowUs = () => toRecording(clock.monoUs(), zeroMonoUs);
  const run = { generation: start.generation, startedUs: nowUs() };
  const report = new QualityCollector({ sid: plan.sid, mode: plan.mode, zeroUtcMs, run });
  const earlier = await readEarlierReport(start.earlierDirs);
  const reportOf = (measurement: Measurement, endReason?: string): QualityReport => {
    const own = report.report(measurement, endReason);
    return earlier ? goOnFrom(earlier, own) : own;
  };
  const emit = (happening: Happening) => {
    if (happening.type === 'degraded') report.onDegraded(happening.what, happening.count, nowUs());
    context.emit(happening);
  };
  const recording = await begin({ ...context, emit, report });
  /** What has not been heard yet is no gap, and who left meanwhile has not been seen to be there any longer. */
  const knownUs = () => {
    if (!recording.heardUs) return nowUs();
    return recording.heardUs() ?? (earlier ? earlier.measuredMs * 1000 : nowUs());
  };
  const measured = (): Measurement => ({ atUs: knownUs(), lagUs: recording.lagUs(), machine: context.machine?.() });
  let keeping: Promise<void> | undefined;
  const timer = clock.every(TELL_EVERY_MS, () => {
    const measuredReport = reportOf(measured());
    context.emit({ type: 'qualityMeasured', report: measuredReport });
    // On a slow or full disk the former report stays; what that means for the files is told with them.
    keeping ??= keepReport(spoolDir, measuredReport)
      .catch((error) => context.emit({ type: 'degraded', what: messageOf(error), count: 1 }))
      .finally(() => {
        keeping = undefined;
      });
  });

  const finish = async (ending: Ending): Promise<Ending> => {
    await keeping;
    try {
      const file = await writeReport(spoolDir, plan.baseName, reportOf(measured(), ending.reason));
      context.emit({ type: 'fileSpooled', file });
    } catch (error) {
      // The recording is complete without the report.
      const what = `the quality report could not be written: ${messageOf(error)}`;
      context.emit({ type: 'degraded', what, count: 1 });
    }
    return ending;
  };
  // A recording that failed writes nothing any more when it says so, and no report either.
  const fail = async (error: unknown): Promise<never> => {
    await keeping;
    throw error;
  };
  const done = recording.done.finally(() => timer.cancel()).then(finish, fail);
  const { abort, packets } = recording;
  return {
    done,
    stop: (atMonoUs, reason) => recording.stop(atMonoUs, reason),
    ...(abort && { abort: abort.bind(recording) }),
    ...(packets && { packets: packets.bind(recording) }),
    change: (command) => recording.change(command),
    lagUs: () => recording.lagUs(),
    rung: () => recording.rung?.(),
    programs: () => recording.programs?.(),
  };
}
