#!/usr/bin/env bash
# FFmpeg's HLS demuxer (5.1.9, Debian 12: ffmpeg 7:5.1.9-0+deb12u1), read on 2026-11-29.
# Of a playlist of MPEG-TS slices with AAC, as FFmpeg's own muxer writes it, the first two packets have the same time, and so all that
# lie in the first PES packet are one frame, 21 ms, early; then a frame is missing. The slice itself is read right.
# Output seen:  slice: 0 of 47 steps wrong; playlist: 2 wrong, 0 ms and 43 ms
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
ffmpeg -v error -f lavfi -i sine=440:r=48000:d=1 -c:a aac -b:a 48k -ac 1 -f hls -hls_time 2 -hls_playlist_type vod a.m3u8
steps() { ffprobe -v error -show_entries packet=pts_time -of csv=p=0 "$1" | tr -d , | grep . | awk 'n++ { printf "%.0f\n", 1000 * ($1 - last) } { last = $1 }'; }
wrong() { steps "$1" | grep -vx 21 || true; }
line="slice: $(wrong a0.ts | wc -l) of $(steps a0.ts | wc -l) steps wrong; playlist: $(wrong a.m3u8 | wc -l) wrong, $(wrong a.m3u8 | paste -sd' ' | sed 's/ / ms and /') ms"
echo "$line"
[ "$line" = 'slice: 0 of 47 steps wrong; playlist: 2 wrong, 0 ms and 43 ms' ]
