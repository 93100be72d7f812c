/**
 * Watches made media play in Chromium from beginning to end, HLS by hls.js and DASH by dash.js, and notes where and
 * when each flash is seen and each beep heard, where the player jumped and where it waited.
 */
import { readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { BrowserContext } from 'playwright-core';

const MODULES = join(import.meta.dirname, '../../node_modules');
const SCRIPTS: Record<string, string> = {
  'hls.js': join(MODULES, 'hls.js/dist/hls.min.js'),
  'dash.js': join(MODULES, 'dashjs/dist/modern/umd/dash.all.min.js'),
};
const TYPES: Record<string, string> = {
  ...{ js: 'text/javascript', mjs: 'text/javascript' },
  ...{ ts: 'video/mp2t', webm: 'video/webm', m4s: 'audio/mp4', mp4: 'video/mp4' },
};

/** Something seen or heard: at which second of the player's own timeline, and when, in seconds since the page began. */
type Mark = { timeS: number; seenS: number };

export type PlaybackLog = {
  flashes: Mark[];
  beeps: Mark[];
  /** Where the player left its timeline's course. */
  jumps: { fromS: number; toS: number }[];
  /** How long nothing moved though it should have, each over 0.4 s. */
  waits: { atS: number; lastedS: number }[];
  sizes: string[];
  durationS: number;
  reachedS: number;
  error: string;
};

/**
 * Runs in a page: plays the sound of a media element, and calls `heard` with each block of its samples and when it is
 * heard, in seconds since the page began.
 */
export const LISTENING = `
  const now = () => performance.now() / 1000;
  const sound = new AudioContext({ sampleRate: 48000 });
  function listenTo(element, heard) {
    const ear = sound.createScriptProcessor(256, 1, 1);
    // Blocks that a busy page is handed late belong where those belong that it was handed in time.
    const lags = [];
    ear.onaudioprocess = ({ inputBuffer, playbackTime }) => {
      lags.push(now() - playbackTime);
      if (lags.length > 400) lags.shift();
      heard(inputBuffer.getChannelData(0), playbackTime + Math.min(...lags));
    };
    sound.createMediaElementSource(element).connect(ear).connect(sound.destination);
    sound.resume();
  }
`;

/** Runs in the page; `v` is the video element. */
const WATCH = `${LISTENING}
  const log = { flashes: [], beeps: [], jumps: [], waits: [], sizes: [], durationS: 0, reachedS: 0, error: '' };
  window.log = log;
  const canvas = document.createElement('canvas');
  canvas.width = 8; canvas.height = 8;
  const draw = canvas.getContext('2d', { willReadFrequently: true });
  let white = true;
  const look = (_, frame) => {
    draw.drawImage(v, 0, 0, 8, 8);
    const points = draw.getImageData(0, 0, 8, 8).data;
    let least = 255;
    for (let i = 0; i < points.length; i += 4) least = Math.min(least, points[i], points[i + 1], points[i + 2]);
    const isWhite = least > 200;
    if (isWhite && !white) log.flashes.push({ timeS: frame.mediaTime, seenS: frame.expectedDisplayTime / 1000 });
    white = isWhite;
    const size = frame.width + 'x' + frame.height;
    if (!log.sizes.includes(size)) log.sizes.push(size);
    v.requestVideoFrameCallback(look);
  };
  v.requestVideoFrameCallback(look);
  let quietS = 1;
  listenTo(v, (samples, seenS) => {
    let peak = 0;
    for (const s of samples) peak = Math.max(peak, Math.abs(s));
    const loud = peak > 0.1;
    if (loud && quietS > 0.3) log.beeps.push({ timeS: v.currentTime - (now() - seenS), seenS });
    quietS = loud ? 0 : quietS + samples.length / 48000;
  });
  let last = { timeS: 0, atS: now() };
  setInterval(() => {
    const timeS = v.currentTime, atS = now();
    log.durationS = v.duration; log.reachedS = timeS;
    if (v.paused || v.ended || timeS === 0) { last = { timeS, atS }; return; }
    if (Math.abs(timeS - last.timeS - (atS - last.atS)) > 0.4) {
      const moved = timeS - last.timeS;
      if (moved > atS - last.atS || moved < 0) { log.jumps.push({ fromS: last.timeS, toS: timeS }); last = { timeS, atS }; }
    }
    if (timeS !== last.timeS) {
      if (atS - last.atS > 0.4) log.waits.push({ atS: last.timeS, lastedS: atS - last.atS });
      last = { timeS, atS };
    }
  }, 50);
  v.addEventListener('ended', () => { log.ended = true; });
  v.addEventListener('error', () => { log.error = 'video: ' + v.error.message; });
`;

const HLS = (name: string) => `
  const h = new Hls();
  h.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) log.error = 'hls.js: ' + e.details; });
  h.loadSource('/${name}'); h.attachMedia(v); v.play();`;

const DASH = (name: string) => `
  const d = dashjs.MediaPlayer().create();
  d.on('error', (e) => { log.error = 'dash.js: ' + JSON.stringify(e.error); });
  d.initialize(v, '/${name}', true);
  d.on('playbackEnded', (e) => { if (e.isLast) log.ended = true; });
  window.d = d;`;

/**
 * Serves a page, and beside it files, or parts of them.
 * @param fileOf where the file of a name lies
 */
export async function servePage(
  page: string,
  fileOf: (name: string) => string,
): Promise<{ url: string; close(): void }> {
  const server = createServer((request, response) => {
    const wanted = basename(decodeURIComponent((request.url ?? '/').split('?')[0]!));
    if (wanted === '') return response.setHeader('content-type', 'text/html').end(page);
    const file = fileOf(wanted);
    if (!statSync(file, { throwIfNoEntry: false })) return response.writeHead(404).end();
    const type = TYPES[wanted.split('.').at(-1)!] ?? 'text/plain';
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const bytes = readFileSync(file);
    response.setHeader('content-type', type);
    if (!range) return response.end(bytes);
    const [from, to] = [Number(range[1]), range[2] ? Number(range[2]) : bytes.length - 1];
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${bytes.length}` });
    return response.end(bytes.subarray(from, to + 1));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}

/**
 * Plays the playlist or MPD at `path`, whose slices lie beside it, until it ends.
 * Rejects with an Error when that takes longer than `timeoutS`.
 */
export async function watchPlayback(context: BrowserContext, path: string, timeoutS = 120): Promise<PlaybackLog> {
  const name = basename(path);
  const isHls = name.endsWith('.m3u8');
  const script = isHls ? 'hls.js' : 'dash.js';
  const page = `<!doctype html><video id="v" playsinline></video><script src="/${script}"></script><script>${WATCH}${
    isHls ? HLS(name) : DASH(name)
  }</script>`;
  const server = await servePage(page, (wanted) => SCRIPTS[wanted] ?? join(dirname(path), wanted));
  const view = await context.newPage();
  try {
    await view.goto(server.url, { waitUntil: 'commit' });
    await view
      .waitForFunction('window.log && (log.ended || log.error)', undefined, { timeout: timeoutS * 1000, polling: 200 })
      .catch(() => undefined);
    const log = (await view.evaluate('log')) as PlaybackLog & { ended?: boolean };
    if (!log.ended && !log.error) log.error = `not at its end after ${timeoutS} s`;
    return log;
  } finally {
    await view.close();
    server.close();
  }
}

/** Of each flash that has a beep within half a second: its time on the player's timeline, and beep minus flash. */
export function playedOffsets({ flashes, beeps }: PlaybackLog): { timeS: number; ms: number }[] {
  return flashes.flatMap((flash) => {
    const near = beeps.filter((beep) => Math.abs(beep.seenS - flash.seenS) < 0.5);
    return near.map((beep) => ({ timeS: flash.timeS, ms: (beep.seenS - flash.seenS) * 1000 }));
  });
}
