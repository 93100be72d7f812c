#!/usr/bin/env bash
# node-webvtt 1.9.4, read on 2026-11-29.
# hls.hlsSegment() puts the X-TIMESTAMP-MAP that HLS demands (RFC 8216 §3.5) behind WEBVTT. parse() and hlsSegment() itself refuse such
# a segment, as they do STYLE blocks, which WebVTT has for years; only parse() with { meta: true } takes the former, and nothing
# the latter. And a cue that reaches over the border of two segments is in the first alone, which the playlist then calls longer.
# Output seen:  own segment: Missing blank line after signature, with meta: 1 cue; STYLE: Cue identifier needs to be followed by timestamp (cue #0); cue 5-12 s by 10 s: EXTINF 12
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 node-webvtt@1.9.4
cat > run.mjs <<'JS'
import { hls, parse } from 'node-webvtt';

const captions = 'WEBVTT\n\n00:00:05.000 --> 00:00:12.000\nhello\n';
const [{ content }] = hls.hlsSegment(captions, 10);
const tried = (read) => { try { return `${read().cues.length} cue`; } catch (error) { return error.message; } };
const styled = captions.replace('\n\n', '\n\nSTYLE\n::cue { color: yellow }\n\n');
const [, length] = /#EXTINF:(\d+)/.exec(hls.hlsSegmentPlaylist(captions, 10));
const line = `own segment: ${tried(() => parse(content))}, with meta: ${tried(() => parse(content, { meta: true }))}; ` +
  `STYLE: ${tried(() => parse(styled))}; cue 5-12 s by 10 s: EXTINF ${length}`;
console.log(line);
process.exit(line === 'own segment: Missing blank line after signature, with meta: 1 cue; ' +
  'STYLE: Cue identifier needs to be followed by timestamp (cue #0); cue 5-12 s by 10 s: EXTINF 12' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
