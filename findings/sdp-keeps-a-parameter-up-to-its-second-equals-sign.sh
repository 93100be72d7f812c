#!/usr/bin/env bash
# sdp 3.2.2 (the parser below webrtc-adapter) and sdp-transform 3.0.0, read on 2026-12-01.
# parseFmtp of sdp keeps of a parameter what stands between its first `=` and its second. Publishers that tell H.264's
# parameter sets (sprop-parameter-sets, RFC 6184 §8.1: SPS and PPS in Base64, with a comma between them) lose the
# padding of the SPS and the whole PPS, unless the SPS is a multiple of three bytes long. Nothing warns, and writeFmtp
# writes the rest as if it were all. sdp-transform keeps both.
# Output seen:  FFmpeg tells 2 parameter sets of 5 sizes; sdp keeps 2 of 1 size and 1 of 4; sdp-transform 2 of 5
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 sdp@3.2.2 sdp-transform@3.0.0
for size in 160x120 320x180 640x360 1280x720 1920x1080; do
  ffmpeg -v error -f lavfi -i "testsrc2=s=$size:r=25:d=0.2" -c:v libx264 -preset ultrafast -pix_fmt yuv420p -flags +global_header \
    -f rtp rtp://127.0.0.1:9 -sdp_file "$size.sdp" >/dev/null
done
cat > run.mjs <<'JS'
import { readdirSync, readFileSync } from 'node:fs';
import SDP from 'sdp';
import transform from 'sdp-transform';

const sets = (value) => value.split(',').length;
const counts = { told: [], sdp: [], transform: [], written: [] };
for (const name of readdirSync('.').filter((name) => name.endsWith('.sdp'))) {
  const offer = readFileSync(name, 'utf8');
  const line = /^a=fmtp:96 .*$/m.exec(offer)[0].trim();
  const parameters = SDP.parseFmtp(line);
  counts.told.push(sets(/sprop-parameter-sets=([^; ]+)/.exec(line)[1]));
  counts.sdp.push(sets(parameters['sprop-parameter-sets']));
  counts.written.push(sets(SDP.writeFmtp({ payloadType: 96, parameters })));
  counts.transform.push(sets(transform.parseParams(transform.parse(offer).media[0].fmtp[0].config)['sprop-parameter-sets']));
}
const of = (kind, number) => counts[kind].filter((count) => count === number).length;
console.log(counts);
const line =
  `FFmpeg tells 2 parameter sets of ${of('told', 2)} sizes; sdp keeps 2 of ${of('sdp', 2)} size and 1 of ${of('sdp', 1)}; ` +
  `sdp-transform 2 of ${of('transform', 2)}`;
console.log(line);
process.exit(of('told', 2) === 5 && of('sdp', 1) > 0 && of('written', 1) === of('sdp', 1) && of('transform', 2) === 5 ? 0 : 1);
JS
node_modules/.bin/node run.mjs
