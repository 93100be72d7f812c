#!/usr/bin/env bash
# hls.js 1.7.4 with Chromium and FFmpeg (Debian 12), read on 2026-11-29.
# A low-latency playlist whose first segment is still growing lists parts and no segment (RFC 8216bis §4.4.4.9). hls.js fires
# levelEmptyError and asks for none of them; after a whole segment, with its parts, it takes parts. So nobody sees the first segment of a
# stream while it grows, however short its parts are.
# Output seen:  parts alone: levelEmptyError, asked for none; after a whole segment: no error, asked for parts
# Needs Debian's chromium and ffmpeg.
set -euo pipefail
{ command -v chromium && command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium ffmpeg; }; } >/dev/null
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund playwright-core@1.65.1 hls.js@1.7.4
# Six seconds in pieces of one, each of which begins with a key frame and may be a segment or a part.
ffmpeg -v error -f lavfi -i testsrc2=size=320x180:rate=25 -t 6 -c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 25 -keyint_min 25 \
  -sc_threshold 0 -f segment -segment_time 1 piece%d.ts
cat piece0.ts piece1.ts piece2.ts piece3.ts > whole.ts
cat > run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { chromium } from 'playwright-core';

const ofPart = (n) => `#EXT-X-PART:DURATION=1.0,URI="part${n}.ts",INDEPENDENT=YES`;
const list = (...lines) =>
  ['#EXTM3U', '#EXT-X-VERSION:9', '#EXT-X-TARGETDURATION:4', '#EXT-X-PART-INF:PART-TARGET=1.0']
    .concat('#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=3.0', '#EXT-X-MEDIA-SEQUENCE:0', lines, '')
    .join('\n');
const whole = [...[0, 1, 2, 3].map(ofPart), '#EXTINF:4.0,', 'whole.ts'];
const lists = { '/alone.m3u8': list(...[0, 1, 2].map(ofPart)), '/after.m3u8': list(...whole, ofPart(4), ofPart(5)) };
let asked = [];
const server = createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://localhost');
  // Nothing newer comes.
  if (searchParams.has('_HLS_msn')) return;
  const part = /^\/part(\d)\.ts$/.exec(pathname)?.[1];
  if (part) asked.push(part);
  if (pathname === '/') response.setHeader('content-type', 'text/html').end('<script src="hls.js"></script><video muted></video>');
  else if (pathname === '/hls.js') response.end(readFileSync('node_modules/hls.js/dist/hls.js'));
  else if (lists[pathname]) response.end(lists[pathname]);
  else if (pathname === '/whole.ts' || part) response.end(readFileSync(part ? `piece${part}.ts` : 'whole.ts'));
  else response.writeHead(404).end();
});
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] });
/** The first error, or that a part of the stream can be played. */
async function watch(name) {
  asked = [];
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.address().port}/`);
  const said = await page.evaluate(`new Promise((resolve) => {
    const hls = new Hls({ lowLatencyMode: true });
    hls.on('hlsError', (_event, { details }) => resolve(details));
    hls.on('hlsFragBuffered', (_event, { part }) => { if (part) resolve('no error'); });
    hls.loadSource('${name}');
    hls.attachMedia(document.querySelector('video'));
  })`);
  await page.close();
  return `${said}, asked for ${asked.length > 0 ? 'parts' : 'none'}`;
}
const line = `parts alone: ${await watch('alone.m3u8')}; after a whole segment: ${await watch('after.m3u8')}`;
console.log(line);
await browser.close();
server.closeAllConnections();
server.close();
process.exit(line === 'parts alone: levelEmptyError, asked for none; after a whole segment: no error, asked for parts' ? 0 : 1);
JS
timeout 120 node run.mjs
