#!/usr/bin/env bash
# GStreamer 1.22.0 (Debian 12: gstreamer1.0-plugins-good 1.22.0-5+deb12u4), read back by FFmpeg 5.1.9
# (7:5.1.9-0+deb12u1), read on 2026-12-01.
# An Opus track of an MP4 tells in `dOps` how many samples at its start are no sound, and the rate of the source, with
# the high byte first, as all of MP4 has it; in Ogg the low byte is first ("Encapsulation of Opus in ISO Base Media File
# Format" §4.3.2, RFC 7845 §5.1). mp4mux writes them as Ogg has them: 312 samples are read as 14337, and FFmpeg leaves
# out the first 0.3 s of a recording. No edit list says otherwise. GStreamer's Ogg and WebM of the same packets are
# right.
# Output seen:  dOps: pre-skip 14337, rate 2159738880; FFmpeg decodes 96000 samples of ogg, 96000 of webm, 82623 of mp4
# Needs Debian's ffmpeg and GStreamer.
set -euo pipefail
packages='ffmpeg gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good'
dpkg-query -W $packages 2>/dev/null || { { apt-get update -qq && apt-get install -y -qq --no-install-recommends $packages; } >/dev/null; dpkg-query -W $packages; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
timeout 60 gst-launch-1.0 -q audiotestsrc num-buffers=100 samplesperbuffer=960 ! audio/x-raw,rate=48000,channels=1 ! opusenc ! tee name=t \
  t. ! queue ! oggmux ! filesink location=out.ogg t. ! queue ! webmmux ! filesink location=out.webm t. ! queue ! mp4mux ! filesink location=out.mp4
at=$(grep -abo dOps out.mp4 | cut -d: -f1)
field() { od -An -tu1 -j $((at + $1)) -N "$2" out.mp4 | awk '{ for (i = 1; i <= NF; i++) value = value * 256 + $i; printf "%.0f", value }'; }
samples() { ffmpeg -v error -i "out.$1" -f s16le - | wc -c | awk '{ print $1 / 2 }'; }
line="dOps: pre-skip $(field 6 2), rate $(field 8 4); FFmpeg decodes $(samples ogg) samples of ogg, $(samples webm) of webm, $(samples mp4) of mp4"
echo "$line"
[ "$line" = 'dOps: pre-skip 14337, rate 2159738880; FFmpeg decodes 96000 samples of ogg, 96000 of webm, 82623 of mp4' ]
