/**
 * Puts the users' pictures on one canvas. A picture is scaled once, when it is new; a canvas is changed only where it
 * differs from what it should show; and a canvas that somebody else still reads is never written to.
 */
import { invariant } from '../../kernel/fault.ts';
import type { FittedPicture, Layer, Picture, PictureBlender, PictureScaler, PictureSource } from '../../media/frame.ts';
import { blend } from './blend.ts';
import { fill, toColor } from './color.ts';
import { type PixelRect, type Placement, toPixels } from './layout/place.ts';

export type PictureCompositorOptions = {
  /** Even. */
  width: number;
  height: number;
  pictures: PictureSource;
  scaler: PictureScaler;
  blender: PictureBlender;
};

/** Something that is drawn over or between pictures. */
export type Overlay = {
  /** Its top left corner on the canvas, which it must not leave. Even. */
  x: number;
  y: number;
  /** As in placements. */
  z: number;
  /** As in `Tick.pictures`: a different look is a different object. */
  drawn: { kind: 'picture'; picture: Picture } | { kind: 'layer'; layer: Layer };
};

export type Tick = {
  placements: Placement[];
  /**
   * The picture to show for each user; the compositor reads it only during the call. A user's next picture is another
   * object.
   */
  pictures: ReadonlyMap<string, Picture | undefined>;
  /** `#RRGGBB` */
  background: string;
  /**
   * Covers the background colour: a picture of the canvas's size. Like `pictures`, a different one is another object;
   * this one lives as long as it is shown.
   */
  backdrop?: Picture | undefined;
  overlays?: readonly Overlay[] | undefined;
};

/** One user's picture as it is shown, and its source. */
type Shown = FittedPicture & {
  source: Picture;
  width: number;
  height: number;
  render: 'crop' | 'fit';
  version: number;
};

/** How an item is drawn. */
type Paint =
  | { kind: 'opaque'; picture: Picture }
  | { kind: 'blended'; picture: Picture; alpha: number }
  | { kind: 'layer'; layer: Layer };

/** A rectangle to draw. `version` changes exactly when the pixels do. */
type Item = { rect: PixelRect; paint: Paint; version: number };

/** Where everything lies. Two canvases with the same scene differ only in pixels. */
type Scene = { key: string; background: string; backdrop: Picture | undefined };

type Canvas = { picture: Picture; scene: Scene | undefined; versions: number[] };

/** At most this many canvases are held: one is shown, one is encoded, one is drawn on. */
const CANVAS_LIMIT = 3;

export class PictureCompositor {
  readonly width: number;
  readonly height: number;
  readonly #pictures: PictureSource;
  readonly #scaler: PictureScaler;
  readonly #blender: PictureBlender;
  #shown = new Map<string, Shown>();
  #canvases: Canvas[] = [];
  #current: Canvas | undefined;
  #version = 0;
  readonly #versions = new WeakMap<Picture | Layer, number>();
  #changed: readonly PixelRect[] | undefined;

  constructor(options: PictureCompositorOptions) {
    this.width = options.width;
    this.height = options.height;
    this.#pictures = options.pictures;
    this.#scaler = options.scaler;
    this.#blender = options.blender;
  }

  /**
   * Where the canvas of the last `compose` may differ from the one before: nowhere when empty, and anywhere when
   * undefined. The parts may overlap.
   */
  get changed(): readonly PixelRect[] | undefined {
    return this.#changed;
  }

