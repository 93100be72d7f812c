#!/usr/bin/env bash
# @eyevinn/whip-web-client 1.1.7 with Chromium (Debian 12), read on 2026-12-01.
# To a server that allows PATCH the client sends its offer without candidates and each candidate after it (RFC 9725
# §4.3.1). Those requests have the session's entity tag in ETag, not in If-Match, where it has to be. They say nothing
# of the first track, whose mid is 0, which the client takes for none: with one track the requests are empty. And the
# candidates are of component 0, where 1 is RTP (RFC 8839 §5.1: 1 to 256). A server that goes by the RFCs can take none
# of it, and an answerer that waits for an address waits for ever. With `noTrickleIce`, or where PATCH is not allowed,
# the offer has the candidates, of component 1.
# Output seen:  offer: 0 candidates; PATCH: ETag "one", If-Match none, of mid 1, component 0; of one track: 0 bytes; noTrickleIce: offer with candidates of component 1
# Needs Debian's chromium.
set -euo pipefail
{ command -v chromium || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }; } >/dev/null
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 @eyevinn/whip-web-client@1.1.7 sdp-transform@2.15.0 \
  playwright-core@1.65.1 node-datachannel@0.33.4 esbuild@0.28.2
node_modules/.bin/esbuild ./node_modules/@eyevinn/whip-web-client --bundle --format=esm --log-level=error --outfile=client.js
cat > run.mjs <<'JS'
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import datachannel from 'node-datachannel';
import { chromium } from 'playwright-core';

const components = (sdp) => [...new Set([...sdp.matchAll(/^a=candidate:\S+ (\d+) /gm)].map(([, component]) => component))].join();
const peers = [];
let offer;
let patch;
function answer(sdp, done) {
  const peer = new datachannel.PeerConnection('answerer', { iceServers: [], bindAddress: '127.0.0.1' });
  peer.onGatheringStateChange((state) => { if (state === 'complete') done(peer.localDescription().sdp); });
  peer.onTrack((track) => peers.push(track));
  peer.setRemoteDescription(sdp, 'offer');
  peers.push(peer);
}
const server = createServer(async (request, response) => {
  let body = '';
  for await (const chunk of request) body += chunk;
  if (request.url === '/client.js') response.setHeader('content-type', 'text/javascript').end(readFileSync('client.js'));
  else if (request.method === 'GET') response.setHeader('content-type', 'text/html').end('<title>page</title>');
  else if (request.method === 'OPTIONS') response.writeHead(204, { 'access-control-allow-methods': 'POST, PATCH' }).end();
  else if (request.method === 'POST') {
    offer = body;
    answer(body, (sdp) => response.writeHead(201, { 'content-type': 'application/sdp', location: '/session', etag: '"one"' }).end(sdp));
  } else {
    if (request.method === 'PATCH') patch ??= { ...request.headers, body };
    response.writeHead(204).end();
  }
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = `http://127.0.0.1:${server.address().port}`;
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--allow-loopback-in-peer-connection', '--disable-features=WebRtcHideLocalIpsWithMdns'],
});
/** What the client sends for a stream of a picture, and of sound as well. */
async function publish(sound, opts, done) {
  offer = patch = undefined;
  const page = await browser.newPage();
  await page.goto(`${address}/`);
  await page.evaluate(`(async () => {
    const { WHIPClient } = await import('/client.js');
    const canvas = document.createElement('canvas');
    canvas.getContext('2d');
    const stream = canvas.captureStream(5);
    if (${sound}) stream.addTrack(new AudioContext().createMediaStreamDestination().stream.getTracks()[0]);
    window.client = new WHIPClient({ endpoint: '${address}/whip', opts: ${JSON.stringify({ iceServers: [], ...opts })} });
    await window.client.ingest(stream);
  })()`);
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 50));
  await page.close();
}
await publish(true, {}, () => offer && patch);
const both =
  `offer: ${[...offer.matchAll(/^a=candidate:/gm)].length} candidates; PATCH: ETag ${patch.etag}, If-Match ${patch['if-match'] ?? 'none'}, ` +
  `of mid ${[...patch.body.matchAll(/^a=mid:(\S+)/gm)].map(([, mid]) => mid)}, component ${components(patch.body)}`;
await publish(false, {}, () => offer && patch);
const one = `${patch.body.length} bytes`;
await publish(true, { noTrickleIce: true, timeout: 500 }, () => offer);
const line = `${both}; of one track: ${one}; noTrickleIce: offer with candidates of component ${components(offer)}`;
console.log(line);
await browser.close();
const seen =
  'offer: 0 candidates; PATCH: ETag "one", If-Match none, of mid 1, component 0; of one track: 0 bytes; ' +
  'noTrickleIce: offer with candidates of component 1';
process.exit(line === seen ? 0 : 1);
JS
timeout 120 node_modules/.bin/node run.mjs
