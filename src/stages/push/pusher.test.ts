/**
 * A recorder's side of the process that pushes, with processes of a test's own in its place.
 */

import type { ChildProcess } from 'node:child_process';
import { EventEmitter } from 'node:events';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { Pusher } from './pusher.ts';
import { type PushState, SampleReader, sampleBytes, type Wanted } from './wire.ts';

const STREAMS = {
  video: { width: 640, height: 360, fps: 30, bitrateKbps: 500, extradata: Buffer.of(1) },
  audio: { sampleRate: 48_000, channels: 2, bitrateKbps: 64, extradata: Buffer.of(2) },
};
const TARGET = { id: 'a', url: 'rtmp://live.example.com/app/key' };
const MB = 1_000_000;

/** What a pusher sees of a process. */
class FakeProcess extends EventEmitter {
  readonly stdin = new PassThrough({ highWaterMark: 1 });
  readonly wanted: Wanted[] = [];
  connected = true;
  signals: string[] = [];
  send(message: Wanted): void {
    this.wanted.push(message);
  }
  kill(signal: string): void {
    this.signals.push(signal);
    this.die(null, signal);
  }
  die(code: number | null, signal: string | null = null): void {
    this.connected = false;
    this.emit('close', code, signal);
  }
  tell(status: PushState['status'], counts: Partial<PushState> = {}): void {
    this.emit('message', [{ id: 'a', status, connections: 0, sentBytes: 0, droppedBytes: 0, ...counts }]);
  }
}

let clock: ManualClock;
let processes: FakeProcess[];
let states: PushState[];
let pusher: Pusher;

beforeEach(() => {
  clock = new ManualClock();
  processes = [];
  pusher = new Pusher({
    start: () => {
      processes.push(new FakeProcess());
      return processes.at(-1) as unknown as ChildProcess;
    },
    clock,
    networks: ['10.0.0.0/8'],
    onStates: (told) => {
      states = told;
    },
  });
});
afterEach(async () => {
  const closing = pusher.close();
  processes.at(-1)?.die(0);
  await closing;
});

const picture = (ms: number, keyFrame: boolean, bytes = 10): EncodedSample => {
  const times = { ptsUs: ms * 1000, dtsUs: ms * 1000, durationUs: 0 };
  return { kind: 'video', keyFrame, data: Buffer.alloc(bytes), ...times };
};
const begin = () => {
  pusher.use([TARGET]);
  pusher.begin(STREAMS);
  return processes[0]!;
};

test('a process is started once there is something to push, and told all that is wanted', () => {
  pusher.begin(STREAMS);
  expect(processes).toEqual([]);
  pusher.use([TARGET]);
  const [process] = processes as [FakeProcess];
  const streams = { video: { ...STREAMS.video, extradata: 'AQ==' }, audio: { ...STREAMS.audio, extradata: 'Ag==' } };
  expect(process.wanted).toEqual([{ streams, targets: [TARGET], networks: ['10.0.0.0/8'], onhold: false }]);
  pusher.hold(true);
  pusher.use([]);
  expect(process.wanted.slice(1)).toMatchObject([
    { onhold: true, targets: [TARGET] },
    { onhold: true, targets: [] },
  ]);
});

test('samples arrive as they were, from a key frame on', () => {
  const process = begin();
  const samples = [picture(0, false), picture(33, true), picture(66, false)];
  for (const sample of samples) pusher.write(sample);
  expect(new SampleReader().read(process.stdin.read())).toEqual(samples.slice(1));
  expect(states).toMatchObject([{ status: 'connecting' }]);
});

test('a process that reads nothing holds up nobody, and goes on with a key frame', () => {
  const process = begin();
  pusher.write(picture(0, true, MB));
  for (let n = 1; n < 10; n++) pusher.write(picture(n, false, MB));
  expect(process.stdin.writableLength + process.stdin.readableLength).toBeLessThan(6.5 * MB);
  process.tell('publishing', { droppedBytes: 5 });
  const { droppedBytes } = states[0]!;
  expect(droppedBytes).toBeGreaterThan(4 * MB);
  const reader = new SampleReader();
  const read = () => {
    const samples: EncodedSample[] = [];
    for (let bytes = process.stdin.read(); bytes; bytes = process.stdin.read()) samples.push(...reader.read(bytes));
    return samples.map(({ ptsUs }) => ptsUs / 1000);
  };
  read();
  pusher.write(picture(20, false));
  pusher.write(picture(21, true));
  pusher.write(picture(22, false));
  expect(read()).toEqual([21, 22]);
});

describe('a process that', () => {
  test('dies is followed by another, which is told the same; what was counted stays', () => {
    const process = begin();
    process.tell('publishing', { connections: 2, sentBytes: 100, droppedBytes: 3 });
    process.die(1);
    expect(states).toMatchObject([
      { status: 'disconnected', why: 'the process that pushes is gone: it ended with exit code 1', connections: 2 },
    ]);
    clock.advance(499);
    expect(processes).toHaveLength(1);
    clock.advance(1);
    expect(processes[1]!.wanted).toEqual(process.wanted.slice(0, 1));
    processes[1]!.tell('publishing', { connections: 1, sentBytes: 50 });
    expect(states).toMatchObject([{ status: 'publishing', connections: 3, sentBytes: 150, droppedBytes: 3 }]);
    // Later each time.
    processes[1]!.die(null, 'SIGSEGV');
    clock.advance(1_900);
    expect(processes).toHaveLength(2);
    clock.advance(100);
    expect(processes).toHaveLength(3);
  });

  test('says nothing any more is ended, and so is one that speaks nonsense', () => {
    const process = begin();
    for (let s = 0; s < 20; s++) {
      process.tell('publishing');
      clock.advance(1_000);
    }
    expect(process.signals).toEqual([]);
    clock.advance(17_000);
    expect(process.signals).toEqual(['SIGKILL']);
    processes[1]!.emit('message', { what: 'nonsense' });
    expect(processes[1]!.signals).toEqual(['SIGKILL']);
  });

  test('cannot be started is tried again, and breaks nothing', () => {
    let refuses = true;
    const other = new Pusher({
      start: () => {
        if (refuses) throw new Error('no memory');
        processes.push(new FakeProcess());
        return processes.at(-1) as unknown as ChildProcess;
      },
      ...{ clock, networks: [] },
      onStates: (told) => {
        states = told;
      },
    });
    other.use([TARGET]);
    other.begin(STREAMS);
    expect(states).toMatchObject([{ status: 'disconnected', why: 'the process that pushes is gone: no memory' }]);
    refuses = false;
    clock.advance(500);
    expect(processes).toHaveLength(1);
  });

  test('does not end when it is to is ended by force', async () => {
    const process = begin();
    const closing = pusher.close();
    expect(process.stdin.writableEnded).toBe(true);
    clock.advance(2_000);
    await closing;
    expect(process.signals).toEqual(['SIGKILL']);
    clock.advance(60_000);
    expect(processes).toHaveLength(1);
  });
});

test('bytes that are no sample are refused', () => {
  expect(() => new SampleReader().read(Buffer.alloc(40, 0xff))).toThrow(/no sample/);
  const [whole] = [sampleBytes(picture(1, true, 300))];
  const reader = new SampleReader();
  const read = [...whole].flatMap((byte) => reader.read(Buffer.of(byte)));
  expect(read).toEqual([picture(1, true, 300)]);
});
