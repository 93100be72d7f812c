/**
 * The one switch from a plan's mode to the line that carries it out. A mode's code is loaded when it is first wanted:
 * what the others need would take most of the memory of a process that only passes pictures on.
 */
import type { StartCommand } from '../contract/line/commands.ts';
import type { Plan } from '../contract/line/plan.ts';
import { failoverBase } from '../media/failover-names.ts';
import type { LineContext, Recording, RecordingContext } from './recording.ts';
import { reported } from './report/reported.ts';

/** Joins the channel and begins to record. Rejects with a Fault when the feed cannot be had. */
export function startRecording(start: StartCommand, context: RecordingContext): Promise<Recording> {
  const named = { ...start, plan: planOfRun(start) };
  return reported(start, context, (line) => startLine(named, line));
}

/** The plan with the names of this run's files; the report has the name of the whole recording. */
function planOfRun({ plan, generation }: StartCommand): Plan {
  return plan.failoverNames ? { ...plan, baseName: failoverBase(plan.baseName, generation) } : plan;
}

const LOADERS = {
  mix: async () => (await import('./mix/mix-recording.ts')).MixRecording,
  individual: async () => (await import('./individual/individual-recording.ts')).IndividualRecording,
  web: async () => (await import('./web/web-recording.ts')).WebRecording,
};

/** Loads the code of a mode, so that a recording of it need not wait for that. */
export async function loadMode(mode: Plan['mode']): Promise<void> {
  await LOADERS[mode]();
}

async function startLine(start: StartCommand, context: LineContext): Promise<Recording> {
  switch (start.plan.mode) {
    case 'mix':
      return (await LOADERS.mix()).start(start, start.plan, context);
    case 'individual':
      return (await LOADERS.individual()).start(start, start.plan, context);
    case 'web':
      return (await LOADERS.web()).start(start, start.plan, context);
  }
}
