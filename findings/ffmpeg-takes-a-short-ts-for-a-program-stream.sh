#!/usr/bin/env bash
# FFmpeg 5.1.9 (Debian's), which this needs installed, read on 2026-11-30.
# A transport stream of fewer than eleven packets that holds two packets of sound is taken for an MPEG program stream, whatever the file
# is called: the program stream's probe counts start codes of sound, while that of the transport stream wants eleven packets before it
# says more than "maybe". The last slice of a recording can be so short. Null packets (ISO/IEC 13818-1 §2.4.1) at its end mend it.
# Output seen:  7 packets: mpeg, none; 11 packets: mpegts, aac
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
# Two frames of AAC, each in a PES of its own.
ffmpeg -v error -f lavfi -i sine=1000:r=48000 -frames:a 2 -c:a aac -b:a 64k -pes_payload_size 0 -f mpegts short.ts
{ printf 'G\037\377\020'; head -c 184 /dev/zero | tr '\0' '\377'; } > null.ts
told() { # what ffprobe takes a file for: its format, and the codec of its sound
  local format codec
  format=$(ffprobe -v quiet -show_entries format=format_name -of csv=p=0 "$1" || true)
  codec=$(ffprobe -v quiet -select_streams a:0 -show_entries stream=codec_name -of csv=p=0 "$1" | head -1 | grep -x aac || true)
  echo "$(($(stat -c %s "$1") / 188)) packets: ${format:-nothing}, ${codec:-none}"
}
cp short.ts long.ts
while [ "$(stat -c %s long.ts)" -lt 2068 ]; do cat null.ts >> long.ts; done
line="$(told short.ts); $(told long.ts)"
echo "$line"
[ "$line" = "7 packets: mpeg, none; 11 packets: mpegts, aac" ]
