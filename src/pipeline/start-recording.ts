/** The one switch from a plan's mode to the line that carries it out. */
import type { StartCommand } from '../contract/line/commands.ts';
import type { Plan } from '../contract/line/plan.ts';
import { failoverBase } from '../media/failover-names.ts';
import { IndividualRecording } from './individual/individual-recording.ts';
import { MixRecording } from './mix/mix-recording.ts';
import type { LineContext, Recording, RecordingContext } from './recording.ts';
import { reported } from './report/reported.ts';
import { WebRecording } from './web/web-recording.ts';

/** Joins the channel and begins to record. Rejects with a Fault when the feed cannot be had. */
export function startRecording(start: StartCommand, context: RecordingContext): Promise<Recording> {
  const named = { ...start, plan: planOfRun(start) };
  return reported(start, context, (line) => startLine(named, line));
}

/** The plan with the names of this run's files; the report has the name of the whole recording. */
function planOfRun({ plan, generation }: StartCommand): Plan {
  return plan.failoverNames ? { ...plan, baseName: failoverBase(plan.baseName, generation) } : plan;
}

function startLine(start: StartCommand, context: LineContext): Promise<Recording> {
  switch (start.plan.mode) {
    case 'mix':
      return MixRecording.start(start, start.plan, context);
    case 'individual':
      return IndividualRecording.start(start, start.plan, context);
    case 'web':
      return Promise.resolve(WebRecording.start(start, start.plan, context));
  }
}
