/**
 * Made media: what a test participant sends. A picture in the participant's colour with its name, a moving bar and a
 * time stamp; a soft tone in its pitch; and at every full second, for 100 ms, the whole picture white and the tone
 * loud. All is a function of content time (microseconds since the Unix epoch), so any two senders agree.
 */
import { eachDot, textWidth } from './font.ts';
import type { Participant, Yuv } from './participants.ts';
import { STAMP_AREA, STAMP_DARK, STAMP_LIGHT, stampBits } from './stamp.ts';

export const SOUND_RATE = 48_000;
/** How long flash and beep last, microseconds. */
const MARK_US = 100_000;
/** Peak level of the beep and of the tone between beeps, of full scale. Four beeps at once stay below clipping. */
export const BEEP_LEVEL = 0.2;
export const HUM_LEVEL = 0.02;
/** The beep's edges are raised cosines of this length, so that they do not splash over other pitches. */
const EDGE_SAMPLES = 48;
const BAR_PERIOD_US = 2_000_000;

export type PictureOptions = {
  width: number;
  height: number;
  /** `busy` fills the lower third with a scrolling texture, so that encoders have work. */
  motion?: 'calm' | 'busy';
  /** Draws no flash: for pictures that only have to be seen. */
  flash?: boolean;
  /**
   * Colours of the quarters, top left, top right, bottom left, bottom right, in place of the participant's: they tell
   * how the picture is turned. In the corners nothing else is drawn.
   */
  quarters?: readonly Yuv[] | undefined;
};

/** Planes of a picture: width × height luma, then two of half the size, without padding. */
export type Planes = { y: Buffer; u: Buffer; v: Buffer };

type Box = { x: number; y: number; width: number; height: number };

/** True while content time lies in a flash and beep. */
function isMark(tUs: number): boolean {
  return tUs % 1_000_000 < MARK_US;
}

export class MadePicture {
  readonly width: number;
  readonly height: number;
  readonly participant: Participant;
  /** The picture as one I420 buffer; `planes` are views of it. */
  readonly i420: Buffer;
  readonly planes: Planes;
  #still: Buffer;
  #busy: boolean;
  #flash: boolean;
  #quarters: readonly Yuv[];
  #texture: Buffer = Buffer.alloc(0);
  #bar: Box;
  #stamp: Box;
  #showing: 'nothing' | 'white' | 'scene' = 'nothing';

