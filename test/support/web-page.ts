/**
 * Pages for recordings of web pages, served on the loopback, and what of them is read off a picture again: a counter of
 * their own frames, a bar that flashes with each beep, and a frame around everything.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readMedia, type ShownPicture } from './judge/read-media.ts';

export const PAGE = { width: 640, height: 360 } as const;
/** The bar that flashes, in pixels, and as fractions of the picture. */
const BAR = { x: 40, y: 200, width: 560, height: 100 } as const;
export const FLASH = { x: 40 / 640, y: 200 / 360, width: 560 / 640, height: 100 / 360 } as const;
export const BEEP_HZ = 3000;
const BITS = 20;
const CELL = { x: 40, y: 60, width: 28, height: 40 } as const;
/** Luma of the frame around the page: red, in the limited range of BT.601. */
const EDGE_LUMA = 81;

/** Flashes and beeps come each `everyS` seconds, the first after one. */
const counterPage = (
  everyS: number,
) => `<!doctype html><body style="margin:0;overflow:hidden"><canvas width=640 height=360 style="display:block">
</canvas><script>
const pen = document.querySelector('canvas').getContext('2d'), sound = new AudioContext();
const paint = (color, ...rect) => { pen.fillStyle = color; pen.fillRect(...rect); };
let frame = 0, beep = 1;
(function draw() {
  frame++;
  for (; beep < sound.currentTime + 0.3; beep += ${everyS}) {
    const tone = sound.createOscillator(), gain = sound.createGain();
    tone.frequency.value = ${BEEP_HZ}; gain.gain.value = 0.5;
    tone.connect(gain).connect(sound.destination); tone.start(beep); tone.stop(beep + 0.05);
  }
  const heard = sound.getOutputTimestamp().contextTime;
  paint('#f00', 0, 0, 640, 360); paint('#225', 2, 2, 636, 356);
  for (let bit = 0; bit < ${BITS}; bit++)
    paint((frame >> bit) & 1 ? '#fff' : '#000', ${CELL.x} + bit * ${CELL.width}, ${CELL.y}, ${CELL.width}, ${CELL.height});
  const flashes = heard >= 1 && (heard - 1) % ${everyS} < 0.1;
  paint(flashes ? '#fff' : '#000', ${BAR.x}, ${BAR.y}, ${BAR.width}, ${BAR.height});
  requestAnimationFrame(draw);
})();
</script>`;
const COUNTER = counterPage(1);
/**
 * Each flash falls elsewhere between two pictures than the one before, by the golden section of a picture: with one
 * each second all would fall where the first happened to, and their median would tell of that by up to half a picture.
 */
export const MOVING_BEEPS_S = 1 + 0.382 / 30;

/**
 * The counter page `scale` times as large, in which discs move all over, and which tells its frames of each second to
 * `/rate?fps=`, and to `/late?ms=` how long after its beep was heard it drew each flash, which waits for the page's
 * next frame. It says that it is ready after so many seconds.
 */
export function movingPage(scale: number, readyAfterS: number): string {
  return counterPage(MOVING_BEEPS_S)
    .replace('width=640 height=360', `width=${640 * scale} height=${360 * scale}`)
    .replace('let frame = 0', `pen.scale(${scale}, ${scale}); let frame = 0, flashed = false`)
    .replace(
      'requestAnimationFrame(draw)',
      `for (let disc = 0; disc < 30; disc++) {
    const [x, y] = [20 + (disc * 97 + frame * 3) % 600, 320 + (disc * 13 + frame) % 30];
    pen.beginPath(); pen.arc(x, y, 8, 0, 7); pen.fillStyle = 'hsl(' + disc * 12 + ' 80% 60%)'; pen.fill();
  }
  if (flashes && !flashed) {
    const { contextTime, performanceTime } = sound.getOutputTimestamp();
    const heardS = contextTime + (document.timeline.currentTime - performanceTime) / 1000;
    fetch('/late?ms=' + ((heardS - 0.5) % ${MOVING_BEEPS_S} - 0.5) * 1000).catch(() => {});
  }
  flashed = flashes;
  requestAnimationFrame(draw)`,
    )
    .replace(
      '</script>',
      `let before = 0;
  setInterval(() => { fetch('/rate?fps=' + (frame - before)).catch(() => {}); before = frame; }, 1000);
  setTimeout(() => navigator.notifyReady(), ${readyAfterS * 1000});
  </script>`,
    );
}

/** Where a button for choosing files is, in pixels: the page's own, and that of a frame of another site. */
export const CHOOSERS = { own: { x: 340, y: 330 }, foreign: { x: 480, y: 330 } } as const;
const chooserAt = (x: number, y: number) =>
  `<input type=file style="position:fixed;left:${x - 50}px;top:${y - 10}px;width:100px;height:20px">`;
/** What the page that opens all, and its frame of another site, put on the console when they have. */
export const ALL_OPENED = 'all was opened';
/** What the frame of another site opens. */
const FOREIGN = `<!doctype html><body style="margin:0">${chooserAt(50, 10)}<script>
const open = () => {
  alert('a'); document.execCommand('print');
  navigator.mediaDevices.getDisplayMedia().catch(() => {});
};
open();
const opening = setInterval(open, 400);
setTimeout(() => { clearInterval(opening); console.error('${ALL_OPENED}'); }, 2000);
</script>`;
const PDF =
  '%PDF-1.4\n1 0 obj <</Type/Catalog/Pages 2 0 R>> endobj\n2 0 obj <</Type/Pages/Kids[]/Count 0>> endobj\n%%EOF';

