/**
 * ScreenGrabber: pictures of the top left corner of an X screen, at a steady rate, with the moment each was read.
 */

import { AV_PIX_FMT_BGR0, AV_PIX_FMT_YUV420P, AVERROR_EAGAIN, SWS_POINT } from 'node-av/constants';
import { Dictionary, FFmpegError, FormatContext, InputFormat, type Packet, SoftwareScaleContext } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import type { UtcUs } from '../../kernel/time.ts';
import { freePacket, newPacket } from './native-frames.ts';
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

const BYTES_PER_PIXEL = 4;

export class ScreenGrabber {
  readonly #context: FormatContext;
  /** The one that is read next, and the one that was read last, which the next picture is compared with. */
  #packets: [Packet, Packet];
  #last: Buffer | undefined;
  readonly #scaler: SoftwareScaleContext;
  readonly #o: GrabOptions;
  #closed = false;

  private constructor(options: GrabOptions, context: FormatContext) {
    this.#o = options;
    this.#context = context;
    this.#packets = [newPacket(), newPacket()];
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
   * The next picture, when it is due; the caller frees it. `utcUs` is the wall time it was read at, microseconds;
   * `changed` whether any pixel differs from the one before. Resolves to undefined after `close`.
   * @throws Fault `screen-unreadable` when the screen has gone
   */
  async next(): Promise<ReadPicture | undefined> {
    for (;;) {
      if (this.#closed) return undefined;
      const [packet, last] = this.#packets;
      const result = await this.#context.readFrame(packet);
      if (this.#closed) return undefined;
      if (result === AVERROR_EAGAIN) continue;
      if (result < 0)
        throw new Fault('screen-unreadable', `the screen has gone: ${FFmpegError.strerror(result)}`, { blame: 'self' });
      const { data } = packet;
      if (!data) continue;
      const { width, height, pool } = this.#o;
      const picture = pool.allocate(width, height);
      this.#scaler.scaleSync([data], [width * BYTES_PER_PIXEL], 0, height, [...picture.planes], [...picture.strides]);
      const changed = this.#last === undefined || !data.equals(this.#last);
      this.#forgetLast();
      this.#last = data;
      last.unref();
      this.#packets = [last, packet];
      return { picture, utcUs: Number(packet.pts), changed };
    }
  }

  /**
   * V8 counts a view as memory of its size until it is collected, and would collect all the time. One that is detached
   * counts no more.
   */
  #forgetLast(): void {
    if (this.#last) (this.#last.buffer as ArrayBuffer).transfer(0);
    this.#last = undefined;
  }

  /** To be called when no `next` is under way. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#context.closeInputSync();
    this.#scaler.freeContext();
    this.#forgetLast();
    for (const packet of this.#packets) freePacket(packet);
  }
}
