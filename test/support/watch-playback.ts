/**
 * Watches made media play in Chromium from beginning to end, HLS by hls.js and DASH by dash.js, and notes where
 * each flash is seen and each beep heard, where the player jumped and where it waited.
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

/** Something seen or heard at this second of the player's own timeline. */
type Mark = { timeS: number };

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
 * Runs in a page: hears each beep that a media element plays, and tells its second on the element's own timeline.
 * A busy machine hands sound and answers over late, so both are taken where that does not show: a beep from the thread
 * that renders the sound, by the count of its samples, and the element's time there as the middle of many readings.
 */
export const LISTENING = `
  const EAR = 'registerProcessor("ear", class extends AudioWorkletProcessor {' +
    'loudS = -1;' +
    'process([[samples]]) {' +
    '  for (let n = 0; n < (samples?.length ?? 0); n++) {' +
    '    if (Math.abs(samples[n]) < 0.1) continue;' +
    '    const atS = currentTime + n / sampleRate;' +
    '    if (atS - this.loudS > 0.3) this.port.postMessage(atS);' +
    '    this.loudS = atS;' +
    '  }' +
    '  return true;' +
    '} })';
  const sound = new AudioContext({ sampleRate: 48000 });
  const earReady = sound.audioWorklet.addModule(URL.createObjectURL(new Blob([EAR], { type: 'text/javascript' })));
  /** The seconds that are asked for are those of all beeps until then. */
  async function listenTo(element) {
    await earReady;
    const ear = new AudioWorkletNode(sound, 'ear', { channelCount: 1, channelCountMode: 'explicit' });
    const heard = [], readings = [];
    ear.port.onmessage = ({ data }) => heard.push(data);
    sound.createMediaElementSource(element).connect(ear).connect(sound.destination);
    setInterval(() => {
      if (element.paused || element.ended || element.currentTime === 0) return;
      readings.push({ atS: sound.currentTime, aheadS: element.currentTime - sound.currentTime });
    }, 20);
    await sound.resume();
    return () => heard.map((atS) => {
      const near = readings.filter((reading) => Math.abs(reading.atS - atS) < 1).map(({ aheadS }) => aheadS);
      return atS + near.sort((a, b) => a - b)[near.length >> 1];
    });
  }
`;

/** Runs in the page; `v` is the video element, and `begin` has it play. */
const WATCH = (begin: string) => `${LISTENING}
  const now = () => performance.now() / 1000;
  const log = { flashes: [], jumps: [], waits: [], sizes: [], durationS: 0, reachedS: 0, error: '' };
  window.log = log;
  const canvas = document.createElement('canvas');
  canvas.width = 8; canvas.height = 8;
  const draw = canvas.getContext('2d', { willReadFrequently: true });
  let white = true;
  const look = (_, { width, height }) => {
    // The picture with its own time: a busy page is told of one when the next is there already.
    const picture = new VideoFrame(v);
    draw.drawImage(picture, 0, 0, 8, 8);
    const points = draw.getImageData(0, 0, 8, 8).data;
    let least = 255;
    for (let i = 0; i < points.length; i += 4) least = Math.min(least, points[i], points[i + 1], points[i + 2]);
    const isWhite = least > 200;
    if (isWhite && !white) log.flashes.push({ timeS: picture.timestamp / 1e6 });
    picture.close();
    white = isWhite;
    const size = width + 'x' + height;
    if (!log.sizes.includes(size)) log.sizes.push(size);
    v.requestVideoFrameCallback(look);
  };
  v.requestVideoFrameCallback(look);
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
  const begin = () => { ${begin} };
  listenTo(v).then((heard) => { window.heard = heard; begin(); }, (error) => { log.error = String(error); });
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
  const page = `<!doctype html><video id="v" playsinline></video><script src="/${script}"></script><script>${WATCH(
    isHls ? HLS(name) : DASH(name),
  )}</script>`;
  const server = await servePage(page, (wanted) => SCRIPTS[wanted] ?? join(dirname(path), wanted));
  const view = await context.newPage();
  try {
    await view.goto(server.url, { waitUntil: 'commit' });
    await view
      .waitForFunction('window.log && (log.ended || log.error)', undefined, { timeout: timeoutS * 1000, polling: 200 })
      .catch(() => undefined);
    const log = (await view.evaluate(
      '({ ...log, beeps: window.heard ? heard().map((timeS) => ({ timeS })) : [] })',
    )) as PlaybackLog & { ended?: boolean };
    if (!log.ended && !log.error) log.error = `not at its end after ${timeoutS} s`;
    return log;
  } finally {
    await view.close();
    server.close();
  }
}

/** Of each flash that has a beep within half a second of it: its time, and beep minus flash. */
export function playedOffsets({ flashes, beeps }: PlaybackLog): { timeS: number; ms: number }[] {
  return flashes.flatMap(({ timeS }) => {
    const near = beeps.filter((beep) => Math.abs(beep.timeS - timeS) < 0.5);
    return near.map((beep) => ({ timeS, ms: (beep.timeS - timeS) * 1000 }));
  });
}
