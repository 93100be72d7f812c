/**
 * PushLine: what a page's recording does for its pushes: it sends their samples in order, and tells and notes their
 * states.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import { maskedAddress, type PushStatus, type PushTarget } from '../../contract/line/push.ts';
import type { PushReport } from '../../contract/line/quality-report.ts';
import { invariant } from '../../kernel/fault.ts';
import { type RecordingUs, toRecording } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { Interleaver } from '../../stages/mux/interleave.ts';
import type { PushedStreams } from '../../stages/push/flv.ts';
import { Pusher } from '../../stages/push/pusher.ts';
import type { PushState } from '../../stages/push/wire.ts';
import { PageMeter, type PageUse } from '../../stages/source/page/page-meter.ts';
import type { LineContext } from '../recording.ts';
import { toMs } from '../report/kept.ts';

export type PushLineOptions = {
  start: StartCommand;
  context: LineContext;
  onhold: boolean;
};

type Kept = {
  target: PushTarget;
  status: PushStatus | undefined;
  publishingSinceUs: RecordingUs | undefined;
  publishedUs: number;
  report: PushReport;
};

export class PushLine {
  readonly #o: PushLineOptions;
  readonly #pusher: Pusher;
  readonly #interleaver = new Interleaver(['video', 'audio']);
  readonly #kept = new Map<string, Kept>();
  readonly #meter = new PageMeter(() => [this.#pusher.pid].filter((pid) => pid !== undefined));
  #closing = false;

  constructor(options: PushLineOptions) {
    this.#o = options;
    const { start, context, onhold } = options;
    this.#pusher = new Pusher({
      start: () => {
        invariant(context.startPusher, 'who records a page that is pushed says how the process for it is started');
        return context.startPusher();
      },
      clock: context.clock,
      networks: start.pushes?.networks ?? [],
      onStates: (states) => {
        for (const state of states) this.#note(state);
      },
    });
    this.#pusher.hold(onhold);
    this.use(start.pushes?.targets ?? []);
  }

  begin(streams: PushedStreams): void {
    this.#pusher.begin(streams);
  }

  write(sample: EncodedSample): void {
    if (this.#kept.size === 0) return;
    for (const next of this.#interleaver.push(sample)) this.#pusher.write(next);
  }

  /** From now on pushes to these addresses and no others. */
  use(targets: readonly PushTarget[]): void {
    for (const [id, kept] of this.#kept) if (!targets.some((target) => target.id === id)) this.#end(kept);
    for (const target of targets) {
      if (this.#kept.has(target.id)) continue;
      const report: PushReport = {
        address: maskedAddress(target.url),
        startedMs: toMs(this.#nowUs),
        endedMs: null,
        firstPublishedMs: null,
        publishedMs: 0,
        connections: 0,
        sentBytes: 0,
        droppedBytes: 0,
        lastFailure: null,
      };
      this.#kept.set(target.id, { target, status: undefined, publishingSinceUs: undefined, publishedUs: 0, report });
    }
    this.#pusher.use(targets);
  }

  hold(onhold: boolean): void {
    this.#pusher.hold(onhold);
  }

  /** What pushing takes and took of the machine, in processes of its own. */
  measure(): Promise<PageUse> {
    return this.#meter.read();
  }

  /** Ends all pushes in order. */
  async close(): Promise<void> {
    this.#closing = true;
    for (const next of this.#interleaver.flush()) this.#pusher.write(next);
    await this.#pusher.close();
    for (const kept of [...this.#kept.values()]) this.#end(kept);
  }

  get #nowUs(): RecordingUs {
    return toRecording(this.#o.context.clock.monoUs(), this.#o.start.zeroMonoUs);
  }

  #note({ id, status, why, connections, sentBytes, droppedBytes }: PushState): void {
    const kept = this.#kept.get(id);
    if (!kept) return;
    const { report } = kept;
    const isNew = why !== undefined && why !== report.lastFailure;
    Object.assign(report, { connections, sentBytes, droppedBytes, lastFailure: why ?? report.lastFailure });
    const failed = status === 'disconnected' && (isNew || kept.status !== 'disconnected');
    this.#change(kept, status);
    if (this.#closing || !failed) return;
    const what = `the push to ${report.address} failed: ${why}`;
    this.#o.context.emit({ type: 'degraded', what, count: 1 });
  }

  #end(kept: Kept): void {
    this.#change(kept, 'disconnected');
    kept.report.endedMs = toMs(this.#nowUs);
    this.#o.context.report.onPush(kept.target.id, kept.report);
    this.#kept.delete(kept.target.id);
  }

  #change(kept: Kept, status: PushStatus): void {
    const { target, report } = kept;
    const nowUs = this.#nowUs;
    if (kept.publishingSinceUs !== undefined) kept.publishedUs += nowUs - kept.publishingSinceUs;
    report.publishedMs = toMs(kept.publishedUs);
    kept.publishingSinceUs = status === 'publishing' ? nowUs : undefined;
    if (status === 'publishing') report.firstPublishedMs ??= toMs(nowUs);
    this.#o.context.report.onPush(target.id, report);
    if (kept.status === status) return;
    kept.status = status;
    this.#o.context.emit({ type: 'pushChanged', id: target.id, address: report.address, status });
  }
}
