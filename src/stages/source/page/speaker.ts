/**
 * Speaker: a PulseAudio daemon with one sink that nobody hears, and the sound that is played to it. The sink's clock is
 * not ours (measured 60 to 95 ppm fast) and starts late when nothing plays, so each block comes with the moment at
 * which it arrived.
 */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '../../../kernel/clock.ts';
import { type HostUs, US } from '../../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../../media/frame.ts';
import { engineFault, type PageUser, type Programs, pidsOf, type RunningProgram, runProgram } from './programs.ts';

const CHANNELS = 2;
const BYTES_PER_FRAME = CHANNELS * Float32Array.BYTES_PER_ELEMENT;
const READY_TIMEOUT_US = 10 * US;
/** Without this the monitor would hand over one block every two seconds. */
const BLOCK_MS = 20;
/** Written by the reader once the monitor is connected. */
const CONNECTED = /Stream successfully created/;

/** @param firstFrame how many frames came before the block */
export type OnSound = (sound: Sound, firstFrame: number, arrivalUs: HostUs) => void;

export type Speaker = {
  /** As in PULSE_SERVER. */
  server: string;
  /** Its socket. */
  socket: string;
  /** Pids of its processes. */
  pids: readonly number[];
  /** Resolves with why it ended. */
  exited: Promise<string>;
  kill(): void;
};

export type SpeakerOptions = {
  programs: Programs;
  user: PageUser;
  /** The recording's folder; `user` may write to it. */
  dir: string;
  clock: Clock;
  /** 48 kHz stereo, in order. */
  onSound: OnSound;
};

/** Resolves once somebody listens to it. Rejects with a Fault `page-engine-failed`. */
export async function startSpeaker(options: SpeakerOptions): Promise<Speaker> {
  const { programs, user, dir } = options;
  const socket = join(dir, 'sound.sock');
  const config = join(dir, 'daemon.conf');
  // Chromium plays at the server's default rate, not at the sink's: with another one sound would be resampled twice.
  await writeFile(config, `default-sample-rate = ${SOUND_RATE}\n`, { mode: 0o644 });
  const env = { HOME: dir, XDG_RUNTIME_DIR: dir, PULSE_CONFIG: config, PULSE_SERVER: `unix:${socket}` };
  const modules = [
    `module-null-sink sink_name=page rate=${SOUND_RATE} channels=${CHANNELS}`,
    `module-native-protocol-unix socket=${socket} auth-anonymous=1`,
  ];
  const daemon = runProgram(programs, 'pulseaudio', {
    atOurEnd: 'KILL',
    args: [
      ...['-n', '--daemonize=no', '--use-pid-file=no', '--disallow-exit=no', '--log-level=error'],
      ...['--high-priority=no', '--realtime=no'],
      // The reader is there from the start to the end.
      '--exit-idle-time=-1',
      ...modules.flatMap((module) => ['-L', module]),
    ],
    user,
    env,
    cwd: dir,
  });
  const reader = await readMonitor(options, env, daemon);
  return {
    server: `unix:${socket}`,
    socket,
    pids: pidsOf(daemon, reader),
    exited: Promise.race([daemon.exited, reader.exited]),
    kill() {
      reader.kill();
      daemon.kill();
    },
  };
}

/** A reader that starts before the daemon listens ends at once, and is started again. */
async function readMonitor(
  { programs, user, dir, clock, onSound }: SpeakerOptions,
  env: Record<string, string>,
  daemon: RunningProgram,
): Promise<RunningProgram> {
  let gone: string | undefined;
  void daemon.exited.then((why) => {
    gone = why;
  });
  const giveUpUs = clock.monoUs() + READY_TIMEOUT_US;
  for (;;) {
    const reader = runProgram(programs, 'parec', {
      atOurEnd: 'KILL',
      args: [
        ...['--device=page.monitor', '--raw', '--format=float32le', `--rate=${SOUND_RATE}`],
        ...[`--channels=${CHANNELS}`, `--latency-msec=${BLOCK_MS}`, '--verbose'],
      ],
      user,
      env,
      cwd: dir,
      output: 'pipe',
    });
    const isConnected = new Promise<boolean>((resolve) => {
      reader.child.stderr?.on('data', (chunk: Buffer) => {
        if (CONNECTED.test(chunk.toString())) resolve(true);
      });
      void reader.exited.then(() => resolve(false));
    });
    const split = new SoundSplitter();
    reader.child.stdout?.on('data', (chunk: Buffer) => split.push(chunk, clock.monoUs(), onSound));
    if (await isConnected) return reader;
    if (gone !== undefined) throw engineFault(gone);
    if (clock.monoUs() > giveUpUs) {
      daemon.kill();
      throw engineFault(await reader.exited);
    }
  }
}

/** Makes blocks of sound from bytes that come in pieces of any length. */
export class SoundSplitter {
  #rest: Buffer = Buffer.alloc(0);
  #frames = 0;

  /** @param chunk interleaved float32, little endian */
  push(chunk: Buffer, arrivalUs: HostUs, onSound: OnSound): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const samples = Math.floor(bytes.length / BYTES_PER_FRAME);
    this.#rest = bytes.subarray(samples * BYTES_PER_FRAME);
    if (samples === 0) return;
    const channels = Array.from({ length: CHANNELS }, () => new Float32Array(samples));
    for (let i = 0; i < samples; i++)
      for (const [c, channel] of channels.entries())
        channel[i] = bytes.readFloatLE(i * BYTES_PER_FRAME + c * Float32Array.BYTES_PER_ELEMENT);
    onSound({ channels, samples }, this.#frames, arrivalUs);
    this.#frames += samples;
  }
}
