/**
 * Plays files in Chromium: each by a video element, as a visitor of a page sees it, and by mediabunny, which reads the
 * file itself and decodes by WebCodecs.
 */
import { basename, join } from 'node:path';
import type { BrowserContext } from 'playwright-core';
import { LISTENING, servePage } from '../watch-playback.ts';
import type { Played } from './played.ts';

const MEDIABUNNY = join(import.meta.dirname, '../../../node_modules/mediabunny/dist/bundles/mediabunny.min.mjs');
/** How long files may play. */
const TIMEOUT_MS = 30_000;

/** Runs in the page. */
const SCRIPT = (names: readonly string[]) => `${LISTENING}
  import * as mediabunny from '/mediabunny.mjs';

  function watching() {
    const log = { size: { width: 0, height: 0 }, corners: [], flashes: [], beeps: [] };
    const canvas = Object.assign(document.createElement('canvas'), { width: 16, height: 16 });
    const draw = canvas.getContext('2d', { willReadFrequently: true });
    let isWhite = true;
    let loudS = -1;
    return {
      log,
      see(source, atS) {
        draw.drawImage(source, 0, 0, 16, 16);
        const points = draw.getImageData(0, 0, 16, 16).data;
        const corners = [0, 15, 240, 255].map((n) => {
          const [r, g, b] = points.subarray(4 * n);
          return { r, g, b };
        });
        const wasWhite = isWhite;
        isWhite = corners.every(({ r, g, b }) => Math.min(r, g, b) > 190);
        if (isWhite && !wasWhite) log.flashes.push(atS);
        if (!isWhite) log.corners = corners;
      },
      hear(samples, fromS, rate) {
        for (let n = 0; n < samples.length; n++) {
          if (Math.abs(samples[n]) < 0.1) continue;
          const atS = fromS + n / rate;
          if (atS - loudS > 0.3) log.beeps.push(atS);
          loudS = atS;
        }
      },
    };
  }

  async function byElement(name) {
    const { log, see } = watching();
    const video = Object.assign(document.createElement('video'), { src: '/' + name, playsInline: true, width: 200 });
    document.body.append(video);
    const look = () => {
      const picture = new VideoFrame(video);
      see(picture, picture.timestamp / 1e6);
      picture.close();
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
    const heard = await listenTo(video);
    const ended = new Promise((resolve, reject) => {
      video.onended = resolve;
      video.onerror = () => reject(new Error(name + ': ' + video.error.message));
    });
    await video.play();
    await ended;
    log.beeps = heard();
    log.size = { width: video.videoWidth, height: video.videoHeight };
    return log;
  }

  async function byMediabunny(name) {
    const { log, see, hear } = watching();
    const source = new mediabunny.BlobSource(await (await fetch('/' + name)).blob());
    const input = new mediabunny.Input({ source, formats: mediabunny.ALL_FORMATS });
    const pictures = new mediabunny.CanvasSink(await input.getPrimaryVideoTrack(), { poolSize: 2 });
    for await (const { canvas, timestamp } of pictures.canvases()) {
      log.size = { width: canvas.width, height: canvas.height };
      see(canvas, timestamp);
    }
    const sounds = new mediabunny.AudioBufferSink(await input.getPrimaryAudioTrack());
    for await (const { buffer, timestamp } of sounds.buffers())
      hear(buffer.getChannelData(0), timestamp, buffer.sampleRate);
    return log;
  }

  async function play(names) {
    const mediabunny = [];
    for (const name of names) mediabunny.push(await byMediabunny(name));
    return { video: await Promise.all(names.map(byElement)), mediabunny };
  }
  play(${JSON.stringify(names)}).then(
    (played) => { window.played = played; },
    (error) => { window.played = { error: String(error) }; },
  );
`;

type AllPlayed = { video: Played[]; mediabunny: Played[] };

/**
 * What both make of each file. Rejects with an Error when one does not play to its end.
 */
export async function playInChromium(context: BrowserContext, paths: readonly string[]): Promise<AllPlayed> {
  const script = SCRIPT(paths.map((path) => basename(path)));
  const page = `<!doctype html><body></body><script type="module">${script}</script>`;
  const files = new Map([
    ['mediabunny.mjs', MEDIABUNNY],
    ...paths.map((path): [string, string] => [basename(path), path]),
  ]);
  const server = await servePage(page, (name) => files.get(name) ?? name);
  const view = await context.newPage();
  try {
    await view.goto(server.url, { waitUntil: 'commit' });
    const handle = await view.waitForFunction('window.played', undefined, { timeout: TIMEOUT_MS, polling: 100 });
    const played = (await handle.jsonValue()) as AllPlayed | { error: string };
    if ('error' in played) throw new Error(played.error);
    return played;
  } finally {
    await view.close();
    server.close();
  }
}
