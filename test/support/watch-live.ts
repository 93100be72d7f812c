/**
 * Watches a recording while it goes on, in Chromium by hls.js from a page of another origin, and reads from each
 * picture that is shown when it was taken.
 */
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { readStampBits, STAMP_AREA, STAMP_BITS, unwrapStamp } from './media/stamp.ts';
import { servePage } from './watch-playback.ts';

const HLS_JS = join(import.meta.dirname, '../../node_modules/hls.js/dist/hls.min.js');

/** A picture that was shown: when it was shown and when taken, Unix milliseconds; and the player's time, seconds. */
export type Shown = { shownMs: number; takenMs: number; timeS: number };

/** Runs in the page: notes the blocks of the stamp of each picture. */
const page = (url: string) => `<!doctype html><video id="v" playsinline muted width="640"></video>
<script src="/hls.js"></script><script>
  window.log = { frames: [], errors: [], ended: false };
  const canvas = document.createElement('canvas');
  canvas.width = ${STAMP_BITS} * 4; canvas.height = 4;
  const draw = canvas.getContext('2d', { willReadFrequently: true });
  const look = () => {
    // The picture with its own time: a busy page is told of one when the next is there already.
    const picture = new VideoFrame(v);
    const shownMs = performance.timeOrigin + performance.now();
    const [w, h] = [picture.displayWidth, picture.displayHeight];
    draw.drawImage(picture, ${STAMP_AREA.x} * w, ${STAMP_AREA.y + STAMP_AREA.height / 4} * h, ${STAMP_AREA.width} * w,
      ${STAMP_AREA.height / 2} * h, 0, 0, canvas.width, canvas.height);
    const dots = draw.getImageData(0, 0, canvas.width, canvas.height).data;
    const bits = Array.from({ length: ${STAMP_BITS} }, (_, n) => dots[(2 * canvas.width + n * 4 + 2) * 4] > 110);
    log.frames.push({ bits, timeS: picture.timestamp / 1e6, shownMs });
    picture.close();
    v.requestVideoFrameCallback(look);
  };
  v.requestVideoFrameCallback(look);
  v.addEventListener('ended', () => { log.ended = true; });
  const hls = new Hls({ lowLatencyMode: true, maxLiveSyncPlaybackRate: 1.5, liveSyncOnStallIncrease: 0 });
  window.hls = hls;
  hls.on(Hls.Events.ERROR, (_, e) => { log.errors.push({ details: e.details, fatal: e.fatal, url: e.url || '' }); });
  hls.loadSource(${JSON.stringify(url)}); hls.attachMedia(v); v.play();
</script>`;

export class LiveView {
  readonly page: Page;
  readonly #close: () => void;

  /** @param url of the playlist */
  static async open(context: BrowserContext, url: string): Promise<LiveView> {
    const server = await servePage(page(url), () => HLS_JS);
    const view = await context.newPage();
    await view.goto(server.url, { waitUntil: 'commit' });
    // Its scripts have run: on a busy machine that is some time after the first of the page came.
    await view.waitForFunction('window.hls', undefined, { polling: 20 });
    return new LiveView(view, server.close);
  }

  private constructor(view: Page, close: () => void) {
    this.page = view;
    this.#close = close;
  }

  /** The pictures shown so far whose stamp can be read; of flashes it cannot. */
  async shown(): Promise<Shown[]> {
    const frames = (await this.page.evaluate('log.frames')) as { bits: boolean[]; timeS: number; shownMs: number }[];
    return frames.flatMap(({ bits, timeS, shownMs }) => {
      const value = readStampBits(bits);
      if (value === undefined) return [];
      return [{ shownMs, timeS, takenMs: unwrapStamp(value, shownMs * 1000) / 1000 }];
    });
  }

  /** Errors of the player: those after which it gave up, and all. */
  async errors(): Promise<{ details: string; fatal: boolean; url: string }[]> {
    return (await this.page.evaluate('log.errors')) as { details: string; fatal: boolean; url: string }[];
  }

  /** Waits for `expression` of the page to be true. */
  async until(expression: string, timeoutMs: number): Promise<void> {
    await this.page.waitForFunction(expression, undefined, { timeout: timeoutMs, polling: 100 });
  }

  async close(): Promise<void> {
    await this.page.close();
    this.#close();
  }
}

/** The middle of some numbers. */
export function medianOf(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? Number.NaN;
}
