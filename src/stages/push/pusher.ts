/**
 * Pusher: a recorder's side of the process that pushes for it. Whatever happens to that process, the recorder never
 * waits for it: samples that the pipe has no room for are left out, and a process that died or hangs is replaced.
 */

import type { ChildProcess } from 'node:child_process';
import type { PushTarget } from '../../contract/line/push.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { PushedStreams } from './flv.ts';
import { KeyFrameGate } from './key-frame-gate.ts';
import { type PushState, pushStatesSchema, sampleBytes, type Wanted } from './wire.ts';

export type PusherOptions = {
  /** Starts the process, with a pipe as standard input and a channel for messages. */
  start(): ChildProcess;
  clock: Clock;
  /** Addresses and ranges that may be pushed to besides public ones. */
  networks: readonly string[];
  /** The state of each push; told each second, and at each change. */
  onStates(states: PushState[]): void;
};

/** How much may wait in the pipe: some seconds of the largest pictures. */
const MAX_WAITING = 4 * 1024 * 1024;
/** The process reports every second; when it has been silent for this long it hangs. */
const SILENT_US = 15_000_000;
const LOOK_EVERY_MS = 1_000;
/** How long the recorder waits before it replaces a process that died; the last wait is repeated. */
const WAITS_MS = [500, 2_000, 8_000, 15_000];
/** A process that lived for this long did not die of its start. */
const SETTLED_US = 60_000_000;
const CLOSE_TIMEOUT_MS = 2_000;

type Running = { child: ChildProcess; startedUs: HostUs; heardUs: HostUs; gate: KeyFrameGate };

export class Pusher {
  readonly #o: PusherOptions;
  readonly #looking: Timer;
  #streams: PushedStreams | undefined;
  #targets: readonly PushTarget[] = [];
  #onhold = false;
  #running: Running | undefined;
  #closed = false;
  #deaths = 0;
  #waiting: Timer | undefined;
  /** Counts of processes that are gone, and of samples that reached none. */
  readonly #before = new Map<string, Pick<PushState, 'connections' | 'sentBytes' | 'droppedBytes'>>();
  /** The latest report of the process. */
  #told = new Map<string, PushState>();

  constructor(options: PusherOptions) {
    this.#o = options;
    this.#looking = options.clock.every(LOOK_EVERY_MS, () => this.#look());
  }

  /** Pid of the process; undefined while there is none. */
  get pid(): number | undefined {
    return this.#running?.child.pid;
  }

  /** Samples of these streams follow. */
  begin(streams: PushedStreams): void {
    this.#streams = streams;
    this.#want();
  }

  /** From now on pushes to these addresses and no others; one whose id stays goes on. */
  use(targets: readonly PushTarget[]): void {
    this.#targets = targets;
    this.#want();
    this.#tell();
  }

