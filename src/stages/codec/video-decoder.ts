/**
 * Decodes H.264, VP8, VP9 and AV1 to pictures, in the calling thread, one access unit at a time. Damage in the stream
 * never throws: pictures are marked, and units that gave nothing are counted.
 */

import {
  AV_CODEC_FLAG_LOW_DELAY,
  AV_CODEC_ID_AV1,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_VP8,
  AV_CODEC_ID_VP9,
  AV_FRAME_FLAG_CORRUPT,
  AV_NOPTS_VALUE,
  AV_PIX_FMT_YUV420P,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_SPC_BT470BG,
  AVCOL_SPC_SMPTE170M,
  AVCOL_SPC_UNSPECIFIED,
  type AVColorSpace,
  AVERROR_EAGAIN,
  AVERROR_EOF,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, type Packet, Rational, SoftwareScaleContext } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { type Orientation, sampleAspectOf } from '../../media/frame.ts';
import type { VideoCodec, VideoColor } from '../../media/track.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import { NativePicture, tagColor } from './picture-pool.ts';

/** `damaged`: concealed, or predicted from a damaged picture; true from the damage to the next key frame. */
export type DecodedPicture = { picture: NativePicture; ptsUs: RecordingUs; damaged: boolean };

/** For AV1 FFmpeg prefers dav1d; its own decoder needs hardware. */
const CODEC_IDS = {
  h264: AV_CODEC_ID_H264,
  vp8: AV_CODEC_ID_VP8,
  vp9: AV_CODEC_ID_VP9,
  av1: AV_CODEC_ID_AV1,
} as const;

/** More units than a decoder ever holds back. */
const MAX_HELD = 64;

/** What the sender said of a picture outside the stream. */
type Said = { color?: VideoColor | undefined; orientation?: Orientation | undefined };

export class VideoDecoder {
  readonly codec: VideoCodec;
  #context: CodecContext;
  #packet: Packet;
  /** The next picture is received into it. */
  #frame: Frame;
  #closed = false;
  #converter: SoftwareScaleContext | undefined;
  #damaged = false;
  /** What was said of the units in the decoder, by their times. */
  #said = new Map<bigint, Said>();
  #undecodable = 0;

  /** Throws a Fault when FFmpeg refuses the codec, which means a broken installation. */
  constructor(codec: VideoCodec) {
    this.codec = codec;
    this.#context = openDecoder(codec);
    this.#packet = newPacket();
    this.#frame = newFrame();
  }

  /** How many access units FFmpeg has refused. */
  get undecodable(): number {
    return this.#undecodable;
  }

  /**
   * Decodes one access unit (Annex B, one VP8 or VP9 frame, one AV1 temporal unit) and returns the finished pictures,
   * in display order; with B-frames they come with later units. The caller frees the pictures.
   * @param sample.color what the sender said of its colours outside the stream, where VP8 has no place for it
   * @param sample.orientation how the sender said the picture stands; the picture carries it
   */
  decode(sample: {
    data: Buffer;
    ptsUs: RecordingUs;
    color?: VideoColor | undefined;
    orientation?: Orientation | undefined;
  }): DecodedPicture[] {
    // An empty packet would tell FFmpeg that the stream has ended.
    if (sample.data.length === 0) return [];
    this.#packet.unref();
    this.#packet.data = sample.data;
    const pts = BigInt(Math.round(sample.ptsUs));
    this.#packet.pts = pts;
    this.#say(pts, sample);
    const sent = this.#context.sendPacketSync(this.#packet);
    this.#packet.unref();
    if (sent < 0) {
      this.#undecodable++;
      this.#damaged = true;
    }
    return this.#receive();
  }

  /**
   * Returns the pictures that were held back for reordering. Afterwards the decoder takes new units, starting with a
   * key frame.
   */
  flush(): DecodedPicture[] {
    this.#context.sendPacketSync(null);
    const pictures = this.#receive();
    this.reset();
    return pictures;
  }

  /** Forgets everything received; the next unit should be a key frame. */
  reset(): void {
    this.#context.flushBuffers();
    this.#damaged = false;
    this.#said.clear();
  }

