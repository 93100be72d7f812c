#!/usr/bin/env bash
# ts-ebml 3.0.2, read on 2026-11-29. Needs Debian's ffmpeg.
# Its example for a seekable WebM, `ts-ebml -s in.webm > out.webm`, makes a file that nothing reads, from a WebM that FFmpeg reads. Its
# Encoder returns the `.buffer` of a Buffer, which in Node is the whole pool that small Buffers are cut from: the header is somewhere
# in it, behind what else was there. In browsers, whose Buffer has no pool, the same call returns the header. Exit code 0.
# Output seen:  exit code 0; header of 659 bytes comes as 65536; FFmpeg: EBML header parsing failed
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 ts-ebml@3.0.2
# As a browser's MediaRecorder writes it: no duration, no cues, clusters of unknown size.
ffmpeg -v error -f lavfi -i testsrc2=s=160x120:r=25:d=3 -c:v libvpx -b:v 200k -f webm -live 1 in.webm
code=0; node_modules/.bin/node node_modules/ts-ebml/lib/cli.js -s in.webm > out.webm || code=$?
cat > size.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { Decoder, Reader, tools } from 'ts-ebml';

const reader = new Reader();
for (const element of new Decoder().decode(readFileSync('in.webm'))) reader.read(element);
reader.stop();
const header = tools.makeMetadataSeekable(reader.metadatas, reader.duration, reader.cues);
console.log(`header of ${reader.metadataSize} bytes comes as ${header.byteLength}`);
JS
size=$(node_modules/.bin/node size.mjs)
said=$(ffprobe -v error out.webm 2>&1 | grep -o 'EBML header parsing failed' || true)
line="exit code $code; $size; FFmpeg: ${said:-reads it}"
echo "$line"
[[ $line == 'exit code 0; header of '*' bytes comes as 65536; FFmpeg: EBML header parsing failed' ]]
