/**
 * Reads a recording through FFmpeg's libraries (node-av, so that no ffmpeg program is needed): packets, pictures,
 * sound. Times are seconds on the file's own clock: an MP4's zero is its movie start (edit lists applied), a transport
 * stream's or playlist's zero is its first timestamp.
 */
import {
  AV_LOG_QUIET,
  AV_NOPTS_VALUE,
  AV_PIX_FMT_RGB24,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVJ420P,
  AV_SAMPLE_FMT_FLTP,
  AV_SAMPLE_FMT_S16,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, FormatContext, Frame, Log, Packet, type Stream } from 'node-av/lib';

/**
 * A decoded picture: 4:2:0, or where the file has it so one plane of RGB24. Planes are valid only during the callback.
 */
export type ShownPicture = {
  atS: number;
  width: number;
  height: number;
  planes: readonly Buffer[];
  strides: readonly number[];
};

/** A run of decoded sound, as it is and with its channels averaged to one. */
type SoundBlock = { atS: number; sampleRate: number; channels: Float32Array[]; mono: Float32Array };

export type PacketNote = {
  kind: 'video' | 'audio';
  ptsS: number;
  dtsS: number;
  durationS: number;
  keyFrame: boolean;
  bytes: number;
};

export type MediaSink = {
  onPacket?(packet: PacketNote): void;
  onPicture?(picture: ShownPicture): void;
  onSound?(block: SoundBlock): void;
};

export type ReadResult = {
  /** Seconds on the container's own timestamps that were taken as zero. */
  zeroS: number;
  /** Packets that a decoder refused and pictures it marked as damaged. */
  damaged: number;
};

/**
 * Opens a file or playlist, hands its contents to `use`, and closes it. Throws an Error naming the file when it cannot
 * be read.
 */
export function withInput<T>(path: string, use: (input: FormatContext) => T): T {
  Log.setLevel(AV_LOG_QUIET);
  const input = new FormatContext();
  const opened = input.openInputSync(path);
  if (opened < 0) throw new Error(`${path} cannot be opened: ${FFmpegError.strerror(opened)}`);
  try {
    const found = input.findStreamInfoSync();
    if (found < 0) throw new Error(`${path} has no readable streams: ${FFmpegError.strerror(found)}`);
    return use(input);
  } finally {
    input.closeInputSync();
  }
}

/** What counts as time zero of `input`, seconds. */
export function zeroOf(input: FormatContext): number {
  if (input.iformat?.name?.includes('mp4')) return 0;
  return input.startTime === AV_NOPTS_VALUE ? 0 : Number(input.startTime) / 1e6;
}

/**
 * Reads the whole file once. Decodes only what the sink asks for.
 * @param soundTrack which of several tracks of sound is read, from 0; the one that players take when left out
 */
export function readMedia(path: string, sink: MediaSink, soundTrack?: number): ReadResult {
  return withInput(path, (input) => {
    const zeroS = zeroOf(input);
    const lanes = new Map<number, Lane>();
    for (const type of [AVMEDIA_TYPE_VIDEO, AVMEDIA_TYPE_AUDIO]) {
      const stream =
        type === AVMEDIA_TYPE_AUDIO && soundTrack !== undefined
          ? input.streams.filter(({ codecpar }) => codecpar.codecType === type)[soundTrack]
          : input.streams[input.findBestStream(type)];
      if (!stream) continue;
      const kind = type === AVMEDIA_TYPE_VIDEO ? 'video' : 'audio';
      const decode = kind === 'video' ? sink.onPicture : sink.onSound;
      lanes.set(stream.index, new Lane(kind, stream, zeroS, sink, decode !== undefined));
    }
    using packet = new Packet();
    packet.alloc();
    try {
      for (;;) {
        const code = input.readFrameSync(packet);
        if (code === AVERROR_EOF) break;
        if (code < 0) throw new Error(`${path} breaks off: ${FFmpegError.strerror(code)}`);
        lanes.get(packet.streamIndex)?.take(packet);
        packet.unref();
      }
      for (const lane of lanes.values()) lane.finish();
    } finally {
      for (const lane of lanes.values()) lane.close();
    }
    return { zeroS, damaged: [...lanes.values()].reduce((sum, lane) => sum + lane.damaged, 0) };
  });
}

/** One stream on its way from packets to the sink. */
class Lane {
  damaged = 0;
  #kind: 'video' | 'audio';
  #base: number;
  #zeroS: number;
  #sink: MediaSink;
  #decoder: CodecContext | undefined;
  #frame = new Frame();

