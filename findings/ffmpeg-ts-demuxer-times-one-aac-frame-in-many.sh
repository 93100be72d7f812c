#!/usr/bin/env bash
# FFmpeg 8.1 (node-av 6.1.1), read on 2026-11-30, with a file of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1).
# A transport stream has several frames of AAC in each of its packets of sound, with one time for all. The demuxer takes them apart
# either way, but where avformat_find_stream_info was not called only the first of each has a time: the rate, by which the others would be
# told, is known to nobody. Whoever leaves the call out because the programme map says all that there is loses most of the sound, and no
# call fails. Pictures, one to a packet, are the same.
# fpsprobesize=0 and skip_estimate_duration_from_pts=1 make the call cheap instead, and all times are there.
# Output seen:  sound 95, timed 7 without stream information, 95 with it, 95 with it made cheap; pictures timed 50, 50, 50
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=25:d=2 -f lavfi -i sine=440:r=48000:d=2 \
  -c:v libx264 -preset ultrafast -bf 0 -c:a aac slice.ts
cat > run.mjs <<'JS'
import { AV_CODEC_ID_AAC, AV_LOG_QUIET, AV_NOPTS_VALUE } from 'node-av/constants';
import { Dictionary, FormatContext, InputFormat, Log, Packet } from 'node-av/lib';

Log.setLevel(AV_LOG_QUIET);
function read(asks, options = {}) {
  const input = new FormatContext();
  input.openInputSync('slice.ts', InputFormat.findInputFormat('mpegts'), Dictionary.fromObject(options));
  if (asks) input.findStreamInfoSync(null);
  const packet = new Packet();
  packet.alloc();
  const seen = { sound: 0, timed: 0, pictures: 0 };
  while (input.readFrameSync(packet) >= 0) {
    const isSound = input.streams[packet.streamIndex].codecpar.codecId === AV_CODEC_ID_AAC;
    const isTimed = packet.pts !== AV_NOPTS_VALUE;
    if (isSound) seen.sound++;
    if (isSound && isTimed) seen.timed++;
    if (!isSound && isTimed) seen.pictures++;
    packet.unref();
  }
  input.closeInputSync();
  return seen;
}
const [without, asked, cheap] = [read(false), read(true), read(true, { fpsprobesize: '0', skip_estimate_duration_from_pts: '1' })];
console.log(`sound ${asked.sound}, timed ${without.timed} without stream information, ${asked.timed} with it, ${cheap.timed} with it made cheap; pictures timed ${without.pictures}, ${asked.pictures}, ${cheap.pictures}`);
process.exit();
JS
line=$(node_modules/.bin/node run.mjs)
echo "$line"
[ "$line" = 'sound 95, timed 7 without stream information, 95 with it, 95 with it made cheap; pictures timed 50, 50, 50' ]
