/** `aircheck publish`: sends a file or a test picture into a channel, so that there is something to record. */

import { isChannelName } from '../../../contract/rest/body.ts';
import { isUid } from '../../../contract/rest/fields.ts';
import { pauseCommand, systemClock } from '../../../kernel/clock.ts';
import { sendMedia } from '../../../stages/sender/send-media.ts';
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
  for?: number;
};

const TELL_S = 1;
const TOO_SLOW =
  'aircheck: warning: this machine is too slow to send this in real time; a smaller --size or --fps takes less\n';

export async function publish(source: string, words: PublishWords): Promise<void> {
  const { channel, uid, loop = false } = words;
  if (!isChannelName(channel)) throw refuse(`"${shown(channel)}" is not a channel name`);
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
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, end);
  const timer = words.for === undefined ? undefined : systemClock.after(words.for * 1000, end);
  let toldS: number | undefined;
  try {
    const sentS = await sendMedia({
      source: source === 'test' ? 'test' : { file: source, loop },
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
    });
    if (process.stderr.isTTY) process.stderr.write('\n');
    if (words.json) printJson({ channel, uid, sentS });
    else process.stderr.write(`aircheck: ${sentS.toFixed(1)} s were sent\n`);
  } finally {
    timer?.cancel();
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, end);
  }
}
