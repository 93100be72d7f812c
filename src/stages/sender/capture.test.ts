/** Devices that are not there, chosen among several, and that give out. Lavfi stands for those that work. */
import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Demuxer } from 'node-av/api';
import { AV_LOG_QUIET } from 'node-av/constants';
import { Log } from 'node-av/lib';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { type Clock, systemClock } from '../../kernel/clock.ts';
import { type Capture, type CaptureSystem, deviceFault, LINUX, openCapture } from './capture.ts';
import { mergedPackets } from './merged-packets.ts';

const PICTURE = 'color=size=16x16:rate=10';
const SOUND = 'sine=sample_rate=48000';
const WANTED = { width: 16, height: 16, fps: 10 };
const made: CaptureSystem = {
  formats: { video: 'lavfi', audio: 'lavfi' },
  devices: async () => [
    { kind: 'video', name: PICTURE, about: 'Made camera' },
    { kind: 'audio', name: SOUND, about: 'Made microphone' },
  ],
};

let said: string[];
beforeEach(() => {
  said = [];
  Log.setCallback((_level, text) => void said.push(text.trim()));
});
afterEach(() => {
  Log.resetCallback();
  Log.setLevel(AV_LOG_QUIET);
});

/** Opens and closes; what was opened. */
async function opened(changes: Partial<Capture>, system = made, clock: Clock = systemClock) {
  let told: unknown;
  const capture: Capture = {
    ...{ system, camera: undefined, sound: undefined, ...changes },
    onOpened: (what) => {
      told = what;
    },
  };
  const inputs = await openCapture(capture, WANTED, { said: () => said.splice(0), clock });
  for (const input of inputs) await input.close();
  return { told, inputs: inputs.length };
}

describe('which devices', () => {
  test('the only camera, with the sound that there is', async () => {
    expect(await opened({})).toEqual({ inputs: 2, told: { camera: PICTURE, sound: SOUND, silence: undefined } });
    const silent = { camera: PICTURE, sound: undefined, silence: undefined };
    expect(await opened({ sound: 'none' })).toEqual({ inputs: 1, told: silent });
  });

  test('of several, the one that is named', async () => {
    const two: CaptureSystem = {
      ...made,
      devices: async () => [...(await made.devices()), { kind: 'video', name: '/dev/video2', about: 'Desk' }],
    };
    await expect(opened({}, two)).rejects.toThrow(
      `there are several cameras; name one with --device:\n  ${PICTURE}  Made camera\n  /dev/video2  Desk`,
    );
    expect(await opened({ camera: PICTURE }, two)).toMatchObject({ inputs: 2 });
  });

  test('a machine without sound, or whose sound does not open, sends the picture alone and says why', async () => {
    const deaf: CaptureSystem = { ...made, devices: async () => (await made.devices()).slice(0, 1) };
    expect(await opened({}, deaf)).toMatchObject({ inputs: 1, told: { silence: 'there is no sound device' } });
    const alsa: CaptureSystem = {
      formats: { video: 'lavfi', audio: 'alsa' },
      devices: async () => [
        { kind: 'video', name: PICTURE, about: '' },
        { kind: 'audio', name: 'plughw:99', about: '' },
      ],
    };
    expect(await opened({}, alsa)).toMatchObject({
      inputs: 1,
      told: { silence: expect.stringContaining('there is no sound device plughw:99') },
    });
    // One that was asked for is not left out in silence.
    await expect(opened({ sound: 'plughw:98' }, alsa)).rejects.toMatchObject({
      code: 'sound-unavailable',
      message: 'there is no sound device plughw:98; there are:\n  plughw:99',
    });
  });
});

describe('a camera that cannot be opened', () => {
  const real: CaptureSystem = { ...LINUX, devices: async () => [] };
  test('is not there', async () => {
    await expect(opened({}, real)).rejects.toThrow('there is no camera: plug one in');
    await expect(opened({ camera: '/dev/video99' }, real)).rejects.toMatchObject({
      code: 'camera-unavailable',
      message: 'there is no camera /dev/video99, nor any other',
    });
  });

  test('opens and sends nothing', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-camera-'));
    const camera = join(dir, 'camera');
    execFileSync('mkfifo', [camera]);
    // Held open, so that whoever reads it waits in the kernel, as for a camera that hangs.
    const held = openSync(camera, 'r+');
    onTestFinished(() => {
      closeSync(held);
      rmSync(dir, { recursive: true });
    });
    const hung: CaptureSystem = { ...made, formats: { video: 'yuv4mpegpipe', audio: 'lavfi' } };
    const over: Clock = {
      ...systemClock,
      after(_ms, run) {
        queueMicrotask(run);
        return { cancel() {} };
      },
    };
    await expect(opened({ camera }, hung, over)).rejects.toMatchObject({
      code: 'device-lost',
      message: `camera ${camera} opens, and sends nothing within 10 s: plug it in anew, and start again`,
    });
  });

  test('is something else', async () => {
    await expect(opened({ camera: '/dev/null' }, real)).rejects.toThrow('/dev/null is no camera');
  });

  test.each([
    ['Device or resource busy', 'is busy: another program uses it'],
    ['Permission denied', 'sudo usermod -aG video'],
    ['Operation not permitted', 'sudo usermod -aG video'],
    ['No such device; Not a video capture device.', '/dev/video0 is no camera'],
    ['Input/output error', 'cannot be opened: Cannot open: Input/output error'],
  ])('%s', (reason, words) => {
    expect(deviceFault('video', '/dev/video0', `Cannot open: ${reason}`, []).message).toContain(words);
  });
});

describe('packets of several inputs', () => {
  const read = async (inputs: Demuxer[], clock: ManualClock, signal = new AbortController().signal, isLive = true) => {
    const from: number[] = [];
    for await (const { packet, at } of mergedPackets(inputs, { clock, signal, isLive })) {
      packet.free();
      from.push(at);
    }
    return from;
  };

  test('come from both, and those of files to their ends', async () => {
    await using picture = await Demuxer.open(`${PICTURE}:duration=1`, { format: 'lavfi' });
    await using sound = await Demuxer.open(`${SOUND}:duration=1`, { format: 'lavfi' });
    const from = await read([picture, sound], new ManualClock(), undefined, false);
    expect([from.filter((at) => at === 0).length, from.filter((at) => at === 1).length]).toEqual([10, 47]);
  });

  test('a device that ends was unplugged', async () => {
    await using picture = await Demuxer.open(`${PICTURE}:duration=1`, { format: 'lavfi' });
    await expect(read([picture], new ManualClock())).rejects.toMatchObject({ code: 'device-lost' });
  });

  const silent = { packets: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise(() => {}) }) }) };
  test('a device that is silent for ten seconds is lost, and one that waits ends by its signal', async () => {
    const clock = new ManualClock();
    const reading = read([silent as never], clock);
    reading.catch(() => undefined);
    clock.advance(12_000);
    await expect(reading).rejects.toThrow('has sent nothing for 10 s');

    const off = new AbortController();
    const ended = read([silent as never], clock, off.signal);
    off.abort();
    expect(await ended).toEqual([]);
  });

  test('a device is not taken for silent because nobody took what it sent', async () => {
    const clock = new ManualClock();
    await using picture = await Demuxer.open(PICTURE, { format: 'lavfi' });
    const off = new AbortController();
    let taken = 0;
    for await (const { packet } of mergedPackets([picture], { clock, signal: off.signal, isLive: true })) {
      packet.free();
      clock.advance(12_000);
      if (++taken === 3) off.abort();
    }
    expect(taken).toBe(3);
  });
});
