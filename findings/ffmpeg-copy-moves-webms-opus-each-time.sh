#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-11-29.
# A WebM with Opus that is copied (-c copy) into a WebM loses 7 ms of sync: reading takes CodecDelay off the times of the sound, writing
# does not add it again. Sound that begins late comes earlier by that with each copy; where sound begins with the file, everything
# else comes later. FFmpeg 8.1 keeps the times. Files of older versions carry the shift for good.
# Output seen:  sound from 3 s on: 2.987 s, after 5 copies 2.952 s; sound from the start: picture at 0.007 s, after 5 copies 0.042 s
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
first() { ffprobe -v error -select_streams "$1" -show_entries packet=pts_time -of csv=p=0 "$2" | sed -n "1s/000,*\$//p"; }
after_copies() { # file of the original, kind of stream
  cp "$1" 0.webm
  for n in $(seq 5); do ffmpeg -v error -y -i $((n - 1)).webm -c copy "$n.webm"; done
  echo "$(first "$2" 0.webm) s, after 5 copies $(first "$2" 5.webm) s"
}
for start in 0 3; do
  ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=25:d=5 -f lavfi -i sine=r=48000:d=2 \
    -af "asetpts=PTS+$start/TB" -c:v libvpx -b:v 200k -c:a libopus "from$start.webm"
done
line="sound from 3 s on: $(after_copies from3.webm a); sound from the start: picture at $(after_copies from0.webm v)"
echo "$line"
[ "$line" = 'sound from 3 s on: 2.987 s, after 5 copies 2.952 s; sound from the start: picture at 0.007 s, after 5 copies 0.042 s' ]
