#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1) and 8.1 (node-av 6.1.1), read on 2026-11-29.
# The HLS demuxer gives EXT-X-DISCONTINUITY no meaning. Times that begin again behind it come out as they are: two slices of four seconds
# span four. The ffmpeg program evens the jump out by itself, but not with -copyts; whoever reads through the library gets it.
# MPEG-TS' continuity counters are expected to go on, too, so the last picture before the mark may be called corrupt, and
# -fflags +discardcorrupt throws it away, though every slice is whole.
# Output seen:  copied: 8.0 s, with -copyts: 4.0 s; pictures: 200, without the corrupt: 199; 8.1: one jump, by -4.0 s
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=25:d=4 -c:v mpeg2video -g 25 -bf 0 slice.ts
printf '#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nslice.ts\n#EXT-X-DISCONTINUITY\n#EXTINF:4,\nslice.ts\n#EXT-X-ENDLIST\n' > list.m3u8
ffmpeg -v fatal -i list.m3u8 -c copy copied.mkv
ffmpeg -v fatal -copyts -i list.m3u8 -c copy -avoid_negative_ts make_zero copyts.mkv
length() { ffprobe -v error -show_entries packet=pts_time -of csv=p=0 "$1" | sort -g | sed -n '1p;$p' | paste -s | awk '{ printf "%.1f", $2 - $1 }'; }
pictures() { ffprobe -v fatal "$@" -count_packets -show_entries stream=nb_read_packets -of csv=p=0 list.m3u8 | sed -n '1s/,*$//p'; }
cat > run.mjs <<'JS'
import { AV_LOG_QUIET } from 'node-av/constants';
import { FormatContext, Log, Packet } from 'node-av/lib';

Log.setLevel(AV_LOG_QUIET);
const input = new FormatContext();
await input.openInput('list.m3u8');
const packet = new Packet();
packet.alloc();
const jumps = [];
let last;
while ((await input.readFrame(packet)) >= 0) {
  const seconds = Number(packet.pts) / 90_000;
  if (seconds < last) jumps.push((seconds - last).toFixed(1));
  last = seconds;
  packet.unref();
}
console.log(jumps.length === 1 ? `one jump, by ${jumps[0]} s` : `${jumps.length} jumps`);
process.exit();
JS
line="copied: $(length copied.mkv) s, with -copyts: $(length copyts.mkv) s; pictures: $(pictures), without the corrupt: $(pictures -fflags +discardcorrupt)"
line="$line; 8.1: $(node_modules/.bin/node run.mjs)"
echo "$line"
[ "$line" = 'copied: 8.0 s, with -copyts: 4.0 s; pictures: 200, without the corrupt: 199; 8.1: one jump, by -4.0 s' ]
