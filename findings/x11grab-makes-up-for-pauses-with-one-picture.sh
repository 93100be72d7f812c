#!/usr/bin/env bash
# FFmpeg 8.1's x11grab (node-av 6.1.1) on Xvfb 21.1 (Debian 12: xvfb), read on 2026-11-29.
# x11grab takes a picture when it is asked for one. After a pause of its reader it does not skip what is over: it takes the missing
# pictures one after the other without waiting, until their number is right again. They all show the moment after the pause, and
# their times say so: 1.5 s of pause at 10 pictures a second give 15 pictures within some milliseconds. An encoder after it, which was
# what paused the reader, gets that much more work at once; who counts pictures for time sees no gap where the recording stood still.
# Output seen:  before: 0.10 s apart; pause of 1.5 s: 15 pictures within 0.05 s; then: 0.10 s apart
# Needs Debian's xvfb and libxcb-shm0, libxcb-xfixes0.
set -euo pipefail
{ command -v Xvfb && dpkg -s libxcb-shm0 libxcb-xfixes0 || { apt-get update -qq && apt-get install -y -qq --no-install-recommends xvfb libxcb-shm0 libxcb-xfixes0; }; } >/dev/null
dpkg-query -W xvfb
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
cat > run.mjs <<'JS'
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { AV_LOG_ERROR } from 'node-av/constants';
import { Dictionary, FFmpegError, FormatContext, InputFormat, Log, Packet } from 'node-av/lib';

Log.setLevel(AV_LOG_ERROR);
const x = spawn('Xvfb', ['-displayfd', '3', '-screen', '0', '160x120x24', '-nolisten', 'tcp', '-terminate'], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
process.once('SIGTERM', () => process.exit(1));
process.on('exit', () => x.kill());
const [number] = await once(x.stdio[3], 'data');
const input = new FormatContext();
const options = Dictionary.fromObject({ framerate: '10', video_size: '160x120' });
const opened = await input.openInput(`:${String(number).trim()}`, InputFormat.findInputFormat('x11grab'), options);
FFmpegError.throwIfError(opened, 'open the screen');
const packet = new Packet();
packet.alloc();
const read = async (count) => {
  const times = [];
  for (let n = 0; n < count; n += 1) {
    FFmpegError.throwIfError(await input.readFrame(packet), 'read a picture');
    times.push(Number(packet.pts) / 1e6);
    packet.unref();
  }
  return times;
};
const apart = (times) => times.slice(1).map((time, n) => time - times[n]).sort((a, b) => a - b)[Math.floor(times.length / 2) - 1];
const before = await read(10);
await pause(1500);
const after = await read(25);
const burst = after.filter((time) => time < after[0] + 0.05).length;
console.log(`before: ${apart(before).toFixed(2)} s apart; pause of 1.5 s: ${burst} pictures within 0.05 s; then: ${apart(after.slice(burst)).toFixed(2)} s apart`);
const gap = after[0] - before.at(-1);
process.exit(gap > 1.4 && burst >= 12 && burst <= 18 && Math.abs(apart(before) - 0.1) < 0.03 ? 0 : 1);
JS
timeout 40 node_modules/.bin/node run.mjs
