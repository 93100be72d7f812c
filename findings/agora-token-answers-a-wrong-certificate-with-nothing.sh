#!/usr/bin/env bash
# agora-token 2.0.6, read on 2026-11-29.
# An App ID or App Certificate that is not 32 hexadecimal digits, such as one read from a file with its line's end, makes the builders
# return '' instead of throwing. The server that asked hands an empty token out, and it is the client that fails, later, at
# joining. The same certificate without the line's end gives a token.
# Output seen:  with the line's end: "", without: 007..., 139 characters
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 agora-token@2.0.6
cat > run.mjs <<'JS'
import agora from 'agora-token';

const token = (certificate) => {
  try {
    return agora.RtcTokenBuilder.buildTokenWithUid('0123456789abcdef0123456789abcdef', certificate, 'channel', 1, agora.RtcRole.PUBLISHER, 600, 600);
  } catch (error) {
    return `throws ${error.message}`;
  }
};
const certificate = 'fedcba9876543210fedcba9876543210';
const wrong = token(`${certificate}\n`);
const right = token(certificate);
console.log(`with the line's end: "${wrong}", without: ${right.slice(0, 3)}..., ${right.length} characters`);
process.exit(wrong === '' && right.startsWith('007') ? 0 : 1);
JS
node_modules/.bin/node run.mjs
