#!/usr/bin/env bash
# mkvmerge 74.0.0 (Debian 12: mkvtoolnix 74.0.0-1+deb12u1), with files of FFmpeg 5.1.9 (7:5.1.9-0+deb12u1), read on
# 2026-12-01.
# The clock of MPEG-TS has 33 bits and wraps each 26.5 hours. mkvmerge joins the times on both sides of the wrap, but
# takes off the smallest time of the file as it was written, which is the one after the wrap: the first picture is at
# 26:30:43, after a day of nothing. It ends with 0 and warns of nothing. A file that does not wrap begins at 0.
# Output seen:  plain: 0.021 to 3.98 s; wrapping: 95443.120 to 95447.08 s; exit code 0, warnings 0
# Needs Debian's ffmpeg and mkvtoolnix.
set -euo pipefail
{ command -v ffmpeg && command -v mkvmerge || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg mkvtoolnix; }; } >/dev/null
dpkg-query -W ffmpeg mkvtoolnix
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
ffmpeg -v error -f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=r=48000:d=4 -c:v libx264 -g 25 -pix_fmt yuv420p -c:a aac plain.ts
ffmpeg -v error -i plain.ts -c copy -f mpegts -output_ts_offset 95441.7 wrapping.ts
span() { # the times of the first and the last picture
  ffprobe -v error -select_streams v -show_entries packet=pts_time -of csv=p=0 "$1" | tr -d , | sort -n | sed -n '1p;$p' |
    awk 'NR == 1 { first = $1 } END { printf "%.3f to %.2f s", first, $1 }'
}
mkvmerge -q -o plain.mkv plain.ts
code=0; mkvmerge -o wrapping.mkv wrapping.ts > said || code=$?
line="plain: $(span plain.mkv); wrapping: $(span wrapping.mkv); exit code $code, warnings $(grep -ci warning said || true)"
echo "$line"
[ "$line" = 'plain: 0.021 to 3.98 s; wrapping: 95443.120 to 95447.08 s; exit code 0, warnings 0' ]
