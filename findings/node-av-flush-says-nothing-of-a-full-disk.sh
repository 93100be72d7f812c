#!/usr/bin/env bash
# node-av 6.1.1 (FFmpeg's avio), read on 2026-11-28.
# IOContext.flushSync() returns nothing and throws nothing when the file does not take the bytes; writeSync() and flushSync()
# after it are as silent. Only the context's `error` tells: a writer that does not look takes a full disk for a finished file.
# Output seen:  flush: undefined, error before it 0 and after it -28 (ENOSPC)
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
cat > run.mjs <<'JS'
import { AVIO_FLAG_WRITE } from 'node-av/constants';
import { IOContext } from 'node-av/lib';

const io = new IOContext();
// Linux' own file that is always full.
const opened = io.open2Sync('file:/dev/full', AVIO_FLAG_WRITE);
io.writeSync(Buffer.alloc(1000));
const before = io.error;
const flushed = io.flushSync();
const after = io.error;
console.log(`flush: ${flushed}, error before it ${before} and after it ${after}`);
process.exit(opened >= 0 && flushed === undefined && before === 0 && after === -28 ? 0 : 1);
JS
node_modules/.bin/node run.mjs
