/**
 * What it costs that somebody looks at a channel: the server, and the process that draws thumbnails, with a page that
 * fetches one of each publisher every ten seconds and without, turn by turn.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { processesOf } from '../test/support/processes.ts';
import { coresOf, House, type Media } from './house.ts';
import { atMost, type Figure, quantile } from './measure.ts';
import { pssMbOf } from './proc.ts';

const CHANNEL = 'seen';
const USERS = 8;
const USER: Media = { width: 1280, height: 720, fps: 15, bitrateKbps: 1500 };
const LOOK_MS = 10_000;
const TURNS = 3;
const TURN_MS = 2 * LOOK_MS;
/** Until the process that draws has been started. */
const SETTLE_MS = 3_000;

export async function measureThumbnails(): Promise<Figure[]> {
  const house = new House({ AIRCHECK_RATE_LIMIT_PER_S: '0' });
  try {
    await house.server.start();
    await house.publish([CHANNEL], USERS, USER);
    const [ratios, server, drawing, sizes] = [[], [], [], []] as [number[], number[], number[], number[]];
    let memoryMb = Number.NaN;
    for (let turn = 0; turn < TURNS; turn++) {
      const alone = await coresOf([house.pid], TURN_MS);
      const off = new AbortController();
      const looking = look(house, off.signal, (bytes) => void sizes.push(bytes));
      await pause(SETTLE_MS);
      const [drawer] = processesOf(house.server.dataDir).filter(({ args }) => args.includes('thumbnails'));
      if (!drawer) throw new Error('no process draws thumbnails');
      const [served, drawn] = await Promise.all([coresOf([house.pid], TURN_MS), coresOf([drawer.pid], TURN_MS)]);
      memoryMb = pssMbOf(drawer.pid);
      off.abort();
      await looking;
      ratios.push((served + drawn) / alone);
      server.push(((served - alone) * 100) / USERS);
      drawing.push((drawn * 100) / USERS);
    }
    const told = (values: number[]) => values.map((value) => value.toFixed(3)).join(' ');
    const of = `${USERS} publishers of 720p; each ${quantile(sizes, 0.5)} bytes every ${LOOK_MS / 1000} s`;
    return [
      atMost('thumbnails: server and process, by the server without', quantile(ratios, 0.5), 1.1, '×', told(ratios)),
      atMost('thumbnails: server, each publisher', quantile(server, 0.5), 0.1, '% of a core', `${told(server)}; ${of}`),
      atMost('thumbnails: process, each publisher', quantile(drawing, 0.5), 0.3, '% of a core', told(drawing)),
      atMost('thumbnails: memory of the process', memoryMb, 90, 'MB', ''),
    ];
  } finally {
    await house.close();
  }
}

/** Fetches all, time and again, as the dashboard's page does. */
async function look(house: House, off: AbortSignal, onFetched: (bytes: number) => void): Promise<void> {
  const { url, customerId, customerSecret, appid } = house.server.running;
  const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
  while (!off.aborted) {
    for (let uid = 1; uid <= USERS; uid++) {
      const answer = await fetch(`${url}/v1/apps/${appid}/aircheck/channels/${CHANNEL}/thumbnails/${uid}`, {
        headers: { authorization },
      });
      if (!answer.ok) throw new Error(`the thumbnail of ${uid} was answered ${answer.status}`);
      onFetched((await answer.arrayBuffer()).byteLength);
    }
    await pause(LOOK_MS, undefined, { signal: off }).catch(() => {});
  }
}
