#!/usr/bin/env bash
# ebml 3.0.0 (node-ebml), with a WebM of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-12-01.
# A signed integer of EBML has any length up to eight bytes (RFC 8794 §7.1), and muxers write the shortest. ebml reads
# those of one, two and four bytes; one of three, five or more is NaN. DiscardPadding, what of the last Opus packet is
# not sound, is a signed integer of nanoseconds, and needs three bytes for anything from 0.033 to 8.4 ms. So most files
# are read right, and some recordings have a length of NaN.
# Output seen:  padding of 13.5 ms: 4 bytes, 13500000; of 5.2 ms: 3 bytes, NaN
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 ebml@3.0.0
# 51 packets of 960 samples hold 48960, of which 312 are the lead-in: what is left over is padding.
for samples in 48000 48400; do
  ffmpeg -v error -f lavfi -i sine=r=48000:d=2 -af "atrim=end_sample=$samples" -c:a libopus "$samples.webm"
done
cat > run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import ebml from 'ebml';

function padding(samples) {
  let told;
  const decoder = new ebml.Decoder();
  decoder.on('data', ([, tag]) => { if (tag.name === 'DiscardPadding') told = `${tag.data.length} bytes, ${tag.value}`; });
  decoder.write(readFileSync(`${samples}.webm`));
  return `of ${((48960 - 312 - samples) / 48).toFixed(1)} ms: ${told}`;
}
const line = `padding ${padding(48000)}; ${padding(48400)}`;
console.log(line);
process.exit(line === 'padding of 13.5 ms: 4 bytes, 13500000; of 5.2 ms: 3 bytes, NaN' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
