/** `aircheck publish`: sends a file, a camera or a test picture into a channel, so that something can be recorded. */

import { isChannelName } from '../../../contract/rest/body.ts';
import { CHANNEL_NAME_WORDS } from '../../../contract/rest/channel-name.ts';
import { isUid } from '../../../contract/rest/fields.ts';
import { pauseCommand, systemClock } from '../../../kernel/clock.ts';
import { type Capture, type CaptureSystem, LINUX } from '../../../stages/sender/capture.ts';
import { sendMedia } from '../../../stages/sender/send-media.ts';
import { endingForSure } from '../end-for-sure.ts';
import { printJson } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { readSize, refuse, whole } from './record-request.ts';
import { clockOf, shown } from './words.ts';

export type PublishWords = AccessWords & {
  channel: string;
  uid: string;
  token?: string;
  size: string;
  fps: string;
  bitrate: string;
  loop?: boolean;
  device?: string;
  sound?: string;
  for?: number;
};

type Opened = Parameters<NonNullable<Capture['onOpened']>>[0];

const TELL_S = 1;
const TOO_SLOW =
  'aircheck: warning: this machine is too slow to send this in real time; a smaller --size or --fps takes less\n';

/** @param system how a camera and a microphone are read */
export async function publish(source: string, words: PublishWords, system: CaptureSystem = LINUX): Promise<void> {
  const { channel, uid, loop = false } = words;
  checkCameraWords(source, words);
  if (!isChannelName(channel)) throw refuse(`"${shown(channel)}" is not a channel name: ${CHANNEL_NAME_WORDS}`);
  if (!isUid(uid)) throw refuse(`--uid is ${uid}; it is a whole number from 1 to 4294967295`);
  const { width, height } = readSize(words.size);
  const picture = {
    ...{ width, height, fps: whole('--fps', words.fps, 1, 60) },
    bitrateKbps: whole('--bitrate', words.bitrate, 50, 20_000),
  };
  const access = openAccess(words);
  // FFmpeg’s client says little of a refusal: what can be known before is asked for in words.
  const { participants } = await explaining(() => access.client.channel(channel));
  if (participants.some((one) => one.uid === uid))
    throw refuse(`user ${uid} is in the channel already; give another --uid`);
  const stop = new AbortController();
  const end = () => stop.abort();
  // A second one ends the process at once.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, end);
  const timer = words.for === undefined ? undefined : systemClock.after(words.for * 1000, end);
  let toldS: number | undefined;
  let opened: Opened | undefined;
  const capture: Capture = {
    ...{ system, camera: words.device, sound: words.sound },
    onOpened: (devices) => {
      opened = devices;
      tellOpened(devices);
    },
  };
  try {
    const sending: Parameters<typeof sendMedia>[0] = {
      source: source === 'test' ? 'test' : source === 'camera' ? { capture } : { file: source, loop },
      url: `${access.url}/whip/${access.appid}/${encodeURIComponent(channel)}?uid=${uid}`,
      token: words.token ?? access.tokenFor(channel, uid),
      ...{ picture, clock: systemClock, pause: pauseCommand, signal: stop.signal },
      onSent: (atS) => {
        if (toldS === undefined)
          process.stderr.write(`aircheck: user ${uid} publishes in ${shown(channel)}; Ctrl-C ends it\n`);
        else if (atS - toldS < TELL_S) return;
        toldS = atS;
        if (process.stderr.isTTY) process.stderr.write(`\r${clockOf(atS * 1000)} `);
      },
      onLate: () => process.stderr.write(TOO_SLOW),
    };
    const sentS = await endingForSure(stop.signal, () => sendMedia(sending));
    if (process.stderr.isTTY) process.stderr.write('\n');
    const devices = opened && { camera: opened.camera, sound: opened.sound ?? null };
    if (words.json) printJson({ channel, uid, sentS, ...devices });
    else process.stderr.write(`aircheck: ${sentS.toFixed(1)} s were sent\n`);
  } finally {
    timer?.cancel();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  }
}

function checkCameraWords(source: string, { device, sound, loop }: PublishWords): void {
  if (source === 'camera' && loop) throw refuse('--loop is of a file; a camera goes on until it is ended');
  if (source !== 'camera' && (device !== undefined || sound !== undefined))
    throw refuse(`--${device !== undefined ? 'device' : 'sound'} is of \`aircheck publish camera\` alone`);
}

function tellOpened({ camera, sound, silence }: Opened): void {
  process.stderr.write(
    `aircheck: camera ${shown(camera)}, ${sound === undefined ? 'no sound' : `sound ${shown(sound)}`}\n`,
  );
  if (silence !== undefined)
    process.stderr.write(`aircheck: warning: the picture is sent alone: ${silence}. --sound names a device, or none\n`);
}
