/**
 * What those who watch a recording cost: a composite of 2.5 Mbit/s that goes on, by itself and watched by several, turn
 * by turn. Viewers ask as players of low-latency HLS do: for the playlist that comes next, and for every part.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type WatchReply, watchReplySchema } from '../src/contract/rest/watch.ts';
import { compositeConfig } from './cost.ts';
import { coresOf, House, type Media, recorderAtWork, stopped } from './house.ts';
import { atMost, type Figure, quantile } from './measure.ts';
import { CANVAS } from './stage.ts';

const USER: Media = { ...CANVAS, bitrateKbps: 2500 };
const BITRATE_KBPS = 2500;
const VIEWERS = 30;
const TURNS = 3;
const TURN_MS = 10_000;
/** Until viewers are in the present, and until the server is at rest again behind them. */
const SETTLE_MS = 4_000;
const WARM_UP_MS = 12_000;

export async function measureLive(): Promise<Figure[]> {
  const house = new House();
  try {
    await house.server.start();
    await house.publish(['live'], 1, USER);
    const recording = await house.record('live', 'mix', compositeConfig({ canvas: CANVAS, bitrateKbps: BITRATE_KBPS }));
    await pause(WARM_UP_MS);
    const recorder = recorderAtWork(house.pid);
    const { status, body } = await house.server.call('POST', `/aircheck/recordings/${recording.sid}/watch`);
    if (status !== 200) throw new Error(`watch answered ${status}: ${JSON.stringify(body)}`);
    const url = new URL(String((watchReplySchema.parse(body) satisfies WatchReply).url), house.server.baseUrl);
    const [server, recorders, kbps, cores] = [[], [], [], []] as [number[], number[], number[], number[]];
    const both = () => Promise.all([coresOf([house.pid], TURN_MS), coresOf([recorder], TURN_MS)]);
    for (let turn = 0; turn < TURNS; turn++) {
      await pause(SETTLE_MS);
      const alone = await both();
      const off = new AbortController();
      const viewers = Array.from({ length: VIEWERS }, () => new Viewer(url, off.signal));
      const watching = viewers.map((viewer) => viewer.watch());
      await pause(SETTLE_MS);
      const before = bytesOf(viewers);
      const watched = await both();
      kbps.push(((bytesOf(viewers) - before) * 8) / VIEWERS / TURN_MS);
      off.abort();
      await Promise.all(watching);
      cores.push(alone[0], watched[0]);
      server.push(((watched[0] - alone[0]) * 100) / VIEWERS);
      recorders.push(((watched[1] - alone[1]) * 100) / alone[1]);
    }
    await stopped(recording);
    const told = (values: number[]) => values.map((value) => value.toFixed(2)).join(' ');
    const sent = `${VIEWERS} viewers, each sent ${Math.round(quantile(kbps, 0.5))} kbit/s`;
    const name = 'who watches a recording of 2.5 Mbit/s';
    return [
      atMost(
        `${name}: server, each`,
        quantile(server, 0.5),
        3,
        '% of a core',
        `${told(server)}; ${sent}; cores of the server without and with them ${told(cores)}`,
      ),
      atMost(`${name}: recorder, all`, quantile(recorders, 0.5), 2, '% more', `${told(recorders)}; ${sent}`),
    ];
  } finally {
    await house.close();
  }
}

const bytesOf = (viewers: readonly Viewer[]) => viewers.reduce((sum, { bytes }) => sum + bytes, 0);

class Viewer {
  /** Of parts and playlists, so far. */
  bytes = 0;
  readonly #url: URL;
  readonly #off: AbortSignal;

  constructor(url: URL, off: AbortSignal) {
    this.#url = url;
    this.#off = off;
  }

  /** Watches what comes until it is told to leave. Throws an Error when the server refuses something. */
  async watch(): Promise<void> {
    const seen = new Set<string>();
    let next = new URL(this.#url);
    try {
      for (let isFirst = true; ; isFirst = false) {
        const text = (await this.#get(next)).toString();
        for (const [, part = ''] of text.matchAll(/#EXT-X-PART:.*?URI="([^"]+)"/g)) {
          if (!seen.has(part) && !isFirst) await this.#get(new URL(part, this.#url));
          seen.add(part);
        }
        const [, segment, part] = /#EXT-X-PRELOAD-HINT:.*live\/\w+\/(\d+)\.(\d+)\.ts/.exec(text) ?? [];
        if (segment === undefined) throw new Error('the playlist tells of nothing to come');
        next = new URL(this.#url);
        for (const [name, value] of [
          ['_HLS_msn', segment],
          ['_HLS_part', part],
          ['_HLS_skip', 'YES'],
        ] as const)
          next.searchParams.set(name, String(value));
      }
    } catch (error) {
      if (!this.#off.aborted) throw error;
    }
  }

  async #get(url: URL): Promise<Buffer> {
    const answer = await fetch(url, { signal: this.#off });
    if (!answer.ok) throw new Error(`${url.pathname} answered ${answer.status}`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    this.bytes += bytes.length;
    return bytes;
  }
}
