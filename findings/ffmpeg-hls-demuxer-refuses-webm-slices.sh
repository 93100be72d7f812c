#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-11-28.
# A playlist of WebM slices is refused: the HLS demuxer judges slices by their file names, .mkv is on its list and .webm is not, and
# nothing of the content is looked at. The same pictures in slices of MPEG-TS are read. Chromium with hls.js or an MPD plays WebM.
# Output seen:  URL s0.webm is not in allowed_segment_extensions; the same in .ts: 100 frames
# Needs Debian's ffmpeg.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
for kind in webm:libvpx ts:mpeg2video; do
  ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=10 -t 4 -c:v "${kind#*:}" -r 25 -g 50 -f segment -segment_time 2 "s%d.${kind%:*}"
  printf '#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\ns0.%s\n#EXTINF:2.0,\ns1.%s\n#EXT-X-ENDLIST\n' \
    "${kind%:*}" "${kind%:*}" > "${kind%:*}.m3u8"
done
frames() { ffprobe -v error -count_packets -select_streams v -show_entries stream=nb_read_packets -of csv=p=0 "$1"; }
if said=$(frames webm.m3u8 2>&1); then echo "read as it is: $said"; exit 1; fi
grep -o 'URL s0.webm is not in allowed_segment_extensions' <<< "$said"
read -r count < <(frames ts.m3u8)
count=${count%,}
echo "the same in .ts: $count frames"
[ "$count" = 100 ]
