/** Pictures in native memory: counted owners, plane views, and a pool that reuses memory instead of returning it. */
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { avImageCopy2, FFmpegError, type Frame } from 'node-av/lib';
import { invariant } from '../../kernel/fault.ts';
import type { Orientation, Picture, PictureSource, SampleAspect } from '../../media/frame.ts';
import { PICTURE_COLOR } from './color-tags.ts';
import { freeFrame, newFrame } from './native-frames.ts';

type Shown = Pick<Picture, 'orientation' | 'sampleAspect'>;
type Planes = readonly [Buffer, Buffer, Buffer];
type Strides = readonly [number, number, number];

/** A frame, the views that were made of it, how many pictures own it, and what happens after the last. */
type Memory = {
  frame: Frame;
  owners: number;
  release: (memory: Memory) => void;
  planes: Planes | undefined;
  strides: Strides | undefined;
};

/**
 * Frees a frame and its views. Until a view is collected V8 counts it as memory of its size: hundreds of pictures a
 * second would start several collections a second, a tenth of a core for nothing. A detached view does not count.
 */
function freeMemory(memory: Memory): void {
  for (const plane of memory.planes ?? []) (plane.buffer as ArrayBuffer).transfer(0);
  memory.planes = undefined;
  freeFrame(memory.frame);
}

export class NativePicture implements Picture {
  readonly width: number;
  readonly height: number;
  readonly orientation: Orientation | undefined;
  readonly sampleAspect: SampleAspect | undefined;
  #memory: Memory | undefined;

  private constructor(memory: Memory, { orientation, sampleAspect }: Shown = {}) {
    this.width = memory.frame.width;
    this.height = memory.frame.height;
    this.orientation = orientation;
    this.sampleAspect = sampleAspect;
    this.#memory = memory;
  }

  /**
   * Takes over `frame` (8-bit 4:2:0); it is freed when its last owner frees it.
   * @param shown how, if not as it is
   */
  static wrap(frame: Frame, shown?: Shown): NativePicture {
    const memory = { frame, owners: 1, release: freeMemory, planes: undefined, strides: undefined };
    return new NativePicture(memory, shown);
  }

  /** The first owner of `memory`; after the last owner `memory.release` is called. */
  static own(memory: Memory): NativePicture {
    memory.owners = 1;
    return new NativePicture(memory);
  }

  get planes(): Planes {
    const memory = this.#live();
    if (!memory.planes) {
      const data = memory.frame.data;
      invariant(data && data.length >= 3, 'a picture has three planes');
      memory.planes = [data[0]!, data[1]!, data[2]!];
    }
    return memory.planes;
  }

  get strides(): Strides {
    const memory = this.#live();
    if (!memory.strides) {
      const sizes = memory.frame.linesize;
      memory.strides = [sizes[0]!, sizes[1]!, sizes[2]!];
    }
    return memory.strides;
  }

  /** The frame itself, for encoders and scalers; the picture still owns it. */
  get frame(): Frame {
    return this.#live().frame;
  }

  get exclusive(): boolean {
    return this.#live().owners === 1;
  }

  share(): NativePicture {
    const memory = this.#live();
    memory.owners++;
    return new NativePicture(memory, this);
  }

  free(): void {
    const memory = this.#memory;
    if (!memory) return;
    this.#memory = undefined;
    memory.owners--;
    if (memory.owners === 0) memory.release(memory);
  }

  #live(): Memory {
    invariant(this.#memory, 'a picture was used after it was freed');
    return this.#memory;
  }
}

/** The native side of a picture from a pool or a decoder. */
export function nativeOf(picture: Picture): NativePicture {
  invariant(picture instanceof NativePicture, 'the picture was not made by the codec stage');
  return picture;
}

/** Tags a frame with the colours that Picture promises. */
export function tagColor(frame: Frame): void {
  Object.assign(frame, PICTURE_COLOR);
}

export type PicturePoolOptions = {
  /** How much memory is kept for reuse, bytes of pictures. Memory in use is not limited here. */
  idleBytes?: number;
};

export class PicturePool implements PictureSource {
  readonly #idleLimit: number;
  #idle: Memory[] = [];
  #idleBytes = 0;
  #closed = false;

