/**
 * A process that publishes over WHIP with FFmpeg's own client, until it is told to stop (SIGTERM) or killed.
 * Arguments: address, bearer token (may be empty). Prints "publishing" when the connection stands.
 */
import { AV_PKT_FLAG_KEY } from 'node-av/constants';
import { Dictionary, FormatContext, Packet, Rational } from 'node-av/lib';
import { AudioEncoder, type Encoded, must, VideoEncoder } from '../support/media/encode.ts';
import { MadePicture, madeSound, SOUND_RATE } from '../support/media/made-media.ts';
import { RED } from '../support/media/participants.ts';

const [url = '', token = ''] = process.argv.slice(2);
const FPS = 30;
const SIZE = { width: 640, height: 360 };

const format = new FormatContext();
must(format.allocOutputContext2(null, 'whip', url), 'choosing the whip muxer');
const video = new VideoEncoder({
  codec: 'h264',
  ...SIZE,
  fps: FPS,
  bitrateKbps: 800,
  gopFrames: FPS,
  globalHeader: true,
});
const audio = new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
const streams = [video, audio].map((encoder) => {
  const stream = format.newStream();
  stream.timeBase = encoder.context.timeBase;
  must(stream.codecpar.fromContext(encoder.context), 'describing a stream');
  return { stream, num: encoder.context.timeBase.num, den: encoder.context.timeBase.den };
});
streams[0]!.stream.avgFrameRate = new Rational(FPS, 1);
must(format.writeHeaderSync(Dictionary.fromObject(token ? { authorization: token } : {})), 'publishing');
console.log('publishing');

let stopping = false;
process.on('SIGTERM', () => {
  stopping = true;
});

function write(index: number, encoded: Encoded[]): void {
  const { stream, num, den } = streams[index]!;
  for (const e of encoded) {
    using packet = new Packet();
    packet.alloc();
    packet.data = e.data;
    packet.pts = BigInt(e.pts);
    packet.dts = BigInt(e.dts);
    packet.duration = BigInt(e.duration);
    packet.streamIndex = index;
    if (e.keyFrame) packet.flags = AV_PKT_FLAG_KEY;
    packet.rescaleTs({ num, den }, stream.timeBase);
    must(format.writeFrameSync(packet), 'sending a packet');
  }
}

const picture = new MadePicture(RED, SIZE);
const startMs = Date.now();
let frames = 0;
let samples = 0;
while (!stopping) {
  const elapsedS = (Date.now() - startMs) / 1000;
  for (; frames / FPS <= elapsedS; frames++) {
    picture.draw(startMs * 1000 + Math.round((frames * 1e6) / FPS));
    write(0, video.encode(picture.i420, frames));
  }
  for (; samples / SOUND_RATE <= elapsedS; samples += audio.frameSamples)
    write(1, audio.encode(madeSound(RED, samples, audio.frameSamples), samples));
  await new Promise((resolve) => setTimeout(resolve, 5));
}
must(format.writeTrailerSync(), 'leaving');
process.exit(0);
