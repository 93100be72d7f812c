#!/usr/bin/env bash
# mediainfo 23.04 (Debian 12: 23.04-1), with files of FFmpeg 5.1.9 (7:5.1.9-0+deb12u1), read on 2026-12-01.
# An MP4 whose picture begins late says so with an empty edit (ISO/IEC 14496-12 §8.6.6). mediainfo counts that time as
# the picture's, and as many pictures more as would fit into it, though the sample table has their number. Whoever
# checks a recording for lost pictures by FrameCount finds too many, and a loss of as many does not show. A file that
# begins at once is counted right.
# Output seen:  from the start: 100 pictures in the file, 100 counted; 0.7 s late: 100 in the file, 118 counted
# Needs Debian's ffmpeg and mediainfo.
set -euo pipefail
{ command -v ffmpeg && command -v mediainfo || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg mediainfo; }; } >/dev/null
dpkg-query -W ffmpeg mediainfo
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
ffmpeg -v error -f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i sine=r=48000:d=4 -c:v libx264 -pix_fmt yuv420p -c:a aac prompt.mp4
ffmpeg -v error -i prompt.mp4 -itsoffset 0.7 -i prompt.mp4 -map 0:a -map 1:v -c copy late.mp4
packets() { ffprobe -v error -select_streams v -count_packets -show_entries stream=nb_read_packets -of csv=p=0 "$1"; }
counted() { mediainfo --Output='Video;%FrameCount%' "$1"; }
line="from the start: $(packets prompt.mp4) pictures in the file, $(counted prompt.mp4) counted; 0.7 s late: $(packets late.mp4) in the file, $(counted late.mp4) counted"
echo "$line"
[ "$line" = 'from the start: 100 pictures in the file, 100 counted; 0.7 s late: 100 in the file, 118 counted' ]
