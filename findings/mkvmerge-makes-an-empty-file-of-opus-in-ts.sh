#!/usr/bin/env bash
# mkvmerge 74.0.0 (Debian 12: mkvtoolnix 74.0.0-1+deb12u1), with files of FFmpeg 5.1.9 (7:5.1.9-0+deb12u1), read on
# 2026-12-01.
# mkvmerge reads MPEG-TS and it reads Opus, but not Opus in MPEG-TS. With a picture beside it the sound is left out;
# sound alone becomes a Matroska without a track. It says that 100 % are done, ends with 0 and warns of nothing, and
# identification says `supported: true` with no tracks. So a script that archives slices and removes them after an exit
# code of 0 loses the sound.
# Output seen:  sound alone: exit code 0, warnings 0, tracks 0; with a picture: exit code 0, warnings 0, tracks 1; AAC: tracks 2
# Needs Debian's ffmpeg and mkvtoolnix.
set -euo pipefail
{ command -v ffmpeg && command -v mkvmerge || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg mkvtoolnix; }; } >/dev/null
dpkg-query -W ffmpeg mkvtoolnix
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
picture='-f lavfi -i testsrc2=s=320x180:r=25:d=4 -c:v libx264 -pix_fmt yuv420p'
ffmpeg -v error -f lavfi -i sine=r=48000:d=4 -c:a libopus sound.ts
ffmpeg -v error -f lavfi -i sine=r=48000:d=4 $picture -c:a libopus both.ts
ffmpeg -v error -f lavfi -i sine=r=48000:d=4 $picture -c:a aac aac.ts
codec() { ffprobe -v error -select_streams a -show_entries stream=codec_name -of default=nk=1:nw=1 "$1.ts" | sort -u; }
[ "$(codec sound) $(codec both)" = 'opus opus' ]
merged() {
  code=0; mkvmerge -o "$1.mkv" "$1.ts" > said || code=$?
  echo "exit code $code, warnings $(grep -ci warning said || true), $(tracks "$1")"
}
tracks() { mkvmerge -J "$1.mkv" | awk '/"track_number"|"codec":/ && /"codec":/ { count++ } END { print "tracks " count + 0 }'; }
alone=$(merged sound); both=$(merged both); merged aac > /dev/null
line="sound alone: $alone; with a picture: $both; AAC: $(tracks aac)"
echo "$line"
[ "$line" = 'sound alone: exit code 0, warnings 0, tracks 0; with a picture: exit code 0, warnings 0, tracks 1; AAC: tracks 2' ]
