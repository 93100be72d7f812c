#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1) and mkvtoolnix 74.0.0 (Debian 12: 74.0.0-1+deb12u1), read on 2026-11-29.
# An Opus encoder puts 6.5 ms before the sound, which players leave out at the start of a file (pre-skip). Files joined without
# encoding keep those of every file but the first as sound: five files of one second become 26 ms longer, and each joint clicks.
# FFmpeg's concat demuxer and mkvmerge do the same, and neither says so.
# Output seen:  one file: 48000 samples; five by concat: 241248; five by mkvmerge: 241248
# Needs Debian's ffmpeg and mkvtoolnix.
set -euo pipefail
{ command -v ffmpeg && command -v mkvmerge || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg mkvtoolnix; }; } >/dev/null
dpkg-query -W ffmpeg mkvtoolnix
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
for n in 0 1 2 3 4; do
  ffmpeg -v error -f lavfi -i sine=r=48000:d=1 -c:a libopus "$n.webm"
  echo "file $n.webm" >> list
done
samples() { ffmpeg -v error -i "$1" -f s16le - | wc -c | awk '{ print $1 / 2 }'; }
ffmpeg -v error -f concat -i list -c copy concat.webm
mkvmerge -q -w -o merged.webm 0.webm + 1.webm + 2.webm + 3.webm + 4.webm
line="one file: $(samples 0.webm) samples; five by concat: $(samples concat.webm); five by mkvmerge: $(samples merged.webm)"
echo "$line"
[ "$line" = 'one file: 48000 samples; five by concat: 241248; five by mkvmerge: 241248' ]
