#!/usr/bin/env bash
# FFmpeg 8.1's MPEG-TS muxer (node-av 6.1.1), read on 2026-11-28.
# An Opus packet of one byte is legal (RFC 6716 §3.2.1: a TOC byte and an empty frame), and is what senders with DTX send when a pause
# begins. The muxer refuses it as invalid data; the same packet written as one of code 3 with one empty frame, two bytes, it takes.
# Output seen:  one byte: Invalid data found when processing input; two bytes: taken
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
cat > run.mjs <<'JS'
import { AV_CODEC_ID_OPUS, AV_LOG_QUIET, AVMEDIA_TYPE_AUDIO } from 'node-av/constants';
import { FFmpegError, FormatContext, Log, Packet, Rational } from 'node-av/lib';

Log.setLevel(AV_LOG_QUIET);
const HEAD = Buffer.from('4f707573486561640102380180bb0000000000', 'hex');
const write = async (bytes) => {
  const output = new FormatContext();
  output.allocOutputContext2(null, 'mpegts', 'out.ts');
  const stream = output.newStream(null);
  Object.assign(stream.codecpar, { codecType: AVMEDIA_TYPE_AUDIO, codecId: AV_CODEC_ID_OPUS, sampleRate: 48000, channels: 2, extradata: HEAD });
  stream.timeBase = new Rational(1, 90000);
  await output.openOutput();
  FFmpegError.throwIfError(await output.writeHeader(null), 'header');
  const packet = new Packet();
  packet.alloc();
  Object.assign(packet, { data: Buffer.from(bytes), pts: 0n, dts: 0n, duration: 1800n, streamIndex: 0 });
  const result = await output.writeFrame(packet);
  return result < 0 ? FFmpegError.strerror(result) : 'taken';
};
// 20 ms of stereo CELT: code 0 with nothing after it, and code 3 with a count of one.
const line = `one byte: ${await write([0xfc])}; two bytes: ${await write([0xff, 0x01])}`;
console.log(line);
process.exit(line === 'one byte: Invalid data found when processing input; two bytes: taken' ? 0 : 1);
JS
node_modules/.bin/node run.mjs
