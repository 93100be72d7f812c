#!/usr/bin/env bash
# m3u8-parser 7.2.0 (video.js) and hls-parser 0.16.1, read on 2026-11-29.
# EXT-X-GAP says that a slice is missing and must not be fetched (draft-pantos-hls-rfc8216bis §4.4.4.7). m3u8-parser neither keeps
# the tag nor warns: the slice looks like any other, so whoever reads the playlist with it asks for a file that is not there.
# hls-parser keeps it.
# Output seen:  m3u8-parser: a.ts, b.ts, c.ts; warned: no; hls-parser: a.ts, b.ts (gap), c.ts
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 m3u8-parser@7.2.0 hls-parser@0.16.1
cat > run.mjs <<'JS'
import HLS from 'hls-parser';
import { Parser } from 'm3u8-parser';

const playlist = `#EXTM3U
#EXT-X-VERSION:8
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-DISCONTINUITY-SEQUENCE:0
#EXTINF:4,
a.ts
#EXT-X-GAP
#EXTINF:4,
b.ts
#EXTINF:4,
c.ts
#EXT-X-ENDLIST
`;
const told = (slices) => slices.map((slice) => `${slice.uri}${JSON.stringify(slice).includes('"gap"') ? ' (gap)' : ''}`).join(', ');
let warned = 'no';
const parser = new Parser();
for (const event of ['warn', 'info']) parser.on(event, ({ message }) => { warned = message; });
parser.push(playlist);
parser.end();
const line = `m3u8-parser: ${told(parser.manifest.segments)}; warned: ${warned}; hls-parser: ${told(HLS.parse(playlist).segments)}`;
console.log(line);
process.exit(line === 'm3u8-parser: a.ts, b.ts, c.ts; warned: no; hls-parser: a.ts, b.ts (gap), c.ts' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
