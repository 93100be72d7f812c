#!/usr/bin/env bash
# hls-parser 0.16.1, read on 2026-12-01.
# A low-latency playlist of MP4 segments ends with the parts of a segment that still grows (RFC 8216bis §4.4.4.9), to
# which EXT-X-MAP applies as to the others. stringify(parse(playlist)) writes an EXT-X-KEY of the method `undefined`
# there, with the address of the map, of which a player can make nothing. The first of two EXT-X-DATERANGE before one
# segment is lost, and so are the quotation marks of a part's BYTERANGE, which §4.4.4.9 demands. Nothing throws and
# nothing warns. A playlist without parts keeps its map.
# Output seen:  whole segments alone: 0 keys, 1 map; with parts: #EXT-X-KEY:METHOD=undefined,URI="init.mp4"; date ranges 2 -> 1 (bert); BYTERANGE=1000@0
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 hls-parser@0.16.1
cat > run.mjs <<'JS'
import HLS from 'hls-parser';

const whole = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-11-30T12:00:00.000Z
#EXT-X-DATERANGE:ID="anna",CLASS="user",START-DATE="2026-11-30T12:00:00.000Z",DURATION=1.5
#EXT-X-DATERANGE:ID="bert",CLASS="user",START-DATE="2026-11-30T12:00:01.000Z",DURATION=2.5
#EXTINF:4,
a.m4s
#EXTINF:4,
b.m4s
`;
const growing = `${whole}#EXT-X-PART:DURATION=0.5,URI="c.m4s",BYTERANGE="1000@0",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.5,URI="c.m4s",BYTERANGE="1000@1000"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="c.m4s",BYTERANGE-START=2000
`;
const written = (playlist) => HLS.stringify(HLS.parse(playlist)).split('\n');
const of = (lines, tag) => lines.filter((line) => line.startsWith(tag));
const plain = written(whole);
const parts = written(growing);
const ranges = of(parts, '#EXT-X-DATERANGE:');
const line =
  `whole segments alone: ${of(plain, '#EXT-X-KEY').length} keys, ${of(plain, '#EXT-X-MAP').length} map; with parts: ` +
  `${of(parts, '#EXT-X-KEY').join()}; date ranges ${of(growing.split('\n'), '#EXT-X-DATERANGE:').length} -> ${ranges.length} ` +
  `(${ranges.map((range) => /ID="(\w+)"/.exec(range)[1])}); ${/BYTERANGE=[^,]+/.exec(of(parts, '#EXT-X-PART:')[0])[0]}`;
console.log(line);
const seen =
  'whole segments alone: 0 keys, 1 map; with parts: #EXT-X-KEY:METHOD=undefined,URI="init.mp4"; date ranges 2 -> 1 (bert); BYTERANGE=1000@0';
process.exit(line === seen ? 0 : 1);
JS
node_modules/.bin/node run.mjs
