#!/usr/bin/env bash
# mpd-parser 1.4.0 (video.js), with an MPD of FFmpeg 5.1.9 (Debian 12: 7:5.1.9-0+deb12u1), read on 2026-12-01.
# An MPD tells by adaptation sets what can be chosen and by representations in how many qualities (ISO/IEC 23009-1
# §5.3.3.1). mpd-parser puts adaptation sets of sound that have neither language nor label into one group, as renditions
# of one sound, and all pictures into one list of qualities, whatever they show. So a player that goes by it has one
# speaker to offer, and may change to the other with the bandwidth. A Label per adaptation set parts the sounds again;
# pictures nothing parts.
# Output seen:  2 people: 2 qualities of the picture, sounds: main (2 qualities); with labels: anna (1), bert (1)
# Needs Debian's ffmpeg.
set -euo pipefail
{ command -v ffmpeg || { apt-get update -qq && apt-get install -y -qq --no-install-recommends ffmpeg; }; } >/dev/null
dpkg-query -W ffmpeg
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 mpd-parser@1.4.0
ffmpeg -v error -f lavfi -i testsrc2=s=320x180:r=25:d=4 -f lavfi -i smptebars=s=320x180:r=25:d=4 -f lavfi -i sine=f=440:d=4 \
  -f lavfi -i sine=f=880:d=4 -map 0 -map 1 -map 2 -map 3 -c:v libx264 -pix_fmt yuv420p -g 25 -c:a aac \
  -adaptation_sets 'id=0,streams=0 id=1,streams=1 id=2,streams=2 id=3,streams=3' -f dash manifest.mpd
cat > run.mjs <<'JS'
import { readFileSync } from 'node:fs';
import { parse } from 'mpd-parser';

const mpd = readFileSync('manifest.mpd', 'utf8');
const people = ['anna', 'bert', 'anna', 'bert'];
const labelled = mpd.replace(/<AdaptationSet id="(\d)"[^>]*>/g, (set, id) => `${set}<Label>${people[id]}</Label>`);
const read = (text) => parse(text, { manifestUri: 'https://films.example/manifest.mpd' });
const sounds = ({ mediaGroups }, unit = '') =>
  Object.entries(mediaGroups.AUDIO.audio).map(([name, { playlists }]) => `${name} (${playlists.length}${unit})`).join(', ');
const plain = read(mpd);
const named = read(labelled);
const line =
  `${mpd.match(/<AdaptationSet [^>]*contentType="video"/g).length} people: ${plain.playlists.length} qualities of the picture, ` +
  `sounds: ${sounds(plain, ' qualities')}; with labels: ${sounds(named)}`;
console.log(line);
const seen = '2 people: 2 qualities of the picture, sounds: main (2 qualities); with labels: anna (1), bert (1)';
process.exit(line === seen && named.playlists.length === 2 && Object.keys(named.mediaGroups.VIDEO).length === 0 ? 0 : 1);
JS
node_modules/.bin/node run.mjs