/**
 * A page that opens all that a browser would draw over it, again and again, from a frame of its own too, for two
 * seconds. What it opens as a window has none of the counter's edges. It has a frame with a PDF document, and one of
 * the site that its address names after `?`.
 */
const DIALOGS = COUNTER.replace(
  '</script>',
  `
  const inner = document.body.appendChild(document.createElement('iframe'));
  const link = Object.assign(document.createElement('a'), { href: '/download', download: 'x.bin' });
  const other = Object.assign(document.createElement('a'), { href: '/missing', target: '_blank' });
  document.body.append(link, other);
  const open = () => {
    alert('a'); confirm('b'); prompt('c'); print();
    inner.contentWindow.alert('d'); inner.contentWindow.print(); document.execCommand('print');
    Notification.requestPermission(); navigator.geolocation.getCurrentPosition(() => {});
    navigator.mediaDevices.getDisplayMedia().catch(() => {});
    window.open('/missing'); other.click(); link.click();
    navigator.credentials.get({ publicKey: { challenge: new Uint8Array(16) } }).catch(() => {});
    delete navigator.mediaDevices.getDisplayMedia; navigator.mediaDevices.getDisplayMedia().catch(() => {});
    fetch('/login');
  };
  const framed = (src, style) => document.body.append(Object.assign(document.createElement('iframe'),
    { src, allow: 'display-capture', style: 'position:fixed;top:320px;height:20px;border:0;' + style }));
  framed('/document', 'left:40px;width:200px');
  framed(location.search.slice(1) + '/foreign', 'left:${CHOOSERS.foreign.x - 50}px;width:100px');
  open();
  const opening = setInterval(open, 400);
  setTimeout(() => { clearInterval(opening); console.error('${ALL_OPENED}'); }, 2000);
</script>${chooserAt(CHOOSERS.own.x, CHOOSERS.own.y)}`,
);

/** @param path with what follows its question mark */
type Answer = (response: ServerResponse, path: string) => void;
const html =
  (status: number, text: string): Answer =>
  (response) =>
    response.writeHead(status, { 'content-type': 'text/html' }).end(text);
const PATHS: Record<string, Answer> = {
  '/counter': html(200, COUNTER),
  '/dialogs': html(200, DIALOGS),
  '/ready': html(200, COUNTER.replace('frame++;', 'if (++frame === 30) navigator.notifyReady();')),
  '/foreign': html(200, FOREIGN),
  '/document': (response) => response.writeHead(200, { 'content-type': 'application/pdf' }).end(PDF),
  '/missing': html(404, '<h1>Not Found</h1>'),
  '/broken': html(500, ''),
  '/loop': (response) => response.writeHead(302, { location: '/loop' }).end(),
  '/login': (response) => response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end(),
  '/download': (response) =>
    response
      .writeHead(200, { 'content-type': 'application/octet-stream', 'content-disposition': 'attachment' })
      .end('x'),
};

export class PageServer {
  /** Of further pages, by path. */
  readonly pages: Record<string, Answer> = {};
  #server = createServer((request, response) => {
    const path = request.url ?? '';
    const [name = ''] = path.split('?');
    (this.pages[name] ?? PATHS[name] ?? html(404, ''))(response, path);
  });

  async start(host = '127.0.0.1'): Promise<this> {
    this.#server.listen(0, host);
    await once(this.#server, 'listening');
    return this;
  }

  /** The address of a page. */
  url(path: string): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}${path}`;
  }

  /** A page with these scripts, whatever its counter shows. */
  add(path: string, script: string): void {
    this.pages[path] = html(200, COUNTER.replace('</script>', `${script}</script>`));
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

export type PageFrame = {
  atS: number;
  /** The page's own count. */
  count: number;
  /** Whether the page's frame lies at all four edges. */
  whole: boolean;
};

/** What each picture of a file shows of the counter page, of that scale. Throws an Error when it cannot be read. */
export function pageFrames(path: string, scale = 1): PageFrame[] {
  const frames: PageFrame[] = [];
  readMedia(path, {
    onPicture(picture) {
      const { width, height, atS } = picture;
      const at = (x: number, y: number) => lumaAt(picture, Math.round(x * scale), Math.round(y * scale));
      let count = 0;
      for (let bit = 0; bit < BITS; bit++)
        if (at(CELL.x + (bit + 0.5) * CELL.width, CELL.y + CELL.height / 2) > 128) count += 2 ** bit;
      const [x, y] = [width / scale, height / scale];
      const edges = [at(0, y / 2), at(x - 1, y / 2), at(x / 2, 0), at(x / 2, y - 1)];
      frames.push({ atS, count, whole: edges.every((luma) => Math.abs(luma - EDGE_LUMA) < 25) });
    },
  });
  return frames;
}

function lumaAt({ planes, strides }: ShownPicture, x: number, y: number): number {
  return planes[0]![y * strides[0]! + x]!;
}
