/**
 * Publishers, each in a process of its own, so that they can be killed and their CPU is not the server's.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { AudioCodec, VideoCodec } from '../../../src/media/track.ts';
import type { Participant } from '../media/participants.ts';
import type { Host } from '../server-process.ts';
import type { Via } from './proxied-sdp.ts';
import type { Scene } from './scene.ts';

export type PublishOptions = {
  /** The WHIP endpoint, with the uid. */
  url: string;
  /** Bearer token; left out where the app needs none. */
  token?: string;
  participant: Participant;
  width: number;
  height: number;
  fps: number;
  bitrateKbps: number;
  /** Seconds from key frame to key frame; 1 by default. */
  gopS?: number;
  motion?: 'calm' | 'busy';
};

export type RtcPublishOptions = PublishOptions & {
  codec: VideoCodec;
  /** Opus of one channel at 32 kbit/s, as browsers send speech, instead of two at 64. */
  mono?: boolean;
  /** `opus` when left out. */
  audioCodec?: AudioCodec;
  /** Encodes a few seconds once and repeats them, at next to no CPU. Flashes stay true, stamps do not. */
  loop?: boolean;
  /** Put on every RTP timestamp, in ticks, per kind. */
  timestampOffset?: { audio: number; video: number };
  /** Share of packets, 0 to 1, that are not sent at first; a NACK brings them. */
  lossRate?: number;
  /** H.264 only: pictures in a row that refer to a later one, as OBS and FFmpeg send. 0 by default. */
  bFrames?: number;
  /** Sends its picture twice, whole and halved, as a simulcast of two layers. Not of a loop. */
  simulcast?: boolean;
  /** Scales the sound; 1 by default. */
  level?: number;
  /** Nothing is heard between beeps, and little or nothing sent of that (Opus only). */
  dtx?: boolean;
  /**
   * How much faster than true time its clocks run, parts per million; `wall` is the one its sender reports tell the
   * time by.
   */
  skewPpm?: { camera?: number; microphone?: number; wall?: number };
  /** Sender reports begin so many seconds after media; 0 by default. */
  reportsAfterS?: number | 'never';
  /**
   * What is muted is not captured: its timestamps go on afterwards without a gap, and only sender reports tell of it.
   */
  mutesStall?: boolean;
  /** Lost sound is not sent again, whatever NACKs ask for. */
  neverResendsSound?: boolean;
  /** Pictures are sent so much later than they were taken. */
  videoLateMs?: number;
  /**
   * Publishes again when its connection is lost, as docs/guide/fleet.md tells clients to: at the server that it came
   * from or another of the fleet, until one takes it.
   */
  comesBack?: boolean;
  /** Makes all ready, and joins only when told to. */
  waits?: boolean;
  /** Where to send instead of to the server, and by no other way: a proxy before it. */
  via?: Via;
};

export type PublisherCommand =
  | { does: 'join' | 'pause' | 'resume' | 'restart' | 'stop' | 'vanish' }
  | { does: 'mute' | 'unmute'; kind: 'audio' | 'video' }
  | { does: 'show'; scene: Scene }
  | ({ does: 'stepClock' } & ClockStep)
  | { does: 'padUpperLayer' | 'fillUpperLayer' };
/**
 * A clock that is put forward, or back where `byS` is negative: a device's counts media, `wall` is the one that sender
 * reports tell the time by.
 */
export type ClockStep = { clock: 'camera' | 'microphone' | 'wall'; byS: number };
export type PublisherReport =
  | { type: 'waiting' }
  | { type: 'publishing' }
  | { type: 'failed'; message: string }
  /** Of one that comes back: nothing was heard of its server any more, and media flows again; Unix milliseconds. */
  | { type: 'lost' | 'back'; atMs: number }
  | { type: 'done' };
export type PublisherJob =
  | { client: 'ffmpeg'; options: PublishOptions }
  | { client: 'rtc'; options: RtcPublishOptions }
  /** Many in one process, who can only stop. */
  | { client: 'crowd'; options: RtcPublishOptions[] };

/** Of all that were started so far: who joins comes after them. */
let joined: Promise<unknown> = Promise.resolve();

export class Publisher {
  readonly #child: ChildProcess;
  readonly #name: string;
  /** When it lost its server, and was back at one. */
  readonly comebacks: { type: 'lost' | 'back'; atMs: number }[] = [];
  /** The last words of the process on standard error. */
  #stderr = '';

  /**
   * Resolves once media flows, or all is ready of one that waits. Rejects with an Error that says why it is not.
   * Those that do not wait join one after another, whoever starts them: node-datachannel 0.33 refuses a good answer now
   * and then ("Got a remote candidate without ICE transport") while both peers are its own and the cores are busy.
   */
  static start(job: PublisherJob, timeoutMs = 20_000, machine?: Host): Promise<Publisher> {
    const waits = job.client === 'rtc' && job.options.waits === true;
    const start = (ready: 'waiting' | 'publishing') => Publisher.#start(new Publisher(job, machine), ready, timeoutMs);
    const started = waits ? start('waiting') : joined.then(() => start('publishing'));
    if (!waits) joined = started.catch(() => undefined);
    return started;
  }

