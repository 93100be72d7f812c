#!/usr/bin/env bash
# FFmpeg 8.1's WHIP muxer (node-av 6.1.1) publishing to node-datachannel 0.33.4 (libjuice), read on 2026-11-28.
# The muxer answers connectivity checks while it connects and none after that. A peer that asks for consent (RFC 7675) therefore
# calls the connection disconnected about half a minute in, while media still arrives.
# Output seen:  connected, then disconnected or failed after 20 to 45 s, the last packet less than 1 s before
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1 node-datachannel@0.33.4
cat > publish.mjs <<'JS'
// The frames are of one grey: what is in them is of no matter.
import { AVMEDIA_TYPE_VIDEO, AV_CODEC_FLAG_GLOBAL_HEADER, AV_PIX_FMT_YUV420P, Codec, CodecContext, Dictionary, FormatContext, Frame, Packet, Rational } from 'node-av';
const [url] = process.argv.slice(2);
const check = (code, what) => { if (code < 0) throw new Error(`${what}: ${code}`); };
const encoder = new CodecContext();
encoder.allocContext3(Codec.findEncoderByName('libx264'));
Object.assign(encoder, { width: 160, height: 120, pixelFormat: AV_PIX_FMT_YUV420P, timeBase: new Rational(1, 15), framerate: new Rational(15, 1), gopSize: 30, maxBFrames: 0, profile: 66, bitRate: 100_000n });
// The muxer reads the profile from the parameter sets, which have to be there before the first packet.
encoder.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
encoder.setOption('preset', 'ultrafast');
encoder.setOption('tune', 'zerolatency');

check(await encoder.open2(Codec.findEncoderByName('libx264'), null), 'encoder');
const output = new FormatContext();
check(output.allocOutputContext2(null, 'whip', url), 'whip');
const stream = output.newStream(null);
check(stream.codecpar.fromContext(encoder), 'parameters');
stream.timeBase = encoder.timeBase;
check(await output.writeHeader(null), 'header');
const frame = new Frame();
frame.alloc();
Object.assign(frame, { width: 160, height: 120, format: AV_PIX_FMT_YUV420P });
check(frame.getBuffer(0), 'frame');
const packet = new Packet();
packet.alloc();
for (let n = 0; n < 15 * 60; n++) {
  frame.makeWritable();
  frame.pts = BigInt(n);
  check(await encoder.sendFrame(frame), 'send');
  while ((await encoder.receivePacket(packet)) >= 0) {
    packet.streamIndex = 0;
    packet.rescaleTs(encoder.timeBase, stream.timeBase);
    if ((await output.interleavedWriteFrame(packet)) < 0) process.exit(0);
  }
  await new Promise((done) => setTimeout(done, 66));
}
JS
cat > run.mjs <<'JS'
import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import datachannel from 'node-datachannel';

const { PeerConnection } = datachannel;
const seen = [];
let connectedMs = 0;
let packetMs = 0;
let publisher;
const end = (line) => {
  console.log(line ?? seen.join(', '));
  publisher?.kill();
  const lost = /^connected, (disconnected|failed) after (\d+) s, the last packet (\d+) ms before$/.exec(seen.join(', '));
  process.exit(lost && lost[2] >= 20 && lost[2] <= 45 && lost[3] < 1000 ? 0 : 1);
};
const server = createServer((req, res) => {
  if (req.method !== 'POST') return res.end();
  let offer = '';
  req.on('data', (chunk) => { offer += chunk; }).on('end', () => {
    const peer = new PeerConnection('answerer', { iceServers: [], bindAddress: '127.0.0.1' });
    peer.onGatheringStateChange((state) => {
      if (state === 'complete') res.writeHead(201, { 'content-type': 'application/sdp', location: '/session' }).end(peer.localDescription().sdp);
    });
    peer.onTrack((track) => {
      track.onMessage(() => { packetMs = performance.now(); });
      globalThis.kept = [...(globalThis.kept ?? []), track];
    });
    peer.onStateChange((state) => {
      if (state === 'connected') { connectedMs = performance.now(); seen.push(state); }
      if (connectedMs && (state === 'disconnected' || state === 'failed')) {
        const now = performance.now();
        seen.push(`${state} after ${Math.round((now - connectedMs) / 1000)} s`, `the last packet ${Math.round(now - packetMs)} ms before`);
        end();
      }
    });
    peer.setRemoteDescription(offer, 'offer');
    globalThis.peer = peer;
  });
});
await new Promise((done) => server.listen(0, '127.0.0.1', done));
publisher = spawn(process.execPath, ['publish.mjs', `http://127.0.0.1:${server.address().port}/whip`], { stdio: ['ignore', 'ignore', 'inherit'] });
publisher.on('exit', (code) => setTimeout(() => end(`${seen.join(', ')}: the publisher ended with ${code}`), 3000));
setTimeout(() => end(`${seen.join(', ')}: nothing lost within 75 s`), 75_000);
JS
timeout 120 node_modules/.bin/node run.mjs
