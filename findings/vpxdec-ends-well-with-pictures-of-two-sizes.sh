#!/usr/bin/env bash
# vpxdec (libvpx 1.12.0; Debian 12: vpx-tools 1.12.0-1+deb12u5), read on 2026-11-29.
# A WebM may change its picture size at a key frame, as WebRTC publishers do. vpxdec writes such a file to Y4M, which has one size in
# its header, without scaling, and ends with 0: behind the change readers find no frames where they look for them. --scale writes all
# pictures in the first size.
# Output seen:  100 pictures in; exit code 0, 51 pictures out; with --scale 100
# Needs Debian's ffmpeg and vpx-tools.
set -euo pipefail
{ command -v ffmpeg && command -v vpxdec || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg vpx-tools; }; } >/dev/null
dpkg-query -W ffmpeg vpx-tools
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
for size in 160x120 320x240; do
  ffmpeg -v error -f lavfi -i testsrc2=s=$size:r=25:d=2 -c:v libvpx -b:v 200k "$size.webm"
  echo "file $size.webm" >> list
done
ffmpeg -v error -f concat -i list -c copy changing.webm
pictures() { ffprobe -v fatal -count_frames -show_entries stream=nb_read_frames -of csv=p=0 "$1" | sed -n '1s/,*$//p'; }
code=0; vpxdec -o plain.y4m changing.webm || code=$?
vpxdec --scale -o scaled.y4m changing.webm
line="$(pictures changing.webm) pictures in; exit code $code, $(pictures plain.y4m) pictures out; with --scale $(pictures scaled.y4m)"
echo "$line"
[ "$line" = '100 pictures in; exit code 0, 51 pictures out; with --scale 100' ]
