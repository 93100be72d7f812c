/**
 * Layers: small pictures with an alpha plane, made once and blended over a canvas by FFmpeg's overlay filter for each
 * frame.
 */
import {
  AV_BUFFERSRC_FLAG_KEEP_REF,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVA420P,
  SWS_AREA,
  SWS_BILINEAR,
} from 'node-av/constants';
import {
  avImageCopy2,
  FFmpegError,
  Filter,
  type FilterContext,
  FilterGraph,
  type Frame,
  SoftwareScaleContext,
} from 'node-av/lib';
import { invariant } from '../../kernel/fault.ts';
import type { Layer, Picture, PictureBlender } from '../../media/frame.ts';
import { freeFrame, newFrame } from './native-frames.ts';
import { nativeOf, planesAt, tagColor } from './picture-pool.ts';

/** Full alpha. */
const OPAQUE = 255;
/** Luma of black and of white in a Picture. */
const [BLACK, WHITE] = [16, 235];

class NativeLayer implements Layer {
  readonly width: number;
  readonly height: number;
  #frame: Frame | undefined;

  constructor(frame: Frame) {
    this.#frame = frame;
    this.width = frame.width;
    this.height = frame.height;
  }

  /** The layer owns it. */
  get frame(): Frame {
    invariant(this.#frame, 'a layer was used after it was freed');
    return this.#frame;
  }

  free(): void {
    if (this.#frame) freeFrame(this.#frame);
    this.#frame = undefined;
  }
}

/**
 * Makes a layer of an even size from a picture, with its image file's alpha if it has any. The caller frees it.
 * @param opacity where the image is opaque, up to 1
 */
export function pictureLayer(picture: Picture, size: { width: number; height: number }, opacity: number): Layer {
  const { frame: from } = nativeOf(picture);
  const to = newLayerFrame(size.width, size.height);
  const context = new SoftwareScaleContext();
  try {
    const isShrunk = from.width > 1.5 * size.width;
    const flags = isShrunk ? SWS_AREA : SWS_BILINEAR;
    const format = from.format as typeof AV_PIX_FMT_YUVA420P;
    context.getContext(from.width, from.height, format, size.width, size.height, AV_PIX_FMT_YUVA420P, flags);
    const rows = context.scaleSync([...from.data!], [...from.linesize], 0, from.height, to.data!, [...to.linesize]);
    invariant(rows === size.height, `making a layer of ${size.width}x${size.height} failed`);
    if (from.format !== AV_PIX_FMT_YUVA420P) to.data![3]!.fill(OPAQUE);
    fade(to, opacity);
  } catch (error) {
    freeFrame(to);
    throw error;
  } finally {
    context.freeContext();
  }
  return new NativeLayer(to);
}

/**
 * A grey layer. The caller frees it.
 * @param shade how light it is
 * @param coverage of the same size; where it is white the layer has the full `opacity`, where it is black none
 */
export function shadedLayer(shade: Picture, coverage: Picture, opacity: number): Layer {
  const { width, height } = shade;
  const to = newLayerFrame(width, height);
  const [luma, cb, cr, alpha] = to.data!;
  for (const chroma of [cb!, cr!]) chroma.fill(128);
  for (let y = 0; y < height; y++) {
    shade.planes[0].copy(luma!, y * to.linesize[0]!, y * shade.strides[0], y * shade.strides[0] + width);
    for (let x = 0; x < width; x++) {
      const covers = (coverage.planes[0][y * coverage.strides[0] + x]! - BLACK) / (WHITE - BLACK);
      alpha![y * to.linesize[3]! + x] = Math.round(OPAQUE * Math.min(1, Math.max(0, covers)));
    }
  }
  fade(to, opacity);
  return new NativeLayer(to);
}

/** A filter graph that blends layers of one size over parts of pictures. */
type Laying = {
  graph: FilterGraph;
  under: FilterContext;
  over: FilterContext;
  out: FilterContext;
  /** The covered part of a picture; it passes through the graph and comes back. */
  part: Frame;
  pts: bigint;
};

/** How many sizes of layers have a graph at the same time. */
const LAYINGS = 4;

export class LayerBlender implements PictureBlender {
  /** By size, in order of last use, oldest first. */
  #layings = new Map<string, Laying>();

  lay(layer: Layer, to: Picture, x: number, y: number): void {
    invariant(layer instanceof NativeLayer, 'the layer was not made by the codec stage');
    const { width, height } = layer;
    const isInside = x >= 0 && y >= 0 && x + width <= to.width && y + height <= to.height;
    invariant(
      isInside && x % 2 === 0 && y % 2 === 0,
      `a layer of ${width}x${height} at (${x}, ${y}) leaves its picture`,
    );
    const laying = this.#layingOf(width, height);
    const { under, over, out, part } = laying;
    const target = planesAt(to, x, y);
    const copy = (a: Buffer[], aStrides: number[], b: Buffer[], bStrides: number[]) =>
      avImageCopy2(a, aStrides, b, bStrides, AV_PIX_FMT_YUV420P, width, height);
    copy(part.data!, part.linesize, target, [...to.strides]);
    part.pts = laying.pts;
    layer.frame.pts = laying.pts++;
    FFmpegError.throwIfError(under.buffersrcAddFrameSync(part), 'laying a layer');
    FFmpegError.throwIfError(over.buffersrcAddFrameSync(layer.frame, AV_BUFFERSRC_FLAG_KEEP_REF), 'laying a layer');
    FFmpegError.throwIfError(out.buffersinkGetFrameSync(part), 'laying a layer');
    copy(target, [...to.strides], part.data!, part.linesize);
  }

  /** Frees everything it holds. Calling it again does nothing. */
  close(): void {
    for (const laying of this.#layings.values()) freeLaying(laying);
    this.#layings.clear();
  }

  #layingOf(width: number, height: number): Laying {
    const key = `${width}x${height}`;
    const known = this.#layings.get(key);
    this.#layings.delete(key);
    const laying = known ?? openLaying(width, height);
    this.#layings.set(key, laying);
    if (this.#layings.size > LAYINGS) {
      const [oldest, unused] = this.#layings.entries().next().value!;
      freeLaying(unused);
      this.#layings.delete(oldest);
    }
    return laying;
  }
}

function openLaying(width: number, height: number): Laying {
  const graph = new FilterGraph();
  graph.alloc();
  const part = newFrame();
  try {
    graph.nbThreads = 1;
    const filter = (name: string, as: string, options?: string) => {
      const made = graph.createFilter(Filter.getByName(name)!, as, options);
      invariant(made, `this FFmpeg build has no filter ${name}`);
      return made;
    };
    const source = `video_size=${width}x${height}:time_base=1/1:colorspace=smpte170m:range=tv`;
    const under = filter('buffer', 'under', `${source}:pix_fmt=yuv420p`);
    const over = filter('buffer', 'over', `${source}:pix_fmt=yuva420p`);
    const overlay = filter('overlay', 'overlay', 'eval=init:format=yuv420');
    const out = filter('buffersink', 'out');
    FFmpegError.throwIfError(under.link(0, overlay, 0), 'linking filters');
    FFmpegError.throwIfError(over.link(0, overlay, 1), 'linking filters');
    FFmpegError.throwIfError(overlay.link(0, out, 0), 'linking filters');
    FFmpegError.throwIfError(graph.configSync(), 'configuring filters');
    part.format = AV_PIX_FMT_YUV420P;
    part.width = width;
    part.height = height;
    tagColor(part);
    FFmpegError.throwIfError(part.getBuffer(), `allocating a picture of ${width}x${height}`);
    return { graph, under, over, out, part, pts: 0n };
  } catch (error) {
    freeFrame(part);
    graph.free();
    throw error;
  }
}

function freeLaying({ graph, part }: Laying): void {
  freeFrame(part);
  graph.free();
}

function newLayerFrame(width: number, height: number): Frame {
  const frame = newFrame();
  frame.format = AV_PIX_FMT_YUVA420P;
  frame.width = width;
  frame.height = height;
  tagColor(frame);
  const result = frame.getBuffer();
  if (result < 0) {
    freeFrame(frame);
    FFmpegError.throwIfError(result, `allocating a layer of ${width}x${height}`);
  }
  return frame;
}

function fade(frame: Frame, opacity: number): void {
  if (opacity >= 1) return;
  const alpha = frame.data![3]!;
  for (let i = 0; i < alpha.length; i++) alpha[i] = Math.round(alpha[i]! * opacity);
}
