/**
 * Publisher A: made media sent by FFmpeg's own WHIP client (libavformat's `whip` muxer): H.264 baseline without
 * B-frames, stereo Opus, sender reports by FFmpeg. Nothing of ours stands between the encoders and the wire.
 */
import { AV_PKT_FLAG_KEY } from 'node-av/constants';
import { Dictionary, FormatContext, Packet, Rational, type Stream } from 'node-av/lib';
import { AudioEncoder, type Encoded, must, VideoEncoder } from '../media/encode.ts';
import { MadePicture, madeSound, SOUND_RATE } from '../media/made-media.ts';
import { startPace } from './pace.ts';
import type { PublishOptions } from './publisher.ts';

const US_BASE = { num: 1, den: 1_000_000 };

export class FfmpegPublisher {
  #format = new FormatContext();
  #video: VideoEncoder;
  #audio: AudioEncoder;
  #streams: Stream[];
  #pace: { stop(): void } | undefined;
  #failed: (error: unknown) => void;

  /** Connects and begins to send. Rejects with an Error when the server refuses or the network fails. */
  static async start(options: PublishOptions, failed: (error: unknown) => void): Promise<FfmpegPublisher> {
    const publisher = new FfmpegPublisher(options, failed);
    await publisher.#open(options);
    return publisher;
  }

  private constructor(options: PublishOptions, failed: (error: unknown) => void) {
    const { url, width, height, fps, bitrateKbps } = options;
    must(this.#format.allocOutputContext2(null, 'whip', url), 'choosing the whip muxer');
    const gopFrames = Math.round(fps * (options.gopS ?? 1));
    this.#video = new VideoEncoder({ codec: 'h264', width, height, fps, bitrateKbps, gopFrames, globalHeader: true });
    this.#audio = new AudioEncoder({ codec: 'opus', channels: 2, bitrateKbps: 64 });
    this.#streams = [this.#video, this.#audio].map(({ context }) => {
      const stream = this.#format.newStream();
      stream.timeBase = context.timeBase;
      must(stream.codecpar.fromContext(context), 'describing a stream');
      return stream;
    });
    (this.#streams[0] as Stream).avgFrameRate = new Rational(fps, 1);
    this.#failed = failed;
  }

  async #open(options: PublishOptions): Promise<void> {
    const header = Dictionary.fromObject(options.token ? { authorization: options.token } : {});
    must(await this.#format.writeHeader(header), `publishing to ${options.url}`);
    const { fps, participant } = options;
    const picture = new MadePicture(participant, options);
    let firstFrame: number | undefined;
    let zeroUs = 0;
    const guard = (send: () => void) => {
      try {
        send();
      } catch (error) {
        this.#pace?.stop();
        this.#failed(error);
      }
    };
    const pace = startPace({
      fps,
      blockSamples: this.#audio.frameSamples,
      onFrame: (n) =>
        guard(() => {
          firstFrame ??= n;
          picture.draw(Math.round((n * 1e6) / fps));
          this.#write(0, this.#video.encode(picture.i420, n - (firstFrame as number)), (pts) => {
            return ((pts + (firstFrame as number)) * 1e6) / fps - zeroUs;
          });
        }),
      onSound: (startSample) =>
        guard(() => {
          const mono = madeSound(participant, startSample, this.#audio.frameSamples);
          this.#write(1, this.#audio.encode(mono, startSample), (pts) => (pts * 1e6) / SOUND_RATE - zeroUs);
        }),
    });
    // FFmpeg's sender reports say that time stamp 0 is the moment the muxer was opened.
    zeroUs = pace.startUs;
    this.#pace = pace;
  }

  /** Leaves with a DELETE and frees everything. */
  async stop(): Promise<void> {
    this.#pace?.stop();
    await this.#format.writeTrailer();
    this.#format.freeContext();
    this.#video.close();
    this.#audio.close();
  }

  /** @param toUs time of a packet since the muxer was opened, from its encoder's pts */
  #write(index: number, encoded: Encoded[], toUs: (pts: number) => number): void {
    const stream = this.#streams[index] as Stream;
    for (const e of encoded) {
      using packet = new Packet();
      packet.alloc();
      packet.data = e.data;
      packet.pts = BigInt(Math.round(toUs(e.pts)));
      packet.dts = packet.pts;
      packet.streamIndex = index;
      if (e.keyFrame) packet.flags = AV_PKT_FLAG_KEY;
      packet.rescaleTs(US_BASE, stream.timeBase);
      must(this.#format.writeFrameSync(packet), 'sending a packet');
    }
  }
}
