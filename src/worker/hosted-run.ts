/**
 * HostedRun: one run in a recorder process, from its `start` to its `ended`. What fails in it ends it alone, as far as
 * it is known to be the run's.
 */
import type { ChangeCommand, Command, StartCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { stackOf } from '../kernel/stack.ts';
import type { HostUs } from '../kernel/time.ts';
import type { Happening, Recording, RecordingContext } from '../pipeline/recording.ts';
import { startRecording } from '../pipeline/start-recording.ts';
import type { ProcessUsage } from './process-shares.ts';

export type HostedRunOptions = {
  start: StartCommand;
  clock: Clock;
  context: Pick<RecordingContext, 'useXAuthority' | 'startPusher' | 'preparedPage'>;
  /** What the run has taken of the machine. */
  usage(): ProcessUsage;
  /** @param then called once the fact has been sent, or cannot be */
  send(fact: Fact, then?: () => void): void;
  /** Its last fact has been sent. */
  onOver(failed: boolean): void;
};

export class HostedRun {
  readonly start: StartCommand;
  readonly #o: HostedRunOptions;
  #starting: Promise<Recording> | undefined;
  #recording: Recording | undefined;
  #over = false;

  constructor(options: HostedRunOptions) {
    this.#o = options;
    this.start = options.start;
  }

  begin(): void {
    const { clock, context } = this.#o;
    const emit = (happening: Happening) => this.#tell(happening);
    const machine = () => this.#o.usage();
    this.#starting = startRecording(this.start, { clock, emit, machine, ...context });
    this.#starting
      .then((begun) => {
        this.#recording = begun;
        return begun.done;
      })
      .then((ending) => this.#end({ type: 'ended', ...ending }, false))
      .catch((error) => this.#fail(error));
  }

  /** How many packets it has taken. */
  packets(): number {
    return this.#recording?.packets?.() ?? 0;
  }

  obey(command: Exclude<Command, { type: 'start' | 'prepare' }>): void {
    switch (command.type) {
      case 'stop':
        this.stop(command.atMonoUs);
        return;
      case 'abort':
        this.abort(new Error(command.why));
        return;
      case 'ping':
        this.#answer(command.n);
        return;
      default:
        this.#change(command);
    }
  }

  stop(atMonoUs: HostUs): void {
    this.#starting?.then((run) => run.stop(atMonoUs, 'stopped')).catch((error) => this.#fail(error));
  }

  /** Gives the run up for `why`. One that shares its process is over once it writes nothing any more. */
  abort(why: unknown): void {
    // The others end with their process.
    if (!this.start.shared) this.#fail(why);
    else this.#starting?.then((run) => run.abort?.(why)).catch((error) => this.#fail(error));
  }

  /** A change waits until the recording has started, and later changes wait behind it. */
  #change(command: ChangeCommand): void {
    this.#starting?.then((run) => run.change(command)).catch((error) => this.#fail(error));
  }

  /** While the recording starts too: that may take long on a busy machine, and the process does not hang. */
  #answer(n: number): void {
    const { cpuUs, rssBytes } = this.#o.usage();
    const programs = this.#recording?.programs?.();
    const rung = this.#recording?.rung?.();
    const lagUs = this.#recording?.lagUs() ?? 0;
    this.#tell({ type: 'pong', n, rssBytes, cpuUs, lagUs, ...(rung && { rung }), ...(programs && { programs }) });
  }

  #fail(error: unknown): void {
    if (this.#over) return;
    process.stderr.write(`${stackOf(error)}\n`);
    this.#end({ type: 'ended', reason: 'failed', recorded: false, message: messageOf(error) }, true);
  }

  #end(happening: Extract<Happening, { type: 'ended' }>, failed: boolean): void {
    if (this.#over) return;
    this.#tell(happening, () => this.#o.onOver(failed));
    this.#over = true;
  }

  #tell(happening: Happening, then?: () => void): void {
    if (this.#over) return;
    const { plan, generation, zeroUtcMs, zeroMonoUs } = this.start;
    // By the clock that names the recording's files; this machine's own may show another time.
    const atMs = Math.round(zeroUtcMs + (this.#o.clock.monoUs() - zeroMonoUs) / 1000);
    this.#o.send({ ...happening, atMs, sid: plan.sid, generation } as Fact, then);
  }
}
