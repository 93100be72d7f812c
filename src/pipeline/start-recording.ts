/**
 * The one switch from a plan's mode to the line that makes it.
 */
import type { StartCommand } from '../contract/line/commands.ts';
import { IndividualRecording } from './individual/individual-recording.ts';
import { MixRecording } from './mix/mix-recording.ts';
import type { LineContext, Recording, RecordingContext } from './recording.ts';
import { reported } from './report/reported.ts';
import { WebRecording } from './web/web-recording.ts';

/** Joins the channel and begins to record. Rejects with a Fault when the feed cannot be had. */
export function startRecording(start: StartCommand, context: RecordingContext): Promise<Recording> {
  return reported(start, context, (line) => startLine(start, line));
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
