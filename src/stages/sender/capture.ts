/**
 * Cameras and microphones of a Linux machine, read by FFmpeg's own input devices (V4L2 and ALSA), and what to do where
 * one cannot be opened. Both are read with times of the wall clock, so that sound and picture keep their offset.
 */
import { readdirSync } from 'node:fs';
import { Demuxer } from 'node-av/api';
import { Device } from 'node-av/lib';
import { type Clock, within } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { MediaKind } from '../../media/track.ts';

type CaptureDevice = { kind: MediaKind; name: string; about: string };

/** How devices are read: FFmpeg's input formats, and what there is. */
export type CaptureSystem = {
  formats: Record<MediaKind, string>;
  devices(): Promise<CaptureDevice[]>;
};

export type Capture = {
  system: CaptureSystem;
  /** A camera, as `/dev/video0`; the only one when undefined. */
  camera: string | undefined;
  /** A device of ALSA, as `plughw:1`; `none` for none; the usual one, where that opens, when undefined. */
  sound: string | undefined;
  /** Told once when all is open; `silence` is why there is no sound. */
  onOpened?: (opened: { camera: string; sound: string | undefined; silence: string | undefined }) => void;
};

/** What a camera is asked for; it sends what is nearest to that. */
type Wanted = { width: number; height: number; fps: number };

/** Why FFmpeg failed is in its log alone, for ALSA. Hands over what was logged since the last time. */
type TakeSaid = () => string[];

/** FFmpeg waits for the first of what a device sends as it opens it. */
const OPEN_LIMIT_MS = 10_000;
const NO_SOUND = 'none';
const USUAL_SOUND = 'default';

export const LINUX: CaptureSystem = {
  formats: { video: 'v4l2', audio: 'alsa' },
  async devices() {
    if (process.platform !== 'linux')
      throw new Fault(
        'camera-unavailable',
        'cameras are read on Linux alone; open /publish of the server in a browser instead',
        { blame: 'caller' },
      );
    const found: CaptureDevice[] = [];
    for (const { type, name, description } of await Device.list())
      if (type !== 'screen')
        found.push({ kind: type, name: type === 'audio' ? name.replace(/^hw:/, 'plughw:') : name, about: description });
    // What may not be opened cannot say what it is; trying it tells why.
    const nodes = readdirSync('/dev').filter((name) => /^video\d+$/.test(name));
    if (!found.some(({ kind }) => kind === 'video'))
      found.push(...nodes.slice(0, 1).map((name) => ({ kind: 'video' as const, name: `/dev/${name}`, about: '' })));
    return found;
  },
};

/** Opens the camera, and the sound where there is any: an input each. Throws a Fault that says what to do. */
export async function openCapture(
  capture: Capture,
  wanted: Wanted,
  { said, clock }: { said: TakeSaid; clock: Clock },
): Promise<Demuxer[]> {
  const { system, sound, onOpened } = capture;
  const devices = await system.devices();
  const camera = capture.camera ?? onlyCamera(devices);
  const picture = await openDevice('video', camera, { system, devices, said, clock, attempts: cameraAttempts(wanted) });
  if (sound === NO_SOUND) {
    onOpened?.({ camera, sound: undefined, silence: undefined });
    return [picture];
  }
  const heard = devices.filter(({ kind }) => kind === 'audio').map(({ name }) => name);
  const candidates = sound !== undefined ? [sound] : heard.length > 0 ? [...new Set([USUAL_SOUND, ...heard])] : [];
  let failure: unknown = 'there is no sound device';
  for (const name of candidates) {
    try {
      const input = await openDevice('audio', name, { system, devices, said, clock, attempts: SOUND_ATTEMPTS });
      onOpened?.({ camera, sound: name, silence: undefined });
      return [picture, input];
    } catch (error) {
      failure = error;
    }
  }
  if (sound !== undefined) {
    await picture.close();
    throw failure;
  }
  onOpened?.({ camera, sound: undefined, silence: messageOf(failure) });
  return [picture];
}

