#!/usr/bin/env bash
# sdp-transform 3.0.0, read on 2026-11-29.
# write(parse(offer)) is not the offer. Of several a=fingerprint lines (RFC 8122 §5) the last stands for all, of several ICE options
# the first (so `trickle ice2` no longer says ice2, which RFC 8445 §10 wants), and a candidate loses its ufrag with all that
# follows. Unknown lines, on the other hand, are kept. Who trims an offer with it before passing it on may leave a fingerprint
# that the DTLS library does not know, and candidates that belong to no generation of ICE.
# Output seen:  fingerprints 2 -> 1 (sha-512), ICE options trickle ice2 -> trickle, candidate's ufrag lost, unknown line kept
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 sdp-transform@3.0.0
cat > run.mjs <<'JS'
import { parse, write } from 'sdp-transform';

const fingerprint = (name, bytes) => `a=fingerprint:${name} ${Array(bytes).fill('0A').join(':')}`;
const offer = [
  'v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=ice-options:trickle ice2',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111', 'c=IN IP4 0.0.0.0', 'a=ice-ufrag:abcd', 'a=ice-pwd:0123456789012345678901',
  fingerprint('sha-256', 32), fingerprint('sha-512', 64), 'a=setup:actpass', 'a=mid:0', 'a=sendonly', 'a=rtcp-mux',
  'a=rtpmap:111 opus/48000/2', 'a=candidate:1 1 udp 2113937151 192.0.2.1 54400 typ host generation 0 ufrag abcd network-cost 10',
  'a=unknown-to-all:1', '',
].join('\r\n');
const written = write(parse(offer));
const found = (pattern, text = written) => [...text.matchAll(pattern)].map(([, match]) => match);
const before = found(/a=fingerprint:(\S+)/g, offer);
const after = found(/a=fingerprint:(\S+)/g);
const line = [
  `fingerprints ${before.length} -> ${after.length} (${after})`,
  `ICE options ${found(/a=ice-options:(.*)\r/g, offer)} -> ${found(/a=ice-options:(.*)\r/g)}`,
  `candidate's ufrag ${/a=candidate.*ufrag/.test(written) ? 'kept' : 'lost'}`,
  `unknown line ${written.includes('a=unknown-to-all:1') ? 'kept' : 'lost'}`,
].join(', ');
console.log(line);
process.exit(line === "fingerprints 2 -> 1 (sha-512), ICE options trickle ice2 -> trickle, candidate's ufrag lost, unknown line kept" ? 0 : 1);
JS
node_modules/.bin/node run.mjs
