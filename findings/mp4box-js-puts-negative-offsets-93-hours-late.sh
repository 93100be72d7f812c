#!/usr/bin/env bash
# mp4box 2.4.1 (MP4Box.js) and mediabunny 1.61.0, with a file of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on
# 2026-12-01.
# Where pictures are reordered, a picture may be shown before its decoding time: its composition offset is negative,
# which `ctts` and `trun` hold in their version 1 (ISO/IEC 14496-12 §8.6.1.3, §8.8.8). MP4Box.js reads them right, and
# its segments have `trun` of version 0, in which the same bits are an offset of 2^32 more: 93 hours at FFmpeg's time
# scale. FFmpeg reads both versions as signed and shows nothing; readers that go by the version put those pictures
# there. Files without negative offsets come out right.
# Output seen:  as it was: up to 3.96 s; segments: trun of version 0, up to 335548 s; without negative offsets up to 3.96 s
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 mp4box@2.4.1 mediabunny@1.61.0
source='-f lavfi -i testsrc2=s=320x180:r=25:d=4 -c:v libx264 -bf 2 -g 25 -pix_fmt yuv420p'
ffmpeg -v error $source -movflags +negative_cts_offsets negative.mp4
ffmpeg -v error $source plain.mp4
cat > run.mjs <<'JS'
import { readFileSync, writeFileSync } from 'node:fs';
import { ALL_FORMATS, EncodedPacketSink, FilePathSource, Input } from 'mediabunny';
import { createFile, MP4BoxBuffer } from 'mp4box';

/** Writes a file's segments, as MP4Box.js makes them, into another. */
function segment(from, to) {
  const file = createFile();
  const parts = [];
  file.onReady = ({ tracks }) => {
    for (const { id } of tracks) file.setSegmentOptions(id, null, { nbSamples: 25 });
    parts.push(Buffer.from(file.initializeSegmentation().buffer));
    file.onSegment = (_id, _user, buffer) => parts.push(Buffer.from(buffer));
    file.start();
  };
  const { buffer } = Uint8Array.from(readFileSync(from));
  file.appendBuffer(MP4BoxBuffer.fromArrayBuffer(buffer, 0));
  file.flush();
  writeFileSync(to, Buffer.concat(parts));
}
/** The latest time of a picture. */
async function latest(name) {
  const input = new Input({ source: new FilePathSource(name), formats: ALL_FORMATS });
  const times = [];
  for await (const { timestamp } of new EncodedPacketSink(await input.getPrimaryVideoTrack()).packets()) times.push(timestamp);
  return times.length === 100 ? Math.max(...times) : Number.NaN;
}
for (const name of ['negative', 'plain']) segment(`${name}.mp4`, `${name}-segments.mp4`);
const written = readFileSync('negative-segments.mp4');
const versions = new Set();
for (let at = written.indexOf('trun'); at >= 0; at = written.indexOf('trun', at + 4)) versions.add(written[at + 4]);
const line =
  `as it was: up to ${(await latest('negative.mp4')).toFixed(2)} s; segments: trun of version ${[...versions]}, ` +
  `up to ${(await latest('negative-segments.mp4')).toFixed(0)} s; without negative offsets up to ${(await latest('plain-segments.mp4')).toFixed(2)} s`;
console.log(line);
const seen = 'as it was: up to 3.96 s; segments: trun of version 0, up to 335548 s; without negative offsets up to 3.96 s';
process.exit(line === seen ? 0 : 1);
JS
timeout 60 node_modules/.bin/node run.mjs
