/**
 * What receiving costs: 10,000 packets a second of 1,200 bytes from ten publishers into the embedded channel and on to
 * a recorder's feed, against the library alone that hands the same packets to nobody. CPU of the receiving process for
 * each packet, turn by turn.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SMALL_FLAGS } from '../../src/app/cli/small-process.ts';
import { encodeFeedEvent } from '../../src/contract/line/feed.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { median } from '../../test/support/judge/offsets.ts';
import { freeUdpPort } from '../../test/support/server-process.ts';
import { atMost, type Figure } from '../measure.ts';
import { cpuSecondsOf } from '../proc.ts';
import type { ReceiverMode, ReceiverReply, ReceiverRequest } from './receiver.ts';
import type { ScriptReply } from './script.ts';
import type { SenderJob, SenderReply, SenderRequest } from './sender.ts';

const JOB: SenderJob = { publishers: 10, packetsPerSecond: 10_000, packetBytes: 1200 };
const TAKES = 4;
/** What is kept for the recorder grows no more by then, which is when it has said twice what is safe. */
const WARM_UP_MS = 5500;
const TAKE_MS = 5000;
/** More than this missing means that the machine was too busy to measure, percent. */
const MOST_MISSED = 3;
const LIMIT = 1.15;
/** A recorder that is two seconds behind writes what it has every second. */
const SAFE_BEHIND_US = 3_000_000;

/** CPU for each packet that came in, microseconds; and the share of packets that did. */
type Take = { packetUs: number; share: number };

export async function measureReception(): Promise<Figure[]> {
  const takes: Record<ReceiverMode, Take[]> = { library: [], channel: [], 'channel without a recorder': [] };
  const modes = Object.keys(takes) as ReceiverMode[];
  // Turn by turn, so that a machine that slows down does so for all.
  for (let n = 0; n < TAKES; n++) for (const mode of modes) takes[mode].push(await take(mode));
  const ratioOf = (mode: ReceiverMode) =>
    median(takes[mode].map((one, n) => one.packetUs / (takes.library[n] as Take).packetUs));
  const list = (mode: ReceiverMode) => takes[mode].map(({ packetUs }) => packetUs.toFixed(1)).join('/');
  const least = Math.min(...Object.values(takes).flatMap((list) => list.map(({ share }) => share)));
  const besides = (mode: ReceiverMode) => `${list(mode)} µs for each packet, library ${list('library')}`;
  return [
    atMost(
      'reception against the library, no recorder',
      ratioOf('channel without a recorder'),
      LIMIT,
      '×',
      besides('channel without a recorder'),
    ),
    atMost('reception against the library, with a feed', ratioOf('channel'), LIMIT, '×', besides('channel')),
    atMost('packets missed in the worst take', Math.max(0, (1 - least) * 100), MOST_MISSED, '%', ''),
    ...(await measureScript()),
  ];
}

/** What of it is our own code. */
async function measureScript(): Promise<Figure[]> {
  const { plainUs, withFeedbackUs } = await heard<ScriptReply, 'script'>(start('script.ts', [], SMALL_FLAGS), 'script');
  const figure = (what: string, value: number): Figure => ({ what, value, unit: 'µs', goal: {}, detail: '' });
  return [
    figure('our own code for a packet', plainUs),
    figure('our own code for a packet, with transport-wide feedback', withFeedbackUs),
  ];
}

/** As recorders do: says who it is, and each second that what came in until lately is on disk. */
function readFeed(path: string): Socket {
  const socket = connect(path);
  socket.write(encodeFeedEvent({ type: 'hello', generation: 1 }, 0));
  socket.resume();
  const timer = setInterval(() => {
    const arrivalUs = systemClock.monoUs() - SAFE_BEHIND_US;
    socket.write(encodeFeedEvent({ type: 'safe', arrivalUs }, 0));
  }, 1000);
  return socket.on('close', () => clearInterval(timer));
}

async function take(mode: ReceiverMode): Promise<Take> {
  const port = String(await freeUdpPort());
  // As servers run.
  const receiver = start('receiver.ts', [mode, port], SMALL_FLAGS);
  const sender = start('sender.ts', [JSON.stringify(JOB)]);
  let recorder: Socket | undefined;
  try {
    const { feedPath } = await heard<ReceiverReply, 'ready'>(receiver, 'ready');
    if (feedPath !== undefined) {
      recorder = readFeed(feedPath);
    }
    for (let n = 0; n < JOB.publishers; n++) {
      const { offer } = await ask<SenderReply, 'offer'>(sender, { type: 'offer' } satisfies SenderRequest, 'offer');
      const request: ReceiverRequest = { type: 'offer', offer };
      const { answer } = await ask<ReceiverReply, 'answer'>(receiver, request, 'answer');
      await ask<SenderReply, 'connected'>(sender, { type: 'answer', answer } satisfies SenderRequest, 'connected');
    }
    await pause(WARM_UP_MS);
    const pid = receiver.pid ?? 0;
    const [beganMs, before, packets] = [performance.now(), cpuSecondsOf(pid), await count(receiver)];
    await pause(TAKE_MS);
    const spanS = (performance.now() - beganMs) / 1000;
    const spentS = cpuSecondsOf(pid) - before;
    const received = (await count(receiver)) - packets;
    return { packetUs: (spentS / received) * 1e6, share: received / (JOB.packetsPerSecond * spanS) };
  } finally {
    recorder?.destroy();
    for (const child of [sender, receiver]) {
      child.disconnect();
      if (child.exitCode === null) await once(child, 'exit');
    }
  }
}

async function count(receiver: ChildProcess): Promise<number> {
  const request: ReceiverRequest = { type: 'count' };
  return (await ask<ReceiverReply, 'counted'>(receiver, request, 'counted')).packets;
}

function start(file: string, args: string[], execArgv: string[] = []): ChildProcess {
  return fork(join(import.meta.dirname, file), args, { execArgv, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
}

function ask<Reply extends { type: string }, Type extends Reply['type']>(
  child: ChildProcess,
  request: object,
  type: Type,
): Promise<Extract<Reply, { type: Type }>> {
  child.send(request);
  return heard<Reply, Type>(child, type);
}

async function heard<Reply extends { type: string }, Type extends Reply['type']>(
  child: ChildProcess,
  type: Type,
): Promise<Extract<Reply, { type: Type }>> {
  const [message] = (await once(child, 'message', { signal: AbortSignal.timeout(15_000) })) as [Reply];
  if (message.type !== type) throw new Error(`a bench process says ${message.type} in place of ${type}`);
  return message as Extract<Reply, { type: Type }>;
}
