/**
 * Thumbnailer: has key frames drawn by a process beside the server, one after another. The process is started when
 * somebody asks, and ends when nobody has asked for a while.
 */
import { type ThumbnailJob, thumbnailReplySchema } from '../contract/line/thumbnail.ts';
import { problem, problemOf } from '../contract/problems.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { VideoFormat } from '../media/track.ts';
import type { SessionLog } from '../session/ports.ts';
import type { Fork, ForkEnd, ForkListener, ForkSpec } from './forks.ts';

export type ThumbnailerOptions = {
  clock: Clock;
  log: Pick<SessionLog, 'warn'>;
  /** Told of each that was to be drawn. */
  onOutcome?(outcome: 'drawn' | 'undecodable' | 'refused'): void;
  forks: { start(spec: ForkSpec, listener: ForkListener): Pick<Fork, 'send' | 'disconnect' | 'kill'> };
  /** The script that is run, and its arguments. */
  entry: string;
  args: readonly string[];
  env: Record<string, string | undefined>;
};

/** It holds one picture at a time, and little of its memory is V8's. */
const FLAGS = ['--max-semi-space-size=1', '--optimize-for-size', '--single-threaded-gc'];
/** A picture takes some milliseconds, and the start of the process some hundred; on a busy machine many times that. */
const JOB_MS = 10_000;
const IDLE_MS = 30_000;
export const MOST_WAITING = 200;
/** After the process has failed none is started for so long: one picture that kills it should not start hundreds. */
const REST_US = 5_000_000;

type Drawing = { format: VideoFormat; datagrams: readonly Buffer[] };
type Job = { drawing: Drawing; resolve(jpeg: Buffer): void; reject(why: unknown): void };
type Child = { fork: Pick<Fork, 'send' | 'disconnect' | 'kill'>; closed: Promise<void> };

export class Thumbnailer {
  readonly #options: ThumbnailerOptions;
  readonly #waiting: Job[] = [];
  #job: Job | undefined;
  #child: Child | undefined;
  /** Processes that exist, those that were let go of too. */
  readonly #children = new Set<Child>();
  /** Ends the process when its work takes too long, or when there is none. */
  #timer: Timer | undefined;
  #restsUntilUs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(options: ThumbnailerOptions) {
    this.#options = options;
  }

  /**
   * Resolves to the JPEG file of a key frame.
   * @param drawing `datagrams` its RTP packets, in the sender's order
   * @throws `thumbnail-unknown` when it cannot be decoded, `thumbnail-refused`
   */
  draw(drawing: Drawing): Promise<Buffer> {
    const { onOutcome } = this.#options;
    const drawn = this.#drawn(drawing);
    drawn.then(
      () => onOutcome?.('drawn'),
      (error) => onOutcome?.(problemOf(error) === 'thumbnail-unknown' ? 'undecodable' : 'refused'),
    );
    return drawn;
  }

  #drawn(drawing: Drawing): Promise<Buffer> {
    const isResting = this.#options.clock.monoUs() < this.#restsUntilUs;
    if (this.#closed || isResting || this.#waiting.length >= MOST_WAITING)
      return Promise.reject(problem('thumbnail-refused'));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ drawing, resolve, reject });
      if (!this.#job) this.#next();
    });
  }

  /** Gives up what waits. Resolves when no process is left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#refuseAll();
    for (const { fork } of this.#children) fork.kill();
    await Promise.all([...this.#children].map(({ closed }) => closed));
  }

  #next(): void {
    const { clock } = this.#options;
    this.#timer?.cancel();
    this.#job = this.#waiting.shift();
    if (!this.#job) {
      this.#timer = clock.after(IDLE_MS, () => this.#letGo());
      return;
    }
    const { format, datagrams } = this.#job.drawing;
    try {
      this.#child ??= this.#start();
    } catch (error) {
      this.#fail(messageOf(error));
      return;
    }
    const { fork } = this.#child;
    const packets = datagrams.map((datagram) => datagram.toString('base64'));
    fork.send({ format, packets } satisfies ThumbnailJob);
    this.#timer = clock.after(JOB_MS, () => fork.kill());
  }

  #start(): Child {
    const { forks, entry, args, env, log } = this.#options;
    const { promise: closed, resolve } = Promise.withResolvers<void>();
    const listener: ForkListener = {
      onMessage: (message) => child === this.#child && this.#hear(message),
      onLine: (_from, line) => log.warn({}, `thumbnails: ${line}`),
      onClosed: (end) => {
        this.#children.delete(child);
        resolve();
        if (child !== this.#child) return;
        this.#child = undefined;
        if (!this.#closed) this.#fail(wordsOf(end));
      },
    };
    const child: Child = { fork: forks.start({ entry, args, env, flags: FLAGS }, listener), closed };
    this.#children.add(child);
    return child;
  }

  #hear(message: unknown): void {
    const job = this.#job;
    const reply = thumbnailReplySchema.safeParse(message).data;
    if (!job || !reply) return;
    if ('jpeg' in reply) job.resolve(Buffer.from(reply.jpeg, 'base64'));
    else job.reject(problem('thumbnail-unknown', `the picture of this user cannot be decoded: ${reply.error}`));
    this.#next();
  }

  #fail(why: string): void {
    const { log, clock } = this.#options;
    log.warn({ why }, 'the process that makes thumbnails has failed');
    this.#restsUntilUs = clock.monoUs() + REST_US;
    this.#timer?.cancel();
    this.#refuseAll();
  }

  #refuseAll(): void {
    const all = [...(this.#job ? [this.#job] : []), ...this.#waiting.splice(0)];
    this.#job = undefined;
    for (const { reject } of all) reject(problem('thumbnail-refused'));
  }

  #letGo(): void {
    const child = this.#child;
    this.#child = undefined;
    child?.fork.disconnect();
  }
}

function wordsOf(end: ForkEnd): string {
  if ('lost' in end) return end.lost;
  return end.signal ? `it was ended by ${end.signal}` : `it ended with exit code ${end.code}`;
}