function onlyCamera(devices: readonly CaptureDevice[]): string {
  const cameras = devices.filter(({ kind }) => kind === 'video');
  const [only] = cameras;
  if (only && cameras.length === 1) return only.name;
  throw new Fault(
    'camera-unavailable',
    only
      ? `there are several cameras; name one with --device:${linesOf(cameras)}`
      : 'there is no camera: plug one in; a container is given one with `docker run --device /dev/video0`',
    { blame: 'caller' },
  );
}

/** JPEG first: raw pictures come over USB a few times a second. Drivers refuse what they do not have. */
function cameraAttempts({ width, height, fps }: Wanted): Record<string, string>[] {
  const times = { timestamps: 'abs' };
  const size = { ...times, video_size: `${width}x${height}`, framerate: String(fps) };
  return [{ ...size, input_format: 'mjpeg' }, size, times];
}
const SOUND_ATTEMPTS: Record<string, string>[] = [2, 1].map((channels) => ({
  sample_rate: '48000',
  channels: String(channels),
}));

type Opening = {
  system: CaptureSystem;
  devices: readonly CaptureDevice[];
  said: TakeSaid;
  clock: Clock;
  attempts: readonly Record<string, string>[];
};

async function openDevice(kind: MediaKind, name: string, { system, devices, said, clock, attempts }: Opening) {
  let why = '';
  for (const options of attempts) {
    said();
    try {
      // Its times are the devices' own: nothing is to be put right in them.
      const opening = Demuxer.open(name, { format: system.formats[kind], copyTs: true, options });
      // One that hangs keeps the thread that waits for it; nothing can take that back.
      return await within(clock, OPEN_LIMIT_MS, opening, () => hanging(kind, name));
    } catch (error) {
      if (error instanceof Fault) throw error;
      why = [messageOf(error), ...new Set(said())].join('; ');
    }
    // No other options help against these.
    if (reasonOf(why) !== 'other') break;
  }
  throw deviceFault(kind, name, why, devices);
}

function hanging(kind: MediaKind, name: string): Fault {
  const what = kind === 'video' ? 'camera' : 'sound device';
  const words = `${what} ${name} opens, and sends nothing within 10 s: plug it in anew, and start again`;
  return new Fault('device-lost', words, { blame: 'caller' });
}

const REASONS = {
  busy: /resource busy/i,
  forbidden: /permission denied|not permitted/i,
  // Of the second node of a camera, which has no pictures, FFmpeg says both this and that there is no such device.
  strange: /inappropriate ioctl|not a video capture device|not a capture device/i,
  missing: /no such (file|device)|invalid card|unknown pcm/i,
};

function reasonOf(why: string): keyof typeof REASONS | 'other' {
  const found = Object.entries(REASONS).find(([, pattern]) => pattern.test(why));
  return (found?.[0] as keyof typeof REASONS | undefined) ?? 'other';
}

/** @param why what FFmpeg said, in any number of sentences */
export function deviceFault(kind: MediaKind, name: string, why: string, devices: readonly CaptureDevice[]): Fault {
  const [what, group] = kind === 'video' ? ['camera', 'video'] : ['sound device', 'audio'];
  const others = devices.filter((each) => each.kind === kind && each.name !== name);
  const there = others.length > 0 ? `; there are:${linesOf(others)}` : ', nor any other';
  const words = {
    busy: `${what} ${name} is busy: another program uses it; end that one, \`fuser -v /dev/${kind === 'video' ? 'video' : 'snd/'}*\` names it`,
    forbidden: `this user may not open ${what} ${name}: \`sudo usermod -aG ${group} $USER\`, then sign in anew`,
    missing: `there is no ${what} ${name}${there}`,
    strange: `${name} is no ${what}`,
    other: `${what} ${name} cannot be opened: ${why}`,
  };
  return new Fault(`${kind === 'video' ? 'camera' : 'sound'}-unavailable`, words[reasonOf(why)], { blame: 'caller' });
}

function linesOf(devices: readonly CaptureDevice[]): string {
  return devices.map(({ name, about }) => `\n  ${name}${about === '' ? '' : `  ${about}`}`).join('');
}