  constructor(options: PicturePoolOptions = {}) {
    this.#idleLimit = options.idleBytes ?? 8 << 20;
  }

  allocate(width: number, height: number): NativePicture {
    invariant(isEvenSize(width) && isEvenSize(height), `a picture of ${width}x${height} is not of even, positive size`);
    const at = this.#idle.findIndex(({ frame }) => frame.width === width && frame.height === height);
    if (at >= 0) {
      const memory = this.#idle.splice(at, 1)[0]!;
      this.#idleBytes -= bytesOf(memory.frame);
      return NativePicture.own(memory);
    }
    const frame = newFrame();
    frame.format = AV_PIX_FMT_YUV420P;
    frame.width = width;
    frame.height = height;
    const result = frame.getBuffer();
    if (result < 0) {
      freeFrame(frame);
      FFmpegError.throwIfError(result, `allocating a picture of ${width}x${height}`);
    }
    tagColor(frame);
    return NativePicture.own({ frame, owners: 1, release: this.#release, planes: undefined, strides: undefined });
  }

  share(picture: Picture): NativePicture {
    return nativeOf(picture).share();
  }

  exclusive(picture: Picture): boolean {
    return nativeOf(picture).exclusive;
  }

  copy(from: Picture, to: Picture, x: number, y: number): void {
    invariant(
      x >= 0 && y >= 0 && x % 2 === 0 && y % 2 === 0 && x + from.width <= to.width && y + from.height <= to.height,
      `a copy of ${from.width}x${from.height} to (${x}, ${y}) leaves a picture of ${to.width}x${to.height}`,
    );
    avImageCopy2(
      planesAt(to, x, y),
      [...to.strides],
      [...from.planes],
      [...from.strides],
      AV_PIX_FMT_YUV420P,
      from.width,
      from.height,
    );
  }

  /** @param at where the part goes in `to`; where it is in `from` when left out */
  copyPart(
    from: Picture,
    to: Picture,
    part: { x: number; y: number; width: number; height: number },
    at: { x: number; y: number } = part,
  ): void {
    const { x, y, width, height } = part;
    const isInside = (picture: Picture, point: { x: number; y: number }) =>
      point.x + width <= picture.width && point.y + height <= picture.height;
    const isEven = [x, y, width, height, at.x, at.y].every((side) => side >= 0 && side % 2 === 0);
    invariant(
      isEven && isInside(from, part) && isInside(to, at),
      `a copy of ${width}x${height} from (${x}, ${y}) to (${at.x}, ${at.y}) leaves its pictures`,
    );
    avImageCopy2(
      planesAt(to, at.x, at.y),
      [...to.strides],
      planesAt(from, x, y),
      [...from.strides],
      AV_PIX_FMT_YUV420P,
      width,
      height,
    );
  }

  /** Frees idle memory. Pictures in use are freed by their owners and then not kept. */
  close(): void {
    this.#closed = true;
    for (const memory of this.#idle.splice(0)) freeMemory(memory);
    this.#idleBytes = 0;
  }

  #release = (memory: Memory): void => {
    if (this.#closed) {
      freeMemory(memory);
      return;
    }
    this.#idle.push(memory);
    this.#idleBytes += bytesOf(memory.frame);
    // The oldest are freed first; else a size that nobody asks for any more would stay for ever.
    while (this.#idleBytes > this.#idleLimit) {
      const oldest = this.#idle.shift()!;
      this.#idleBytes -= bytesOf(oldest.frame);
      freeMemory(oldest);
    }
  };
}

/** Views of a picture's planes that begin at the even point (x, y). */
export function planesAt(picture: Picture, x: number, y: number): Buffer[] {
  const [luma, cb, cr] = picture.planes;
  const [lumaStride, cbStride, crStride] = picture.strides;
  return [
    luma.subarray(y * lumaStride + x),
    cb.subarray((y / 2) * cbStride + x / 2),
    cr.subarray((y / 2) * crStride + x / 2),
  ];
}

function isEvenSize(size: number): boolean {
  return Number.isInteger(size) && size > 0 && size % 2 === 0;
}

function bytesOf(frame: Frame): number {
  return (frame.width * frame.height * 3) / 2;
}