  constructor(kind: 'video' | 'audio', stream: Stream, zeroS: number, sink: MediaSink, decode: boolean) {
    this.#kind = kind;
    this.#base = stream.timeBase.num / stream.timeBase.den;
    this.#zeroS = zeroS;
    this.#sink = sink;
    this.#frame.alloc();
    if (!decode) return;
    const codec = Codec.findDecoder(stream.codecpar.codecId);
    if (!codec) throw new Error(`no decoder for the ${kind} stream`);
    const context = new CodecContext();
    context.allocContext3(codec);
    context.parametersToContext(stream.codecpar);
    context.pktTimebase = stream.timeBase;
    context.threadCount = 1;
    const code = context.open2Sync(codec);
    if (code < 0) throw new Error(`the ${kind} decoder does not open: ${FFmpegError.strerror(code)}`);
    this.#decoder = context;
  }

  take(packet: Packet): void {
    this.#sink.onPacket?.({
      kind: this.#kind,
      ptsS: this.#seconds(packet.pts),
      dtsS: this.#seconds(packet.dts),
      durationS: Number(packet.duration) * this.#base,
      keyFrame: packet.isKeyframe,
      bytes: packet.size,
    });
    if (!this.#decoder) return;
    if (this.#decoder.sendPacketSync(packet) < 0) this.damaged++;
    this.#drain(this.#decoder);
  }

  finish(): void {
    if (!this.#decoder) return;
    this.#decoder.sendPacketSync(null);
    this.#drain(this.#decoder);
  }

  close(): void {
    this.#frame.free();
    this.#decoder?.freeContext();
  }

  #seconds(ticks: bigint): number {
    return ticks === AV_NOPTS_VALUE ? Number.NaN : Number(ticks) * this.#base - this.#zeroS;
  }

  #drain(decoder: CodecContext): void {
    for (;;) {
      const code = decoder.receiveFrameSync(this.#frame);
      if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return;
      if (code < 0) {
        this.damaged++;
        return;
      }
      if (this.#frame.decodeErrorFlags !== 0) this.damaged++;
      if (this.#kind === 'video') this.#sink.onPicture?.(pictureOf(this.#frame, this.#seconds(this.#ptsOf())));
      else this.#sink.onSound?.(soundOf(this.#frame, this.#seconds(this.#ptsOf())));
      this.#frame.unref();
    }
  }

  #ptsOf(): bigint {
    return this.#frame.pts === AV_NOPTS_VALUE ? this.#frame.bestEffortTimestamp : this.#frame.pts;
  }
}

const FORMATS: readonly unknown[] = [AV_PIX_FMT_YUV420P, AV_PIX_FMT_YUVJ420P, AV_PIX_FMT_RGB24];

function pictureOf(frame: Frame, atS: number): ShownPicture {
  if (!FORMATS.includes(frame.format))
    throw new Error(`the picture is neither 8-bit 4:2:0 nor RGB24 (pixel format ${frame.format})`);
  return { atS, width: frame.width, height: frame.height, planes: frame.data ?? [], strides: frame.linesize };
}

function soundOf(frame: Frame, atS: number): SoundBlock {
  const channels = Array.from({ length: frame.channels }, (_, channel) => channelOf(frame, channel));
  const mono = new Float32Array(frame.nbSamples);
  for (const samples of channels)
    for (let i = 0; i < mono.length; i++) mono[i] = (mono[i] as number) + (samples[i] as number) / channels.length;
  return { atS, sampleRate: frame.sampleRate, channels, mono };
}

/** A copy, as the frame's memory is used again. */
function channelOf(frame: Frame, channel: number): Float32Array {
  const { nbSamples, channels } = frame;
  const planes = frame.extendedData ?? [];
  if (frame.format === AV_SAMPLE_FMT_FLTP) {
    const plane = planes[channel]!;
    return new Float32Array(plane.buffer, plane.byteOffset, nbSamples).slice();
  }
  if (frame.format !== AV_SAMPLE_FMT_S16)
    throw new Error(`the sound is neither planar float nor 16 bits (sample format ${frame.format})`);
  const all = new Int16Array(planes[0]!.buffer, planes[0]!.byteOffset, nbSamples * channels);
  return Float32Array.from({ length: nbSamples }, (_, i) => all[i * channels + channel]! / 32_768);
}
