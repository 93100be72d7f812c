#!/usr/bin/env bash
# mediabunny 1.61.0, with files of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1) read back by it, read on 2026-12-01.
# A WebM tells in CodecDelay how much of an Opus track's beginning is no sound, and in SeekPreRoll how far before a
# place decoding has to begin, 80 ms for Opus (RFC 9559 §5.1.4.1.25 and .26). mediabunny writes the former's value as
# the latter, and no CodecDelay; it reads neither, nor the padding of the last packet. So a WebM copied with it begins
# with 6.5 ms of lead-in as sound, ends with padding as sound, and says that 6.5 ms are enough to seek. From Ogg to WebM
# it is the same; from Ogg to Ogg all is kept.
# Output seen:  before: 96000 samples, CodecDelay 6.5 ms, SeekPreRoll 80 ms; webm to webm: 96648, none, 6.5 ms; ogg to webm: 96648, none, 6.5 ms; ogg to ogg: 96000
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 mediabunny@1.61.0
for kind in webm ogg; do ffmpeg -v error -f lavfi -i sine=r=48000:d=2 -c:a libopus "before.$kind"; done
cat > run.mjs <<'JS'
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { ALL_FORMATS, Conversion, FilePathSource, FilePathTarget, Input, OggOutputFormat, Output, WebMOutputFormat } from 'mediabunny';

async function copy(from, to) {
  const input = new Input({ source: new FilePathSource(from), formats: ALL_FORMATS });
  const format = to.endsWith('.ogg') ? new OggOutputFormat() : new WebMOutputFormat();
  await (await Conversion.init({ input, output: new Output({ format, target: new FilePathTarget(to) }) })).execute();
}
const decoded = (name) =>
  execFileSync('ffmpeg', ['-v', 'error', '-i', name, '-f', 's16le', '-'], { maxBuffer: 2 ** 24 }).length / 2;
/** A track's element of nanoseconds, by its identifier. */
function element(name, id) {
  const bytes = readFileSync(name);
  const at = bytes.indexOf(Buffer.from(id, 'hex'));
  return at < 0 ? 'none' : `${bytes.readUIntBE(at + 3, bytes[at + 2] & 0x7f) / 1e6} ms`;
}
const told = (name) => `${decoded(name)}, ${element(name, '56aa')}, ${element(name, '56bb')}`;
await copy('before.webm', 'webm.webm');
await copy('before.ogg', 'ogg.webm');
await copy('before.ogg', 'ogg.ogg');
const line =
  `before: ${decoded('before.webm')} samples, CodecDelay ${element('before.webm', '56aa')}, SeekPreRoll ${element('before.webm', '56bb')}; ` +
  `webm to webm: ${told('webm.webm')}; ogg to webm: ${told('ogg.webm')}; ogg to ogg: ${decoded('ogg.ogg')}`;
console.log(line);
const seen =
  'before: 96000 samples, CodecDelay 6.5 ms, SeekPreRoll 80 ms; webm to webm: 96648, none, 6.5 ms; ' +
  'ogg to webm: 96648, none, 6.5 ms; ogg to ogg: 96000';
process.exit(line === seen ? 0 : 1);
JS
timeout 60 node_modules/.bin/node run.mjs
