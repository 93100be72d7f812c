#!/usr/bin/env bash
# SVT-AV1 3.1.2 as in node-av 6.1.1 (FFmpeg's libsvtav1), read on 2026-11-29.
# Where it may, as root may, it makes its threads real-time (SCHED_FIFO, priority 99), and with them the thread that opens the
# encoder. That one stays so after the encoder is freed, and every process that it starts inherits it: a browser started after that
# goes before all else on the machine.
# Output seen:  before SCHED_OTHER, open SCHED_FIFO 99, freed SCHED_FIFO 99, a child SCHED_FIFO 99
# Needs root, and chrt (util-linux).
set -euo pipefail
[ "$(id -u)" = 0 ] || { echo 'only root may have real-time threads'; exit 1; }
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null; npm install --silent --no-audit --no-fund node-av@6.1.1 >/dev/null
cat > open.mjs <<'JS'
import { execFileSync } from 'node:child_process';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { Codec, CodecContext, Rational } from 'node-av/lib';
const asked = (pid) => {
  const said = execFileSync('chrt', ['-p', String(pid)], { encoding: 'utf8' });
  const [, policy, priority] = /policy: (\w+)[^]*priority: (\d+)/.exec(said);
  return priority === '0' ? policy : `${policy} ${priority}`;
};
const found = [`before ${asked(process.pid)}`];
const encoder = Codec.findEncoderByName('libsvtav1');
const context = new CodecContext();
context.allocContext3(encoder);
Object.assign(context, { width: 320, height: 180, pixelFormat: AV_PIX_FMT_YUV420P });
context.timeBase = new Rational(1, 15);
context.framerate = new Rational(15, 1);
if (context.open2Sync(encoder) < 0) throw new Error('the encoder does not open');
found.push(`open ${asked(process.pid)}`);
context.sendFrameSync(null);
context.freeContext();
found.push(`freed ${asked(process.pid)}`);
const own = 'const s = require("node:child_process").execFileSync("chrt", ["-p", String(process.pid)]); process.stdout.write(s)';
const child = execFileSync(process.execPath, ['-e', own], { encoding: 'utf8' });
found.push(`a child ${/policy: (\w+)/.exec(child)[1]} ${/priority: (\d+)/.exec(child)[1]}`);
console.log(found.join(', '));
process.exit(found.join() === 'before SCHED_OTHER,open SCHED_FIFO 99,freed SCHED_FIFO 99,a child SCHED_FIFO 99' ? 0 : 1);
JS
node open.mjs 2>/dev/null