  /**
   * The canvas for one tick. The compositor owns it and keeps its pixels until the next call. Whoever needs it longer
   * shares it, and it is not written to until that share is freed.
   */
  compose(tick: Tick): Picture {
    const items = this.#layOut(tick);
    const scene: Scene = { key: sceneKey(items), background: tick.background, backdrop: tick.backdrop };
    const current = this.#current;
    this.#changed = current && isScene(current, scene) ? changedParts(items, current.versions) : undefined;
    if (current && this.#changed?.length === 0) return current.picture;
    const canvas = this.#writableCanvas();
    if (isScene(canvas, scene)) this.#redrawChanged(canvas, items, scene);
    else this.#redrawAll(canvas, items, scene);
    canvas.scene = scene;
    canvas.versions = items.map((item) => item.version);
    this.#current = canvas;
    return canvas.picture;
  }

  /** Frees all pictures. Calling it again does nothing. */
  close(): void {
    for (const shown of this.#shown.values()) shown.picture.free();
    this.#shown.clear();
    for (const canvas of this.#canvases.splice(0)) canvas.picture.free();
    this.#current = undefined;
  }

  /** Scales new pictures and says where everything goes, the lowest first. */
  #layOut(tick: Tick): Item[] {
    const items: (Item & { z: number })[] = [];
    const placed = new Set<string>();
    for (const placement of tick.placements) {
      const source = tick.pictures.get(placement.uid);
      const region = toPixels(placement, this.width, this.height);
      if (!source || !region || placement.alpha <= 0 || placed.has(placement.uid)) continue;
      placed.add(placement.uid);
      const shown = this.#show(placement.uid, source, region, placement.render);
      items.push({
        rect: {
          x: region.x + shown.x,
          y: region.y + shown.y,
          width: shown.picture.width,
          height: shown.picture.height,
        },
        paint: paintOf(shown.picture, placement.alpha),
        version: shown.version,
        z: placement.z,
      });
    }
    for (const [uid, shown] of this.#shown) {
      if (placed.has(uid)) continue;
      shown.picture.free();
      this.#shown.delete(uid);
    }
    for (const { x, y, z, drawn } of tick.overlays ?? []) {
      const { width, height } = drawn.kind === 'layer' ? drawn.layer : drawn.picture;
      const paint: Paint = drawn.kind === 'layer' ? drawn : { kind: 'opaque', picture: drawn.picture };
      const version = this.#versionOf(drawn.kind === 'layer' ? drawn.layer : drawn.picture);
      items.push({ rect: { x, y, width, height }, paint, version, z });
    }
    return items.sort((a, b) => a.z - b.z);
  }

  #versionOf(drawn: Picture | Layer): number {
    const version = this.#versions.get(drawn) ?? ++this.#version;
    this.#versions.set(drawn, version);
    return version;
  }

  #show(uid: string, source: Picture, region: PixelRect, render: 'crop' | 'fit'): Shown {
    const before = this.#shown.get(uid);
    const { width, height } = region;
    if (
      before &&
      before.source === source &&
      before.width === width &&
      before.height === height &&
      before.render === render
    )
      return before;
    const fitted = this.#scaler.scale(source, { width, height, render });
    before?.picture.free();
    const shown: Shown = { ...fitted, source, width, height, render, version: ++this.#version };
    this.#shown.set(uid, shown);
    return shown;
  }

  /** A canvas that nobody else reads; if possible the one shown now, because it needs the least drawing. */
  #writableCanvas(): Canvas {
    const current = this.#current;
    if (current && this.#pictures.exclusive(current.picture)) return current;
    const free = this.#canvases.find((canvas) => this.#pictures.exclusive(canvas.picture));
    if (free) return free;
    invariant(this.#canvases.length < CANVAS_LIMIT, 'canvases are shared faster than they are freed');
    const canvas: Canvas = {
      picture: this.#pictures.allocate(this.width, this.height),
      scene: undefined,
      versions: [],
    };
    this.#canvases.push(canvas);
    return canvas;
  }

  #redrawAll(canvas: Canvas, items: Item[], scene: Scene): void {
    const whole = { x: 0, y: 0, width: this.width, height: this.height };
    const first = items[0];
    // When one opaque picture covers everything no background is needed.
    if (first?.paint.kind !== 'opaque' || !covers(first.rect, whole)) this.#clear(canvas.picture, whole, scene);
    for (const item of items) this.#draw(canvas.picture, item);
  }

  /** Draws the items whose pixels changed, together with what lies over them or shows through them. */
  #redrawChanged(canvas: Canvas, items: Item[], scene: Scene): void {
    const dirty = items.map((item, i) => item.version !== canvas.versions[i]);
    for (let grown = true; grown; ) {
      grown = false;
      for (let low = 0; low < items.length; low++) {
        for (let high = low + 1; high < items.length; high++) {
          if (dirty[low] === dirty[high] || !overlap(items[low]!.rect, items[high]!.rect)) continue;
          // An item over a redrawn one is drawn again; an item under one only when it shows through.
          if (dirty[high] && items[high]!.paint.kind === 'opaque') continue;
          dirty[low] = true;
          dirty[high] = true;
          grown = true;
        }
      }
    }
    items.forEach((item, i) => {
      if (dirty[i] && item.paint.kind !== 'opaque') this.#clear(canvas.picture, item.rect, scene);
    });
    items.forEach((item, i) => {
      if (dirty[i]) this.#draw(canvas.picture, item);
    });
  }

  #clear(canvas: Picture, rect: PixelRect, { background, backdrop }: Scene): void {
    if (backdrop) this.#pictures.copyPart(backdrop, canvas, rect);
    else fill(canvas, rect, toColor(background));
  }

  #draw(canvas: Picture, item: Item): void {
    const { paint } = item;
    const { x, y } = item.rect;
    switch (paint.kind) {
      case 'opaque':
        this.#pictures.copy(paint.picture, canvas, x, y);
        break;
      case 'blended':
        blend(paint.picture, canvas, x, y, paint.alpha);
        break;
      case 'layer':
        this.#blender.lay(paint.layer, canvas, x, y);
        break;
    }
  }
}

/** What was drawn otherwise before. What lies over or under it changes nowhere else. */
function changedParts(items: readonly Item[], before: readonly number[]): PixelRect[] {
  return items.filter(({ version }, i) => version !== before[i]).map(({ rect }) => rect);
}

function paintOf(picture: Picture, alpha: number): Paint {
  return alpha < 1 ? { kind: 'blended', picture, alpha } : { kind: 'opaque', picture };
}

function sceneKey(items: Item[]): string {
  return items.map(({ rect, paint }) => `${rect.x},${rect.y},${rect.width},${rect.height},${keyOf(paint)}`).join(';');
}

function keyOf(paint: Paint): string {
  return paint.kind === 'blended' ? `${paint.alpha}` : paint.kind;
}

function isScene(canvas: Canvas, scene: Scene): boolean {
  const before = canvas.scene;
  return before?.key === scene.key && before.background === scene.background && before.backdrop === scene.backdrop;
}

function covers(outer: PixelRect, inner: PixelRect): boolean {
  return (
    outer.x <= inner.x &&
    outer.y <= inner.y &&
    outer.x + outer.width >= inner.x + inner.width &&
    outer.y + outer.height >= inner.y + inner.height
  );
}

function overlap(a: PixelRect, b: PixelRect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
