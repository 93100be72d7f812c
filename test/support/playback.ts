/**
 * Plays files in Chromium as a visitor of a web page would: an MP4 of which only the beginning ever arrives, and HLS by
 * hls.js.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';
import type { BrowserContext } from 'playwright-core';

const HLS_JS = join(import.meta.dirname, '../../node_modules/hls.js/dist/hls.min.js');

export type Played = { width: number; height: number; durationS: number; reachedS: number; error: string };

const page = (script: string) =>
  `<!doctype html><video id="v" muted playsinline></video><script src="/hls.js"></script><script>${script}</script>`;

/**
 * Plays the first seconds, then, if asked, from `seekS` on. Rejects with an Error when playing does not get there in 15
 * s.
 * @param share of an MP4's bytes that are ever sent, from its beginning
 */
export async function playInBrowser(
  context: BrowserContext,
  path: string,
  { share = 1, seekS }: { share?: number; seekS?: number } = {},
): Promise<Played> {
  const name = basename(path);
  const isHls = name.endsWith('.m3u8');
  const attach = isHls
    ? `const h = new Hls(); h.on(Hls.Events.ERROR, (_, e) => { if (e.fatal) window.failed = e.details; }); h.loadSource('/${name}'); h.attachMedia(v);`
    : `v.src = '/${name}'; v.onerror = () => { window.failed = v.error.message; };`;
  const server = createServer((request, response) => {
    const wanted = decodeURIComponent((request.url ?? '/').slice(1));
    if (wanted === '') return response.setHeader('content-type', 'text/html').end(page(`${attach} v.play();`));
    if (wanted === 'hls.js') return response.setHeader('content-type', 'text/javascript').end(readFileSync(HLS_JS));
    const file = join(dirname(path), basename(wanted));
    const { size } = statSync(file, { throwIfNoEntry: false }) ?? { size: 0 };
    if (size === 0) return response.writeHead(404).end();
    response.writeHead(200, { 'content-length': size });
    // What is left out never comes, and the connection stays open.
    return createReadStream(file, { end: Math.ceil(size * share) - 1 }).pipe(response, { end: share === 1 });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const view = await context.newPage();
  try {
    await view.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`, { waitUntil: 'commit' });
    const plays = (fromS: number) =>
      view.waitForFunction(
        `window.failed || (document.getElementById('v') && v.currentTime > ${fromS + 0.5} && v.readyState >= 2)`,
        undefined,
        { timeout: 15_000 },
      );
    await plays(0);
    if (seekS !== undefined) {
      await view.evaluate(`v.currentTime = ${seekS}`);
      await plays(seekS);
    }
    return await view.evaluate(
      `({ width: v.videoWidth, height: v.videoHeight, durationS: v.duration, reachedS: v.currentTime, error: window.failed || '' })`,
    );
  } finally {
    await view.close();
    server.closeAllConnections();
    server.close();
  }
}
