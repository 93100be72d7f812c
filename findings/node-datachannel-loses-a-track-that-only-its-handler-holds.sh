#!/usr/bin/env bash
# node-datachannel 0.33.4, read on 2026-11-29.
# A Track from onTrack is collected as garbage when nothing but its own handlers refers to it. From then on its packets go nowhere:
# onMessage is not called any more, onClosed is not called either, and the peer stays connected. It looks like a publisher who
# fell silent, after a time that depends on the memory. Keeping the object in a variable ends that. (Their issue 76 tells of data
# channels; neither README nor API.md says it of tracks.)
# Output seen:  100 packets before a collection and 0 of 100 after it, closed 0 times, connected; kept: 100 and 100
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT; cd "$dir"
npm init -y >/dev/null
npm install --silent --no-audit --no-fund node@24.21.0 node-datachannel@0.33.4
cat > run.mjs <<'JS'
import { setTimeout as pause } from 'node:timers/promises';
import { Audio, PeerConnection } from 'node-datachannel';

const kept = [];
const run = async (keep) => {
  const sender = new PeerConnection('sender', { iceServers: [] });
  const receiver = new PeerConnection('receiver', { iceServers: [] });
  let received = 0;
  let closed = 0;
  receiver.onTrack((track) => {
    track.onMessage(() => { received += 1; });
    track.onClosed(() => { closed += 1; });
    if (keep) kept.push(track);
  });
  for (const [from, to] of [[sender, receiver], [receiver, sender]]) {
    from.onLocalDescription((sdp, type) => to.setRemoteDescription(sdp, type));
    from.onLocalCandidate((candidate, mid) => to.addRemoteCandidate(candidate, mid));
  }
  const section = new Audio('0', 'SendOnly');
  section.addOpusCodec(111);
  section.addSSRC(1234, 'sender');
  const track = sender.addTrack(section);
  kept.push(sender, receiver, track);
  const open = new Promise((done) => track.onOpen(done));
  sender.setLocalDescription();
  await open;
  let sequence = 0;
  const send = async (count) => {
    const from = received;
    for (let n = 0; n < count; n += 1) {
      const packet = Buffer.alloc(60);
      packet.writeUInt16BE(0x806f, 0);
      packet.writeUInt16BE(sequence, 2);
      packet.writeUInt32BE(sequence * 960, 4);
      packet.writeUInt32BE(1234, 8);
      track.sendMessageBinary(packet);
      sequence += 1;
      await pause(5);
    }
    await pause(200);
    return received - from;
  };
  const before = await send(100);
  for (let n = 0; n < 5; n += 1) {
    globalThis.gc();
    await pause(20);
  }
  const after = await send(100);
  return { before, after, closed, state: receiver.state() };
};
const lost = await run(false);
const held = await run(true);
const line = `${lost.before} packets before a collection and ${lost.after} of 100 after it, closed ${lost.closed} times, ${lost.state}; kept: ${held.before} and ${held.after}`;
console.log(line);
process.exit(line === '100 packets before a collection and 0 of 100 after it, closed 0 times, connected; kept: 100 and 100' ? 0 : 1);
JS
timeout 40 node_modules/.bin/node --expose-gc run.mjs
