/**
 * The process that sends: a number of publishers with one VP8 track each, full packets at a steady rate. What is in
 * them is made once; reception looks at headers only.
 */
import nodeDataChannel from 'node-datachannel';
import { encodePacket } from '../../src/stages/rtp/encode-packet.ts';

export type SenderJob = { publishers: number; packetsPerSecond: number; packetBytes: number };
export type SenderRequest = { type: 'offer' } | { type: 'answer'; answer: string };
export type SenderReply = { type: 'offer'; offer: string } | { type: 'connected' };

const VIDEO_TYPE = 96;
const HEADER_BYTES = 12;
const PACKETS_PER_FRAME = 30;
const FRAMES_PER_KEY_FRAME = 60;
const TICK_MS = 10;

const job = JSON.parse(process.argv[2] ?? '{}') as SenderJob;

class Stream {
  readonly pc = new nodeDataChannel.PeerConnection('sender', { iceServers: [], disableAutoNegotiation: true });
  readonly #track: ReturnType<InstanceType<typeof nodeDataChannel.PeerConnection>['addTrack']>;
  readonly #ssrc: number;
  readonly #payloads: { keyStart: Buffer; start: Buffer; rest: Buffer };
  #sent = 0;

  constructor(index: number) {
    this.#ssrc = 1000 + index;
    const video = new nodeDataChannel.Video('0', 'SendOnly');
    video.addVP8Codec(VIDEO_TYPE);
    video.addSSRC(this.#ssrc, 'bench', 'bench', 'video');
    this.#track = this.pc.addTrack(video);
    const bytes = job.packetBytes - HEADER_BYTES;
    // VP8's payload descriptor (RFC 7741 §4.2), and the frame's first byte, whose lowest bit is 0 in a key frame.
    const keyStart = Buffer.alloc(bytes, 7);
    keyStart.set([0x10, 0x10, 0x00, 0x00, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0x68, 0x01]);
    const start = Buffer.alloc(bytes, 7);
    start.set([0x10, 0x11]);
    const rest = Buffer.alloc(bytes, 7);
    rest.set([0x00]);
    this.#payloads = { keyStart, start, rest };
  }

  get isOpen(): boolean {
    return this.#track.isOpen();
  }

  send(count: number): void {
    for (let i = 0; i < count; i++) {
      const inFrame = this.#sent % PACKETS_PER_FRAME;
      const frame = Math.floor(this.#sent / PACKETS_PER_FRAME);
      const { keyStart, start, rest } = this.#payloads;
      const payload = inFrame > 0 ? rest : frame % FRAMES_PER_KEY_FRAME === 0 ? keyStart : start;
      const datagram = encodePacket({
        payloadType: VIDEO_TYPE,
        sequence: this.#sent,
        timestamp: frame * 3000,
        ssrc: this.#ssrc,
        marker: inFrame === PACKETS_PER_FRAME - 1,
        payload,
      });
      this.#track.sendMessageBinary(datagram);
      this.#sent++;
    }
  }
}

const streams: Stream[] = [];
const reply = (message: SenderReply) => process.send?.(message);

async function offer(): Promise<string> {
  const stream = new Stream(streams.length);
  streams.push(stream);
  const gathered = new Promise<void>((resolve) => {
    stream.pc.onGatheringStateChange((state) => {
      if (state === 'complete') resolve();
    });
  });
  stream.pc.setLocalDescription('offer');
  await gathered;
  return stream.pc.localDescription()?.sdp ?? '';
}

function sendSteadily(): void {
  const began = performance.now();
  let sentEach = 0;
  setInterval(() => {
    const due = Math.floor(((performance.now() - began) / 1000) * (job.packetsPerSecond / job.publishers));
    for (const stream of streams) stream.send(due - sentEach);
    sentEach = due;
  }, TICK_MS);
}

process.on('message', async (request: SenderRequest) => {
  if (request.type === 'offer') {
    reply({ type: 'offer', offer: await offer() });
    return;
  }
  streams.at(-1)?.pc.setRemoteDescription(request.answer, 'answer');
  const timer = setInterval(() => {
    if (!streams.at(-1)?.isOpen) return;
    clearInterval(timer);
    reply({ type: 'connected' });
    if (streams.length === job.publishers) sendSteadily();
  }, 10);
});
process.on('disconnect', () => process.exit(0));
