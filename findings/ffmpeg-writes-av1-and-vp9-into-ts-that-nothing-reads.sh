#!/usr/bin/env bash
# FFmpeg 8.1's HLS and MPEG-TS muxers (node-av 6.1.1), fed by FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-11-29.
# AV1, VP9 and VP8 are taken into MPEG-TS as private data: header, packets and trailer are accepted with success, and slices and
# playlist look right. The same FFmpeg finds no picture in what it wrote; the stream is "data". Only a log line at warning level
# tells. The Matroska in between, read the same way, has its pictures.
# Output seen:  av1: written 30, read back as video 30 in Matroska, 0 in HLS; vp9: the same; vp8: the same
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
source=testsrc2=s=160x120:r=10:d=3
SVT_LOG=0 ffmpeg -v error -f lavfi -i $source -c:v libsvtav1 av1.mkv 2>/dev/null
ffmpeg -v error -f lavfi -i $source -c:v libvpx-vp9 -deadline realtime -cpu-used 8 vp9.mkv
ffmpeg -v error -f lavfi -i $source -c:v libvpx -b:v 100k vp8.mkv
cat > run.mjs <<'JS'
import { Demuxer, Muxer } from 'node-av/api';
import { AV_LOG_QUIET, AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import { Log } from 'node-av/lib';

Log.setLevel(AV_LOG_QUIET);
const pictures = async (file) => {
  await using input = await Demuxer.open(file);
  const videos = new Set(input.streams.filter((stream) => stream.codecpar.codecType === AVMEDIA_TYPE_VIDEO).map((stream) => stream.index));
  let count = 0;
  for await (const packet of input.packets()) {
    if (packet !== null && videos.has(packet.streamIndex)) count += 1;
  }
  return count;
};
const seen = [];
for (const codec of ['av1', 'vp9', 'vp8']) {
  let written = 0;
  {
    await using input = await Demuxer.open(`${codec}.mkv`);
    await using output = await Muxer.open(`${codec}.m3u8`);
    const stream = output.addStream(input.streams[0]);
    for await (const packet of input.packets()) {
      if (packet === null) break;
      await output.writePacket(packet, stream);
      written += 1;
    }
  }
  seen.push(`written ${written}, read back as video ${await pictures(`${codec}.mkv`)} in Matroska, ${await pictures(`${codec}.m3u8`)} in HLS`);
}
console.log(`av1: ${seen[0]}; vp9: ${seen[1] === seen[0] ? 'the same' : seen[1]}; vp8: ${seen[2] === seen[0] ? 'the same' : seen[2]}`);
process.exit(seen.every((line) => line === 'written 30, read back as video 30 in Matroska, 0 in HLS') ? 0 : 1);
JS
timeout 50 node_modules/.bin/node run.mjs
