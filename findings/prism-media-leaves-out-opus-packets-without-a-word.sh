#!/usr/bin/env bash
# prism-media 1.3.5, with files of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1) and mkvtoolnix 74.0.0 (Debian 12:
# 74.0.0-1+deb12u1), read on 2026-12-01.
# Of one Opus stream its demuxers return as many packets as the muxer's habits let them, and end as if that were all:
# - WebmDemuxer knows SimpleBlocks alone. A block in a group (RFC 9559 §5.1.3.5), as FFmpeg writes the last one, with
#   the padding beside it, and as others write all, is left out. Several frames in one block (lacing, §10.3), which is
#   mkvmerge's default, come out as one packet.
# - OggDemuxer stops at the first page whose last packet goes on in the next (RFC 3533 §5), and returns nothing of what
#   follows.
# Output seen:  501 packets: webm 500, of mkvmerge 72, in groups 0; ogg 501, with longer pages 127
# Needs Debian's ffmpeg and mkvtoolnix.
set -euo pipefail
{ command -v ffmpeg && command -v mkvmerge || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg mkvtoolnix; }; } >/dev/null
dpkg-query -W ffmpeg mkvtoolnix
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 prism-media@1.3.5
ffmpeg -v error -f lavfi -i anoisesrc=d=10:r=48000:seed=1 -c:a libopus -b:a 128k plain.webm
ffmpeg -v error -i plain.webm -c copy plain.ogg
ffmpeg -v error -i plain.webm -c copy -page_duration 10000000 pages.ogg
mkvmerge -q -w -o laced.webm plain.webm
mkvmerge -q -w --engage no_simpleblocks -o groups.webm plain.webm
for name in plain.webm laced.webm groups.webm plain.ogg pages.ogg; do
  echo "$name $(ffprobe -v error -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$name")"
done | tee packets
[ "$(cut -d' ' -f2 packets | sort -u)" = 501 ]
cat > run.mjs <<'JS'
import { createReadStream } from 'node:fs';
import prism from 'prism-media';

async function packets(name) {
  let count = 0;
  const demuxer = name.endsWith('.ogg') ? new prism.opus.OggDemuxer() : new prism.opus.WebmDemuxer();
  for await (const _packet of createReadStream(name).pipe(demuxer)) count++;
  return count;
}
const line =
  `501 packets: webm ${await packets('plain.webm')}, of mkvmerge ${await packets('laced.webm')}, in groups ${await packets('groups.webm')}; ` +
  `ogg ${await packets('plain.ogg')}, with longer pages ${await packets('pages.ogg')}`;
console.log(line);
process.exit(line === '501 packets: webm 500, of mkvmerge 72, in groups 0; ogg 501, with longer pages 127' ? 0 : 1);
JS
timeout 60 node_modules/.bin/node run.mjs
