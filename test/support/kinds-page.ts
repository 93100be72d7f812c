/**
 * A page of many kinds of content, in a grid of cells that each go from dark to light and back: videos in two formats,
 * what is drawn by WebGL, a frame; and what a telephone's page sees of itself, with a tone.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Rect } from './judge/regions.ts';
import type { PageServer } from './web-page.ts';

export const KINDS_PAGE = { width: 480, height: 640 } as const;
export const KINDS_TONE_HZ = 1000;
const CELL = { width: 240, height: 160 } as const;
/** What is in each cell, row by row. */
const KINDS = ['vp9', 'h264', 'webgl', 'frame', 'mobile'] as const;
export type Kind = (typeof KINDS)[number];

/** Where a kind is shown, away from its neighbours, as fractions of the picture. */
export const KIND_RECTS = Object.fromEntries(
  KINDS.map((kind, i) => {
    const [x, y] = [((i % 2) * CELL.width) / KINDS_PAGE.width, (Math.floor(i / 2) * CELL.height) / KINDS_PAGE.height];
    return [kind, { x: x + 0.05, y: y + 0.05, width: 0.4, height: 0.15 }];
  }),
) as Record<Kind, Rect>;

const BLINK = 'setInterval(() => { document.body.style.background = Date.now() % 1000 < 500 ? "#000" : "#fff"; }, 50);';
const PAGE = `<!doctype html><meta name=viewport content="width=device-width,initial-scale=1">
<style>* { margin: 0; border: 0 } body { background: #000 } .cell { float: left; width: 240px; height: 160px }</style>
<video class=cell src=/kinds.webm autoplay loop></video><video class=cell src=/kinds.mp4 autoplay loop></video>
<canvas class=cell width=240 height=160></canvas><iframe class=cell src=/kinds-frame></iframe><p class=cell></p><script>
const gl = document.querySelector('canvas').getContext('webgl');
const sees = [/Android.* Mobile Safari/.test(navigator.userAgent), navigator.maxTouchPoints > 0, innerWidth === 480,
  innerHeight === 640, matchMedia('(pointer: coarse)').matches, 'ontouchstart' in window, screen.width === 480];
(function draw() {
  const light = Date.now() % 1000 < 500 ? 1 : 0;
  gl.clearColor(light, light, light, 1);
  gl.clear(gl.COLOR_BUFFER_BIT);
  document.querySelector('p').style.background = light && sees.every(Boolean) ? '#fff' : '#000';
  requestAnimationFrame(draw);
})();
const sound = new AudioContext(), tone = sound.createOscillator(), gain = sound.createGain();
tone.frequency.value = ${KINDS_TONE_HZ}; gain.gain.value = 0.3;
tone.connect(gain).connect(sound.destination); tone.start();
</script>`;

/** Adds the page, `/kinds`, with these scripts before it. @param dir for its videos */
export function addKindsPage(pages: PageServer, dir: string, script: string): void {
  const serve = (path: string, type: string, body: string | Buffer) => {
    pages.pages[path] = (response) => response.writeHead(200, { 'content-type': type }).end(body);
  };
  serve('/kinds', 'text/html', `<script>${script}</script>${PAGE}`);
  serve('/kinds-frame', 'text/html', `<body><script>${BLINK}</script>`);
  serve('/kinds.webm', 'video/webm', makeVideo(join(dir, 'kinds.webm'), ['libvpx-vp9', '-b:v', '200k']));
  serve('/kinds.mp4', 'video/mp4', makeVideo(join(dir, 'kinds.mp4'), ['libx264', '-movflags', 'faststart']));
}

/** A second of video that begins dark and ends light. */
function makeVideo(path: string, codec: string[]): Buffer {
  const color = (name: string) => ['-f', 'lavfi', '-i', `color=${name}:s=${CELL.width}x${CELL.height}:r=30:d=0.5`];
  const joined = ['-filter_complex', 'concat,format=yuv420p', '-c:v', ...codec];
  execFileSync('ffmpeg', ['-v', 'error', ...color('black'), ...color('white'), ...joined, path]);
  return readFileSync(path);
}
