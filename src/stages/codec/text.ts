/**
 * Text as pictures, drawn by libass: any script for which a font is installed, in its own direction. The bundled DejaVu
 * has Latin, Greek, Cyrillic, Hebrew, Arabic and more; the system's fonts are used for others.
 */
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AV_PIX_FMT_YUV420P } from 'node-av/constants';
import { FFmpegError, Filter, FilterGraph } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import type { Picture } from '../../media/frame.ts';
import { freeFrame, newFrame } from './native-frames.ts';
import { NativePicture, tagColor } from './picture-pool.ts';

type Side = 'left' | 'right';

export type TextStyle = {
  /** Size of each picture, in pixels; even. Wider text is cut at its end, or in the middle at both. */
  width: number;
  height: number;
  /** From the top of the highest letters to the bottom of the lowest, pixels. */
  lineHeight: number;
  /** In `mono` all letters are equally wide. */
  font: 'sans' | 'mono';
  /** Where the text stands: in the middle, or `margin` from the edge that it begins at (`beginsAt`). */
  align: { kind: 'center' } | { kind: 'start'; margin: number };
  /** Luma, 16 to 235, of the letters, of the outline up to `outlineWidth` round them, and of the ground. */
  ink: number;
  outline: number;
  ground: number;
  outlineWidth: number;
};

const FONTS = join(dirname(fileURLToPath(import.meta.resolve('dejavu-fonts-ttf/package.json'))), 'ttf');
const FONT_NAMES = { sans: 'DejaVu Sans', mono: 'DejaVu Sans Mono' } as const;
/** Width of a letter of the `mono` font as a part of its line's height: 1233 of the font's 2384 units. */
export const MONO_WIDTH = 0.5173;
/** A sample that differs this much from the ground's luma is part of the text. */
const INK_STEPS = 6;

/**
 * One grey picture of each text. The caller frees them. Rejects with a Fault when no text can be drawn; a letter that
 * no font has is drawn as a box.
 */
export async function drawTexts(texts: readonly string[], style: TextStyle): Promise<NativePicture[]> {
  const { width, height } = style;
  invariant(width % 2 === 0 && height % 2 === 0, `a text of ${width}x${height} is not of even size`);
  const graph = new FilterGraph();
  graph.alloc();
  const pictures: NativePicture[] = [];
  try {
    graph.nbThreads = 1;
    const filter = (name: string, options?: string) => {
      const found = Filter.getByName(name);
      const made = found && graph.createFilter(found, name, options);
      if (!made) throw new Fault('text-failed', `this FFmpeg build has no filter ${name}`, { blame: 'self' });
      return made;
    };
    const source = filter(
      'buffer',
      `video_size=${width}x${height}:pix_fmt=yuv420p:time_base=1/1:colorspace=smpte170m:range=tv`,
    );
    const script = Buffer.from(scriptOf(texts, style)).toString('base64');
    const subtitles = filter('subtitles', `filename='data:text/plain;base64,${script}':fontsdir='${FONTS}'`);
    const sink = filter('buffersink');
    check(source.link(0, subtitles, 0));
    check(subtitles.link(0, sink, 0));
    check(await graph.config());
    for (let second = 0; second < texts.length; second++) {
      const frame = groundOf(style);
      try {
        frame.pts = BigInt(second);
        check(await source.buffersrcAddFrame(frame));
        check(await sink.buffersinkGetFrame(frame));
      } catch (error) {
        freeFrame(frame);
        throw error;
      }
      pictures.push(NativePicture.wrap(frame));
    }
    return pictures;
  } catch (error) {
    for (const picture of pictures) picture.free();
    throw error;
  } finally {
    graph.free();
  }
}

/** How far the text on a picture of `drawTexts` reaches from a side, in pixels; 0 when there is none. */
export function inkWidth(picture: Picture, ground: number, from: Side = 'left'): number {
  for (let reach = picture.width; reach > 0; reach--)
    if (hasInk(picture, from === 'left' ? reach - 1 : picture.width - reach, ground)) return reach;
  return 0;
}

/** Whether there is text in a column of a picture of `drawTexts`. */
export function hasInk({ planes, strides, height }: Picture, x: number, ground: number): boolean {
  for (let y = 0; y < height; y++) if (Math.abs(planes[0][y * strides[0] + x]! - ground) > INK_STEPS) return true;
  return false;
}

/** The side at which a text begins, as its first letter tells. */
export function beginsAt(text: string): Side {
  const [letter = ''] = /\p{L}/u.exec(text) ?? [];
  const isFromRight = /\p{Script=Hebrew}|\p{Script=Arabic}|\p{Script=Syriac}|\p{Script=Thaana}|\p{Script=Nko}/u;
  return isFromRight.test(letter) ? 'right' : 'left';
}

function groundOf({ width, height, ground }: TextStyle) {
  const frame = newFrame();
  try {
    frame.format = AV_PIX_FMT_YUV420P;
    frame.width = width;
    frame.height = height;
    tagColor(frame);
    check(frame.getBuffer());
    for (const [index, value] of [ground, 128, 128].entries()) frame.data![index]!.fill(value);
    return frame;
  } catch (error) {
    freeFrame(frame);
    throw error;
  }
}

/** The texts as a script of Advanced SubStation Alpha, in which each is shown for one second. */
function scriptOf(texts: readonly string[], style: TextStyle): string {
  const { width, height, lineHeight, font, align, ink, outline, outlineWidth } = style;
  const margin = align.kind === 'start' ? Math.round(align.margin) : 0;
  const anchorOf = (text: string) => (align.kind === 'center' ? 5 : beginsAt(text) === 'left' ? 4 : 6);
  // With encoding -1 libass finds the direction of the text from its letters.
  const values = [FONT_NAMES[font], lineHeight, greyOf(ink), greyOf(outline), 1, outlineWidth, 0, margin, margin, 0];
  const lines = texts.map((text, second) => {
    const when = `${momentOf(second)},${momentOf(second + 1)}`;
    return `Dialogue: ${when},Text,{\\an${anchorOf(text)}}${escaped(text)}`;
  });
  return [
    '[Script Info]',
    'ScriptType: v4.00+',
    `PlayResX: ${width}`,
    `PlayResY: ${height}`,
    // Text is not broken into lines, and an outline has exactly the given width.
    'WrapStyle: 2',
    'ScaledBorderAndShadow: yes',
    '[V4+ Styles]',
    'Format: Name, Fontname, Fontsize, PrimaryColour, OutlineColour, BorderStyle, Outline, Shadow, MarginL, MarginR, MarginV, Encoding',
    `Style: Text,${values.join(',')},-1`,
    '[Events]',
    'Format: Start, End, Style, Text',
    ...lines,
    '',
  ].join('\n');
}

function momentOf(second: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return `${Math.floor(second / 3600)}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}.00`;
}

/** `&H00BBGGRR` of a grey with this luma. */
function greyOf(luma: number): string {
  const value = Math.round(((luma - 16) * 255) / 219);
  return `&H00${value.toString(16).padStart(2, '0').repeat(3).toUpperCase()}`;
}

/** Text that libass draws letter by letter: otherwise it takes braces and backslashes for commands. */
function escaped(text: string): string {
  // A word joiner is invisible, and after it the backslash begins no command.
  return text
    .replace(/\\/g, '\\\u2060')
    .replace(/[{}]/g, '\\$&')
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ');
}

function check(result: number): void {
  if (result < 0)
    throw new Fault('text-failed', `text cannot be drawn: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
