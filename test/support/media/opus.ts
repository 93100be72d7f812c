/**
 * Opus packets for tests: a signal encoded by libopus, with the settings that publishers use.
 */
import { AV_CHANNEL_ORDER_NATIVE, AV_SAMPLE_FMT_FLT, FF_ENCODER_LIBOPUS } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Rational } from 'node-av/lib';
import { freeFrame, freePacket, newFrame, newPacket } from '../../../src/stages/codec/native-frames.ts';

export type OpusSettings = {
  channels: 1 | 2;
  bitrate: number;
  application: 'voip' | 'audio' | 'lowdelay';
  frameMs: 2.5 | 5 | 10 | 20 | 40 | 60 | 120;
  /** Each frame is in the next packet once more, as for a network that loses a fifth of all packets. */
  redundant?: boolean;
};

/** Encodes mono 48 kHz samples, the same in every channel, to one packet per frame; the rest of a frame is left out. */
export function encodeOpus(samples: Float32Array, settings: OpusSettings): { data: Buffer; ptsUs: number }[] {
  const { channels } = settings;
  const layout = { nbChannels: channels, order: AV_CHANNEL_ORDER_NATIVE, mask: channels === 1 ? 4n : 3n };
  const codec = Codec.findEncoderByName(FF_ENCODER_LIBOPUS)!;
  const context = new CodecContext();
  context.allocContext3(codec);
  context.sampleRate = 48000;
  context.sampleFormat = AV_SAMPLE_FMT_FLT;
  context.channelLayout = layout;
  context.bitRate = BigInt(settings.bitrate);
  context.timeBase = new Rational(1, 48000);
  context.setOption('application', settings.application);
  context.setOption('frame_duration', String(settings.frameMs));
  if (settings.redundant) {
    context.setOption('fec', '1');
    context.setOption('packet_loss', '20');
  }
  FFmpegError.throwIfError(context.open2Sync(codec), 'opening libopus');

  const packets: { data: Buffer; ptsUs: number }[] = [];
  const size = context.frameSize;
  const packet = newPacket();
  for (let at = 0; at + size <= samples.length; at += size) {
    const frame = newFrame();
    frame.format = AV_SAMPLE_FMT_FLT;
    frame.sampleRate = 48000;
    frame.nbSamples = size;
    frame.channelLayout = layout;
    FFmpegError.throwIfError(frame.getBuffer(), 'allocating sound');
    const bytes = frame.data![0]!;
    const interleaved = new Float32Array(bytes.buffer, bytes.byteOffset, size * channels);
    for (let i = 0; i < interleaved.length; i++) interleaved[i] = samples[at + Math.floor(i / channels)]!;
    frame.pts = BigInt(at);
    FFmpegError.throwIfError(context.sendFrameSync(frame), 'encoding Opus');
    freeFrame(frame);
    while (context.receivePacketSync(packet) >= 0) {
      // RTP stamps a packet with the time of the first sample that went into it.
      packets.push({ data: Buffer.from(packet.data!), ptsUs: ((packets.length * size) / 48000) * 1e6 });
      packet.unref();
    }
  }
  freePacket(packet);
  context.freeContext();
  return packets;
}

/** A sweep from 300 Hz upwards that begins at sample `onset`; its place can be found again to the sample. */
export function sweep(samples: number, onset: number): Float32Array {
  return Float32Array.from({ length: samples }, (_, i) => {
    const t = (i - onset) / 48000;
    return t < 0 ? 0 : 0.4 * Math.sin(2 * Math.PI * (300 * t + 4000 * t * t));
  });
}

/** By how many samples `heard` is later than `sent`, found by correlating a stretch from `from` on. */
export function lagOf(sent: Float32Array, heard: Float32Array, from: number): number {
  let best = Number.NEGATIVE_INFINITY;
  let bestLag = 0;
  for (let lag = -600; lag <= 600; lag++) {
    let sum = 0;
    for (let i = from; i < from + 1400; i++) sum += sent[i]! * (heard[i + lag] ?? 0);
    if (sum > best) {
      best = sum;
      bestLag = lag;
    }
  }
  return bestLag;
}
