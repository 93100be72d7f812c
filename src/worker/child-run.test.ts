/** A run in a process that others share, as the server sees it: what ends it ends nobody else. */
import { describe, expect, test } from 'vitest';
import { individualPlanOf } from '../../test/support/scripted-recording.ts';
import type { Command } from '../contract/line/commands.ts';
import { ChildRun } from './child-run.ts';

class SharedProcess {
  isReady = false;
  readonly sent: string[] = [];
  readonly killedFor: ChildRun[] = [];
  hasOthers = () => true;
  terminate = () => {};
  send = ({ type }: Command) => void this.sent.push(type);
  killFor = (run: ChildRun) => void this.killedFor.push(run);
}

function runIn(process: SharedProcess): ChildRun {
  const plan = individualPlanOf();
  const times = { zeroUtcMs: 0, zeroMonoUs: 0 };
  const source = { kind: 'feed', path: '/none' } as const;
  const dirs = { spoolDir: '/none', earlierDirs: [], changes: [] };
  return new ChildRun({
    start: { type: 'start', plan, generation: 1, source, ...dirs, ...times },
    listener: { onProcess() {}, onFact() {}, onExit() {} },
    process,
    stopTimeoutMs: 30_000,
  });
}

const tick = (run: ChildRun, seconds: number) => {
  for (let n = 0; n < seconds; n++) run.tick();
};

describe('a run that is ended by force', () => {
  test('costs the others in its process nothing while the process still starts, and cannot have heard of it', () => {
    const process = new SharedProcess();
    const run = runIn(process);
    run.kill();
    tick(run, 30);
    expect(process.killedFor).toEqual([]);
    process.isReady = true;
    run.begin(0);
    expect(process.sent).toEqual(['start', 'abort']);
    tick(run, 4);
    expect(process.killedFor).toEqual([]);
  });

  test('is ended with its process where it does not give up', () => {
    const process = new SharedProcess();
    process.isReady = true;
    const run = runIn(process);
    run.begin(0);
    run.kill();
    tick(run, 5);
    expect(process.killedFor).toEqual([run]);
  });
});
