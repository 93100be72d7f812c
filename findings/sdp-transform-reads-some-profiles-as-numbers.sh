#!/usr/bin/env bash
# sdp-transform 3.0.0, read on 2026-11-29.
# parseParams turns a value into a number when it looks like one. profile-level-id is six hexadecimal digits (RFC 6184 §8.1), so its
# type depends on the publisher: High 4.0 (640028) and 5.0 (640032) come as numbers, High 3.1 (64001f) and Constrained Baseline 3.1
# (42e01f) as strings. `.slice`, `.toLowerCase` or a comparison with a string then fail for some publishers only.
# libmediasoupclient met the same in the C++ port (its issue 60).
# Output seen:  42e01f string, 64001f string, 640028 number, 640032 number
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 sdp-transform@3.0.0
cat > run.mjs <<'JS'
import { parseParams } from 'sdp-transform';

const typeOf = (id) => `${id} ${typeof parseParams(`level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=${id}`)['profile-level-id']}`;
const line = ['42e01f', '64001f', '640028', '640032'].map(typeOf).join(', ');
console.log(line);
process.exit(line === '42e01f string, 64001f string, 640028 number, 640032 number' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
