#!/usr/bin/env bash
# node-av 6.1.1 (its high-level Muxer), read on 2026-11-30.
# With one stream, writePacket() rejects when the output fails. With two, packets go through a queue of the muxer's own: when the
# reader at the other end has gone, the error is an unhandled rejection of that queue, which ends a process that has no handler
# for such, and whoever called writePacket() is told nothing. `useAsyncWrite: false` has it reject again.
# Output seen, where the system may as well say `Connection reset by peer`:
#   'one stream': 'writePacket: Failed to write packet: Broken pipe'
#   'two streams': 'unhandled rejection: Failed to write packet: Broken pipe'
#   'two streams, useAsyncWrite: false': 'writePacket: Failed to write packet: Broken pipe'
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
SKIP_FFMPEG=true npm install --silent --no-audit --no-fund node@24.21.0 node-av@6.1.1
cat > run.mjs <<'JS'
import { once } from 'node:events';
import { createServer } from 'node:net';
import { Demuxer, Muxer } from 'node-av/api';

let tell;
process.on('unhandledRejection', (error) => tell?.(`unhandled rejection: ${error.message}`));

/** Writes to a reader that ends its connection after 50 packets, and returns where the failure was told. */
async function write(streams, options) {
  const unhandled = new Promise((resolve) => (tell = resolve));
  const sockets = [];
  const reader = createServer((socket) => sockets.push(socket.on('error', () => {}).resume())).listen(0, '127.0.0.1');
  await once(reader, 'listening');
  const inputs = await Promise.all(
    Array.from({ length: streams }, () => Demuxer.open('sine=duration=60', { format: 'lavfi' })),
  );
  const muxer = await Muxer.open(`tcp://127.0.0.1:${reader.address().port}`, { format: 'nut', ...options });
  const lanes = inputs.map((input) => ({
    index: muxer.addStream(input.streams[0]),
    packets: input.packets(0)[Symbol.asyncIterator](),
  }));
  try {
    for (let n = 0; n < 1000; n++) {
      const { index, packets } = lanes[n % lanes.length];
      const { value } = await packets.next();
      const told = await Promise.race([muxer.writePacket(value, index), unhandled]);
      if (told !== undefined) return told;
      if (n === 50) for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return 'nowhere';
  } catch (error) {
    return `writePacket: ${error.message}`;
  }
}

const seen = {
  'one stream': await write(1, {}),
  'two streams': await write(2, {}),
  'two streams, useAsyncWrite: false': await write(2, { useAsyncWrite: false }),
};
console.log(seen);
const [one, two, sync] = Object.values(seen);
process.exit(one.startsWith('writePacket') && two.startsWith('unhandled') && sync.startsWith('writePacket') ? 0 : 1);
JS
node_modules/.bin/node run.mjs