  /** Throws a RangeError for odd or tiny sizes. */
  constructor(participant: Participant, options: PictureOptions) {
    const { width, height } = options;
    if (width % 2 || height % 2 || width < 64 || height < 36)
      throw new RangeError(`a made picture needs an even size of at least 64×36, not ${width}×${height}`);
    this.participant = participant;
    this.width = width;
    this.height = height;
    this.#busy = options.motion === 'busy';
    this.#flash = options.flash ?? true;
    this.#quarters = options.quarters ?? Array(4).fill(participant.colour);
    this.i420 = Buffer.alloc((width * height * 3) / 2);
    this.planes = splitPlanes(this.i420, width, height);
    const unit = Math.max(2, Math.round(width / 40 / 2) * 2);
    this.#bar = { x: 0, y: Math.round((height * 0.6) / 2) * 2, width: unit, height: Math.max(2, even(height * 0.3)) };
    this.#stamp = {
      x: even(STAMP_AREA.x * width),
      y: even(STAMP_AREA.y * height),
      width: even(STAMP_AREA.width * width),
      height: even(STAMP_AREA.height * height),
    };
    this.#still = Buffer.alloc(this.i420.length);
    this.#drawStill();
  }

  /** Draws the picture of content time `tUs` into `planes`. */
  draw(tUs: number): void {
    if (this.#flash && isMark(tUs)) {
      if (this.#showing !== 'white') {
        this.planes.y.fill(235);
        this.planes.u.fill(128);
        this.planes.v.fill(128);
      }
      this.#showing = 'white';
      return;
    }
    if (this.#showing !== 'scene') this.#still.copy(this.i420);
    else this.#restore(this.#bar);
    this.#showing = 'scene';
    if (this.#busy) this.#drawTexture(tUs);
    this.#drawBar(tUs);
    this.#drawStamp(tUs);
  }

  #drawStill(): void {
    const { y, u, v } = splitPlanes(this.#still, this.width, this.height);
    const { name } = this.participant;
    const quarter = { width: even(this.width / 2), height: even(this.height / 2) };
    for (const [n, colour] of this.#quarters.entries()) {
      const [right, low] = [n % 2 === 1, n >= 2];
      const box = {
        ...{ x: right ? quarter.width : 0, y: low ? quarter.height : 0 },
        width: right ? this.width - quarter.width : quarter.width,
        height: low ? this.height - quarter.height : quarter.height,
      };
      fill(y, this.width, box, colour.y);
      fill(u, this.width / 2, halve(box), colour.u);
      fill(v, this.width / 2, halve(box), colour.v);
    }
    const scale = Math.max(1, Math.floor((this.width * 0.4) / Math.max(29, textWidth(name))));
    const left = Math.round((this.width - textWidth(name) * scale) / 2);
    const top = Math.round(this.height * 0.24);
    eachDot(name, (dx, dy) => {
      fill(y, this.width, { x: left + dx * scale, y: top + dy * scale, width: scale, height: scale }, 210);
    });
    fill(y, this.width, this.#stamp, STAMP_DARK);
    const half = halve(this.#stamp);
    fill(u, this.width / 2, half, 128);
    fill(v, this.width / 2, half, 128);
    if (this.#busy) this.#texture = noise(this.width * 2, even(this.height / 3), this.participant.toneHz);
  }

  #restore(box: Box): void {
    const still = splitPlanes(this.#still, this.width, this.height);
    copyBox(still.y, this.planes.y, this.width, box);
  }

  #drawTexture(tUs: number): void {
    const rows = even(this.height / 3);
    const shift = Math.floor(((tUs % 4_000_000) / 4_000_000) * this.width);
    const top = this.height - rows;
    for (let row = 0; row < rows; row++) {
      const from = row * this.width * 2 + shift;
      this.#texture.copy(this.planes.y, (top + row) * this.width, from, from + this.width);
    }
  }

  #drawBar(tUs: number): void {
    const span = this.width - this.#bar.width;
    this.#bar.x = Math.floor((((tUs % BAR_PERIOD_US) / BAR_PERIOD_US) * span) / 2) * 2;
    fill(this.planes.y, this.width, this.#bar, 220);
  }

  #drawStamp(tUs: number): void {
    const bits = stampBits(tUs);
    const { x, y, width, height } = this.#stamp;
    bits.forEach((bit, i) => {
      const from = x + Math.round((i * width) / bits.length);
      const to = x + Math.round(((i + 1) * width) / bits.length);
      const box = { x: from, y, width: to - from, height };
      fill(this.planes.y, this.width, box, bit ? STAMP_LIGHT : STAMP_DARK);
    });
  }
}

export type SoundOptions = {
  /** Scales the whole sound; 1 is the level the judges expect. */
  level?: number;
  /** Samples of content per sample, for a microphone whose clock is not true. */
  rate?: number;
  /** Nothing is heard between the beeps. */
  quiet?: boolean;
};

/**
 * The participant's sound from `startSample` (samples of 48 kHz since the Unix epoch, or since any full second), mono.
 */
export function madeSound(
  { toneHz }: Participant,
  startSample: number,
  count: number,
  { level = 1, rate = 1, quiet = false }: SoundOptions = {},
): Float32Array {
  const out = new Float32Array(count);
  const markSamples = (MARK_US * SOUND_RATE) / 1_000_000;
  const step = (2 * Math.PI * toneHz) / SOUND_RATE;
  const base = quiet ? 0 : HUM_LEVEL;
  for (let i = 0; i < count; i++) {
    const n = (startSample + i * rate) % SOUND_RATE;
    let envelope = base;
    if (n < markSamples + EDGE_SAMPLES) {
      const rise = n < EDGE_SAMPLES ? edge(n) : 1;
      const fall = n >= markSamples ? 1 - edge(n - markSamples) : 1;
      envelope += (BEEP_LEVEL - base) * rise * fall;
    }
    out[i] = envelope * level * Math.sin(step * n);
  }
  return out;
}

function edge(n: number): number {
  return 0.5 - 0.5 * Math.cos((Math.PI * n) / EDGE_SAMPLES);
}

/** The three planes of an I420 buffer, as views. */
export function splitPlanes(i420: Buffer, width: number, height: number): Planes {
  const luma = width * height;
  return {
    y: i420.subarray(0, luma),
    u: i420.subarray(luma, luma + luma / 4),
    v: i420.subarray(luma + luma / 4, luma + luma / 2),
  };
}

function even(n: number): number {
  return Math.floor(n / 2) * 2;
}

function halve(box: Box): Box {
  return { x: box.x / 2, y: box.y / 2, width: box.width / 2, height: box.height / 2 };
}

function fill(plane: Buffer, stride: number, box: Box, value: number): void {
  for (let row = box.y; row < box.y + box.height; row++) {
    plane.fill(value, row * stride + box.x, row * stride + box.x + box.width);
  }
}

function copyBox(from: Buffer, to: Buffer, stride: number, box: Box): void {
  for (let row = box.y; row < box.y + box.height; row++) {
    const at = row * stride + box.x;
    from.copy(to, at, at, at + box.width);
  }
}

/** `from`, a picture of width × height, turned clockwise by `degrees`: of height × width when that is 90 or 270. */
export function turnI420(from: Buffer, width: number, height: number, degrees: 0 | 90 | 180 | 270): Buffer {
  if (degrees === 0) return from;
  const sideways = degrees !== 180;
  const to = Buffer.alloc(from.length);
  const source = splitPlanes(from, width, height);
  const target = splitPlanes(to, sideways ? height : width, sideways ? width : height);
  for (const [plane, scale] of [
    ['y', 1],
    ['u', 2],
    ['v', 2],
  ] as const) {
    const [w, h] = [width / scale, height / scale];
    for (let y = 0; y < h; y++)
      for (let x = 0; x < w; x++) {
        const at =
          degrees === 90 ? x * h + (h - 1 - y) : degrees === 180 ? (h - 1 - y) * w + (w - 1 - x) : (w - 1 - x) * h + y;
        target[plane][at] = source[plane][y * w + x] as number;
      }
  }
  return to;
}

/** A repeatable grey texture, smooth enough to be scaled, whose right half repeats its left. */
function noise(width: number, height: number, seed: number): Buffer {
  const plane = Buffer.alloc(width * height);
  const half = width / 2;
  let state = seed * 2654435761;
  for (let row = 0; row < height; row++) {
    for (let x = 0; x < half; x += 4) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const value = 60 + (state >>> 24) / 2.5;
      const at = row * width + x;
      plane.fill(
        row % 4 === 0 || row === 0 ? value : (plane[at - width] as number),
        at,
        Math.min(at + 4, row * width + half),
      );
    }
    plane.copy(plane, row * width + half, row * width, row * width + half);
  }
  return plane;
}
