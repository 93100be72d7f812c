#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-11-29.
# What of an Opus stream is not sound stands in its container: a WebM holds the lead-in to leave out (CodecDelay) and what the last
# packet has too much (DiscardPadding). A copy (-c copy) keeps both in WebM and Matroska, loses the end's in MP4 and Ogg, which could
# hold it, and both in MPEG-TS, whose Opus mapping has fields for both. So the same two seconds are of three lengths, and a test that
# compares durations across containers is off by up to a packet.
# Output seen:  webm 96000, mkv 96000, mp4 96648, ogg 96648, ts 96960
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
ffmpeg -v error -f lavfi -i sine=r=48000:d=2 -c:a libopus out.webm
line=
for kind in webm mkv mp4 ogg ts; do
  [ -e "out.$kind" ] || ffmpeg -v error -i out.webm -c copy "out.$kind" 2>/dev/null
  line="$line${line:+, }$kind $(ffmpeg -v fatal -i "out.$kind" -f s16le - | wc -c | awk '{ print $1 / 2 }')"
done
echo "$line"
[ "$line" = 'webm 96000, mkv 96000, mp4 96648, ogg 96648, ts 96960' ]
