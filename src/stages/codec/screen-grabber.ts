/**
 * ScreenGrabber: pictures of the top left corner of an X screen, at a steady rate, each with the moment at which it was
 * read.
 */
import {
  AV_CODEC_ID_RAWVIDEO,
  AV_PIX_FMT_BGR0,
  AV_PIX_FMT_YUV420P,
  AVERROR_EAGAIN,
  SWS_POINT,
} from 'node-av/constants';
import {
  Codec,
  CodecContext,
  Dictionary,
  FFmpegError,
  FormatContext,
  type Frame,
  InputFormat,
  type Packet,
  SoftwareScaleContext,
} from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import type { UtcUs } from '../../kernel/time.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import type { NativePicture, PicturePool } from './picture-pool.ts';

export type GrabOptions = {
  /** As of DISPLAY. */
  display: string;
  /** Even. */
  width: number;
  height: number;
  fps: number;
  pool: PicturePool;
};

export type ReadPicture = { picture: NativePicture; utcUs: UtcUs; changed: boolean };

export class ScreenGrabber {
  readonly #context: FormatContext;
  readonly #packet: Packet;
  /** Turns a packet's memory into a frame without copying. node-av copies a packet when it is asked for its bytes. */
  readonly #decoder: CodecContext;
  /** The frame that is read next, and the last one, with which the next is compared. */
  #frames: [Frame, Frame];
  #last: Buffer | undefined;
  readonly #scaler: SoftwareScaleContext;
  readonly #o: GrabOptions;
  #closed = false;

  private constructor(options: GrabOptions, context: FormatContext) {
    this.#o = options;
    this.#context = context;
    this.#decoder = openRawDecoder(options);
    this.#packet = newPacket();
    this.#frames = [newFrame(), newFrame()];
    const { width, height } = options;
    this.#scaler = new SoftwareScaleContext();
    this.#scaler.getContext(width, height, AV_PIX_FMT_BGR0, width, height, AV_PIX_FMT_YUV420P, SWS_POINT);
  }

  /** @throws Fault `screen-unreadable` when there is no such screen, or it is smaller */
  static async open(options: GrabOptions): Promise<ScreenGrabber> {
    const { display, width, height, fps } = options;
    const format = InputFormat.findInputFormat('x11grab');
    if (!format) throw new Fault('codec-missing', 'this FFmpeg build has no x11grab', { blame: 'self' });
    const context = new FormatContext();
    using settings = Dictionary.fromObject({
      video_size: `${width}x${height}`,
      framerate: String(fps),
      draw_mouse: '0',
    });
    const result = await context.openInput(`${display}.0+0,0`, format, settings);
    if (result < 0)
      throw new Fault('screen-unreadable', `the screen ${display} cannot be read: ${FFmpegError.strerror(result)}`, {
        blame: 'self',
      });
    return new ScreenGrabber(options, context);
  }

  /**
   * The next picture, when it is due; the caller frees it. `utcUs` is the wall time at which it was read, microseconds;
   * `changed` tells whether any pixel differs from the one before. Resolves to undefined after `close`.
   * @throws Fault `screen-unreadable` when the screen has gone
   */
  async next(): Promise<ReadPicture | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const packet = this.#packet;
      const result = await this.#context.readFrame(packet);
      if (this.#closed) return undefined;
      if (result === AVERROR_EAGAIN) continue;
      if (result < 0)
        throw new Fault('screen-unreadable', `the screen has gone: ${FFmpegError.strerror(result)}`, { blame: 'self' });
      const utcUs: UtcUs = Number(packet.pts);
      const [frame, last] = this.#frames;
      check(this.#decoder.sendPacketSync(packet));
      packet.unref();
      check(this.#decoder.receiveFrameSync(frame));
      const { width, height, pool } = this.#o;
      const picture = pool.allocate(width, height);
      check(this.#scaler.scaleFrameSync(picture.frame, frame));
      const data = frame.data?.[0];
      invariant(data, 'a picture that was read has pixels');
      const changed = this.#last === undefined || !data.equals(this.#last);
      this.#forgetLast();
      this.#last = data;
      last.unref();
      this.#frames = [last, frame];
      return { picture, utcUs, changed };
    }
  }

  /**
   * Until a view is collected V8 counts it as memory of its size, and would collect all the time. A detached view does
   * not count.
   */
  #forgetLast(): void {
    if (this.#last) (this.#last.buffer as ArrayBuffer).transfer(0);
    this.#last = undefined;
  }

  /** Call it when no `next` is under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.closeInputSync();
    this.#scaler.freeContext();
    this.#forgetLast();
    freePacket(this.#packet);
    for (const frame of this.#frames) freeFrame(frame);
    this.#decoder.freeContext();
  }
}

function openRawDecoder({ width, height }: GrabOptions): CodecContext {
  const codec = Codec.findDecoder(AV_CODEC_ID_RAWVIDEO);
  if (!codec) throw new Fault('codec-missing', 'this FFmpeg build has no raw video', { blame: 'self' });
  const decoder = new CodecContext();
  decoder.allocContext3(codec);
  decoder.width = width;
  decoder.height = height;
  decoder.pixelFormat = AV_PIX_FMT_BGR0;
  decoder.threadCount = 1;
  check(decoder.open2Sync(codec));
  return decoder;
}

function check(result: number): void {
  if (result >= 0) return;
  throw new Fault('screen-unreadable', `a picture was not read: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