  static async #start(publisher: Publisher, ready: 'waiting' | 'publishing', timeoutMs: number): Promise<Publisher> {
    try {
      await publisher.#report(ready, timeoutMs);
    } catch (error) {
      publisher.kill();
      throw error;
    }
    return publisher;
  }

  private constructor(job: PublisherJob, machine: Host | undefined) {
    this.#name = job.client === 'crowd' ? 'crowd' : job.options.participant.name;
    const [execPath, ...execArgv] = [...(machine?.enter ?? []), process.execPath];
    this.#child = fork(join(import.meta.dirname, 'publisher-process.ts'), [JSON.stringify(job)], {
      execPath: execPath as string,
      execArgv,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.#child.on('message', (message: PublisherReport) => {
      if (message.type === 'lost' || message.type === 'back') this.comebacks.push(message);
    });
    this.#child.stderr?.on('data', (chunk: Buffer) => {
      this.#stderr = (this.#stderr + chunk.toString()).slice(-2000);
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Joins, of one that waits. Resolves once media flows. */
  async join(): Promise<void> {
    this.#child.send({ does: 'join' } satisfies PublisherCommand);
    await this.#report('publishing', 20_000);
  }
  /** Sends nothing for a while, without leaving (rtc only). */
  pause(): Promise<void> {
    return this.#do({ does: 'pause' });
  }
  resume(): Promise<void> {
    return this.#do({ does: 'resume' });
  }
  /** Sends nothing of one kind, or sends it again (rtc only). */
  mute(kind: 'audio' | 'video'): Promise<void> {
    return this.#do({ does: 'mute', kind });
  }
  unmute(kind: 'audio' | 'video'): Promise<void> {
    return this.#do({ does: 'unmute', kind });
  }
  /** Shows another scene on the same track, as after replaceTrack (rtc only). */
  show(scene: Scene): Promise<void> {
    return this.#do({ does: 'show', scene });
  }
  /** One of its clocks shows another time from now on (rtc only). */
  stepClock(step: ClockStep): Promise<void> {
    return this.#do({ does: 'stepClock', ...step });
  }
  /** Sends nothing but padding in place of its larger picture, or that picture again (rtc with simulcast only). */
  padUpperLayer(): Promise<void> {
    return this.#do({ does: 'padUpperLayer' });
  }
  fillUpperLayer(): Promise<void> {
    return this.#do({ does: 'fillUpperLayer' });
  }
  /** Goes on with new SSRCs, sequence numbers and timestamps within its session (rtc only). */
  restart(): Promise<void> {
    return this.#do({ does: 'restart' });
  }
  /** Leaves the channel with a goodbye, and ends the process. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    await this.#do({ does: 'stop' }).catch(() => this.kill());
    await exited;
  }
  /** Is gone without a word, as after a power cut. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  async #do(command: PublisherCommand): Promise<void> {
    this.#child.send(command);
    await this.#report('done', 10_000);
  }

  #report(type: PublisherReport['type'], timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: Error) => {
        clearTimeout(timer);
        this.#child.off('message', onMessage);
        this.#child.off('exit', onExit);
        error ? reject(error) : resolve();
      };
      const onMessage = (message: PublisherReport) => {
        if (message.type === type) settle();
        else if (message.type === 'failed') settle(new Error(`publisher ${this.#name}: ${message.message}`));
      };
      const onExit = (code: number | null, signal: string | null) =>
        settle(new Error(`publisher ${this.#name} ended (${signal ?? code}): ${this.#stderr.trim()}`));
      const timer = setTimeout(() => settle(new Error(`publisher ${this.#name} is not ${type} in time`)), timeoutMs);
      this.#child.on('message', onMessage);
      this.#child.on('exit', onExit);
    });
  }
}

/** Publishes with FFmpeg's own WHIP client. */
export function publishWithFfmpeg(options: PublishOptions): Promise<Publisher> {
  return Publisher.start({ client: 'ffmpeg', options });
}

/** Publishes with a node-datachannel client that can pause, vanish, lose packets and answer feedback. */
export function publishWithRtc(options: RtcPublishOptions, machine?: Host): Promise<Publisher> {
  return Publisher.start({ client: 'rtc', options }, undefined, machine);
}

/** Publishes as many users from one process. Resolves once media of all of them flows. */
export function publishCrowd(options: RtcPublishOptions[]): Promise<Publisher> {
  return Publisher.start({ client: 'crowd', options }, 60_000);
}
