#!/usr/bin/env bash
# mpv 0.35.1 (Debian 12's), files made by FFmpeg, read on 2026-11-29.
# Of an MP4 whose edit list has the picture begin 0.7 s after the sound, mpv plays no sound before the first picture: it waits for
# the picture's time, and drops what comes before it. --initial-audio-sync=no plays all of it. A file of sound alone is played whole.
# A listener loses what was said before a camera came on.
# Output seen:  whole 3.00 s, as told 2.30 s, without the wait 3.00 s
# Needs ffmpeg and mpv (Debian packages).
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
quiet='-hide_banner -loglevel error -nostdin -y'
ffmpeg $quiet -f lavfi -i testsrc2=s=160x120:r=10:d=2.3 -c:v libx264 -bf 0 -pix_fmt yuv420p picture.mp4
ffmpeg $quiet -f lavfi -i sine=f=440:r=48000:d=3 -itsoffset 0.7 -i picture.mp4 -map 0:a -map 1:v -c:a aac -c:v copy late-picture.mp4
seconds() { # of the sound that mpv plays of a file, with these options more
  mpv --no-config --no-terminal --vo=null --ao=pcm --ao-pcm-file=heard.wav --untimed "$@" >/dev/null 2>&1
  ffmpeg -hide_banner -nostdin -i heard.wav -f null - 2>&1 | sed -n 's/.*time=00:00:0*\([0-9.]*\).*/\1/p' | tail -n 1
}
whole=$(seconds --no-video late-picture.mp4)
told=$(seconds late-picture.mp4)
waitless=$(seconds --initial-audio-sync=no late-picture.mp4)
echo "whole $whole s, as told $told s, without the wait $waitless s"
node -e '
  const [whole, told, waitless] = process.argv.slice(1).map(Number);
  const near = (a, b) => Math.abs(a - b) < 0.12;
  process.exit(near(whole, 3) && near(told, 2.3) && near(waitless, 3) ? 0 : 1);
' "$whole" "$told" "$waitless"