  /** Calling it again does nothing. Pictures handed out stay with their owners. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#converter?.freeContext();
    freePacket(this.#packet);
    freeFrame(this.#frame);
    this.#context.freeContext();
  }

  #receive(): DecodedPicture[] {
    const pictures: DecodedPicture[] = [];
    for (;;) {
      const result = this.#context.receiveFrameSync(this.#frame);
      if (result < 0) {
        if (result !== AVERROR_EAGAIN && result !== AVERROR_EOF) {
          this.#undecodable++;
          this.#damaged = true;
        }
        return pictures;
      }
      const frame = this.#frame;
      this.#frame = newFrame();
      const hurt = frame.decodeErrorFlags !== 0 || frame.hasFlags(AV_FRAME_FLAG_CORRUPT);
      this.#damaged = hurt || (this.#damaged && !frame.keyFrame);
      const pts = frame.pts === AV_NOPTS_VALUE ? frame.bestEffortTimestamp : frame.pts;
      const said = this.#said.get(pts);
      this.#said.delete(pts);
      if (said?.color) {
        frame.colorRange = said.color.fullRange ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
        // FFmpeg's numbers are those of H.273.
        frame.colorSpace = said.color.matrix as AVColorSpace;
      }
      const ptsUs = Number(pts);
      const shown = { orientation: said?.orientation, sampleAspect: sampleAspectOf(frame.sampleAspectRatio) };
      const plain = this.#toPlain(frame);
      if (!plain) continue;
      pictures.push({ picture: NativePicture.wrap(plain, shown), ptsUs, damaged: this.#damaged });
    }
  }

  #say(pts: bigint, { color, orientation }: Said): void {
    this.#said.set(pts, { color, orientation });
    const [oldest] = this.#said.keys();
    // Units that give no picture would never be asked about.
    if (this.#said.size > MAX_HELD && oldest !== undefined) this.#said.delete(oldest);
  }

  /** The frame as Picture promises it. Nearly always it is so already. */
  #toPlain(frame: Frame): Frame | undefined {
    if (isPlain(frame)) return frame;
    const plain = newFrame();
    plain.format = AV_PIX_FMT_YUV420P;
    plain.width = frame.width;
    plain.height = frame.height;
    tagColor(plain);
    // Only range and matrix are converted. Converting the transfer would change the brightness: what a sender calls
    // sRGB is shown unconverted everywhere else.
    plain.colorTrc = frame.colorTrc;
    plain.colorPrimaries = frame.colorPrimaries;
    this.#converter ??= newConverter();
    const failed = plain.getBuffer() < 0 || this.#converter.scaleFrameSync(plain, frame) < 0;
    freeFrame(frame);
    tagColor(plain);
    if (!failed) return plain;
    freeFrame(plain);
    this.#undecodable++;
    return undefined;
  }
}

function openDecoder(codec: VideoCodec): CodecContext {
  const decoder = Codec.findDecoder(CODEC_IDS[codec]);
  if (!decoder) throw new Fault('codec-missing', `this FFmpeg build has no ${codec} decoder`, { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(decoder);
  // Each further thread would hold a picture back.
  context.threadCount = 1;
  // With this flag H.264 pictures come in decode order instead of display order; the other codecs do not reorder.
  if (codec !== 'h264') context.setFlags(AV_CODEC_FLAG_LOW_DELAY);
  context.pktTimebase = new Rational(1, 1_000_000);
  const result = context.open2Sync(decoder);
  if (result < 0) {
    context.freeContext();
    throw new Fault('codec-open', `the ${codec} decoder did not open`, {
      blame: 'self',
      cause: new FFmpegError(result),
    });
  }
  return context;
}

function newConverter(): SoftwareScaleContext {
  const context = new SoftwareScaleContext();
  context.allocContext();
  return context;
}

function isPlain(frame: Frame): boolean {
  if (frame.format !== AV_PIX_FMT_YUV420P || frame.colorRange === AVCOL_RANGE_JPEG) return false;
  const space = frame.colorSpace;
  return space === AVCOL_SPC_UNSPECIFIED || space === AVCOL_SPC_SMPTE170M || space === AVCOL_SPC_BT470BG;
}