  hold(onhold: boolean): void {
    this.#onhold = onhold;
    // A process that does not exist yet reports nothing else.
    if (!this.#running) this.#told.clear();
    this.#want();
    this.#tell();
  }

  write(sample: EncodedSample): void {
    if (this.#targets.length === 0) return;
    const stdin = this.#running?.child.stdin;
    if (stdin?.writable && this.#running!.gate.admits(sample, stdin.writableLength > MAX_WAITING)) {
      stdin.write(sampleBytes(sample));
      return;
    }
    for (const { id } of this.#targets)
      this.#count(id, { connections: 0, sentBytes: 0, droppedBytes: sample.data.length });
  }

  /** Ends all pushes in order. Resolves when the process is gone; one that takes too long is ended by force. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting?.cancel();
    this.#looking.cancel();
    const child = this.#running?.child;
    if (!child) return;
    const gone = new Promise<void>((resolve) => child.once('close', () => resolve()));
    const late = this.#o.clock.after(CLOSE_TIMEOUT_MS, () => child.kill('SIGKILL'));
    child.stdin?.end();
    await gone;
    late.cancel();
  }

  #want(): void {
    if (this.#closed || !this.#streams) return;
    if (this.#targets.length > 0 && !this.#running && !this.#waiting) this.#start();
    const { video, audio } = this.#streams;
    const inBase64 = <T extends { extradata: Buffer }>(stream: T) => {
      return { ...stream, extradata: stream.extradata.toString('base64') };
    };
    const wanted: Wanted = {
      streams: { video: inBase64(video), audio: inBase64(audio) },
      targets: [...this.#targets],
      networks: [...this.#o.networks],
      onhold: this.#onhold,
    };
    const child = this.#running?.child;
    // `close` tells of a process that has just died.
    if (child?.connected) child.send(wanted, () => {});
  }

  #start(): void {
    const nowUs = this.#o.clock.monoUs();
    let child: ChildProcess;
    try {
      child = this.#o.start();
    } catch (error) {
      this.#goOnAfter(nowUs, messageOf(error));
      return;
    }
    const running: Running = { child, startedUs: nowUs, heardUs: nowUs, gate: new KeyFrameGate() };
    this.#running = running;
    child.on('message', (message) => this.#hear(running, message));
    child.once('error', (error) => this.#lose(running, error.message));
    child.once('close', (code, signal) => this.#lose(running, `it ended with ${signal ?? `exit code ${code}`}`));
    // A process that is gone reads nothing; `close` tells that it is gone.
    child.stdin?.on('error', () => {});
  }

  #hear(running: Running, message: unknown): void {
    if (this.#running !== running) return;
    running.heardUs = this.#o.clock.monoUs();
    const parsed = pushStatesSchema.safeParse(message);
    if (!parsed.success) {
      running.child.kill('SIGKILL');
      return;
    }
    for (const state of parsed.data) this.#told.set(state.id, state);
    this.#tell();
  }

  #lose(running: Running, why: string): void {
    if (this.#running !== running) return;
    this.#running = undefined;
    if (!this.#closed) this.#goOnAfter(running.startedUs, why);
  }

  /** The process that was started at `startedUs` is gone; another one replaces it. */
  #goOnAfter(startedUs: HostUs, why: string): void {
    const { clock } = this.#o;
    for (const { id } of this.#targets) {
      this.#count(id, this.#told.get(id) ?? NOTHING);
      const status = this.#onhold ? 'onhold' : 'disconnected';
      this.#told.set(id, { ...NOTHING, id, status, why: `the process that pushes is gone: ${why}` });
    }
    this.#tell();
    if (clock.monoUs() - startedUs > SETTLED_US) this.#deaths = 0;
    this.#waiting = clock.after(WAITS_MS[Math.min(this.#deaths++, WAITS_MS.length - 1)]!, () => {
      this.#waiting = undefined;
      this.#want();
    });
  }

  #look(): void {
    const running = this.#running;
    if (running && this.#o.clock.monoUs() - running.heardUs > SILENT_US) running.child.kill('SIGKILL');
  }

  #count(id: string, more: Pick<PushState, 'connections' | 'sentBytes' | 'droppedBytes'>): void {
    const { connections, sentBytes, droppedBytes } = this.#before.get(id) ?? NOTHING;
    this.#before.set(id, {
      connections: connections + more.connections,
      sentBytes: sentBytes + more.sentBytes,
      droppedBytes: droppedBytes + more.droppedBytes,
    });
  }

  #tell(): void {
    const waiting = this.#onhold ? 'onhold' : 'connecting';
    const states = this.#targets.map(({ id }): PushState => {
      const told = this.#told.get(id) ?? { ...NOTHING, id, status: waiting };
      const before = this.#before.get(id) ?? NOTHING;
      return {
        ...told,
        connections: told.connections + before.connections,
        sentBytes: told.sentBytes + before.sentBytes,
        droppedBytes: told.droppedBytes + before.droppedBytes,
      };
    });
    const wanted = new Set(this.#targets.map(({ id }) => id));
    for (const id of this.#told.keys()) if (!wanted.has(id)) this.#told.delete(id);
    for (const id of this.#before.keys()) if (!wanted.has(id)) this.#before.delete(id);
    this.#o.onStates(states);
  }
}

const NOTHING = { connections: 0, sentBytes: 0, droppedBytes: 0 };
