#!/usr/bin/env bash
# werift 0.25.2, read on 2026-12-01.
# RTCP packets travel together (RFC 3550 §6.1), and each tells its length. werift's parser hands to each kind all that
# is left of the datagram, and SDES reads to the end of what it is given: the packets behind it are read a second time,
# as further people, of whom some have the head of a packet for their SSRC. Alone, or as the last, the same SDES is read
# right. Senders append feedback, and BYE when they leave.
# Output seen:  SDES last: 1 person; with PLI and BYE behind it: 3 people, of SSRC 1111, 2177761282, 2222
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 werift@0.25.2
cat > run.mjs <<'JS'
import { RtcpPacketConverter } from 'werift';

const packet = (count, type, ...words) => {
  const body = Buffer.concat(words.map((word) => (typeof word === 'number' ? Buffer.from(Uint32Array.of(word).buffer).swap32() : word)));
  return Buffer.concat([Buffer.from([0x80 | count, type, 0, body.length / 4]), body]);
};
const report = packet(0, 200, 1111, 0, 0, 0, 0, 0);
// A CNAME of eight characters, and the zeros that end the chunk.
const people = packet(1, 202, 1111, Buffer.from([1, 8, ...Buffer.from('someuser'), 0, 0]));
const feedback = packet(1, 206, 1111, 2222);
const goodbye = packet(1, 203, 1111);
const chunks = (...packets) => RtcpPacketConverter.deSerialize(Buffer.concat(packets)).find(({ type }) => type === 202).chunks;

const last = chunks(report, people);
const before = chunks(report, people, feedback, goodbye);
const line = `SDES last: ${last.length} person; with PLI and BYE behind it: ${before.length} people, of SSRC ${before.map(({ source }) => source).join(', ')}`;
console.log(line);
process.exit(line === 'SDES last: 1 person; with PLI and BYE behind it: 3 people, of SSRC 1111, 2177761282, 2222' ? 0 : 1);
JS
timeout 60 node_modules/.bin/node run.mjs
