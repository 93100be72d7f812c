/** Canvas: the one picture of a composite recording, drawn anew for each frame. */
import type { BackgroundImages, Layout, VideoPlan } from '../../contract/line/plan.ts';
import type { Picture } from '../../media/frame.ts';
import { LayerBlender } from '../../stages/codec/layer.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { Scaler } from '../../stages/codec/scaler.ts';
import { type PixelRect, placeUsers } from '../../stages/compose/layout/place.ts';
import { type Overlay, PictureCompositor } from '../../stages/compose/picture-compositor.ts';

/** How a frame looks (contract §1.4), apart from who is in it. */
export type Look = {
  layout: Layout;
  /** `#RRGGBB` */
  backgroundColor: string;
  backgrounds?: BackgroundImages | undefined;
};

/** An image in a user's place. */
export type UserImage = { picture: Picture; render: 'crop' | 'fit' };
/** The images of one frame: behind everybody, and in the places of users. */
export type ShownImages = { canvas: Picture | undefined; users: ReadonlyMap<string, UserImage> };

/** Which of the users in the channel have a place. */
export function usersIn(look: Look, uids: string[]): ReadonlySet<string> {
  return new Set(placeUsers(look.layout, uids).map(({ uid }) => uid));
}

export class Canvas {
  readonly #pool = new PicturePool();
  readonly #scaler = new Scaler(this.#pool);
  readonly #blender = new LayerBlender();
  readonly #compositor: PictureCompositor;
  readonly #size: { width: number; height: number };
  /** The canvas image as it is drawn, and its source. */
  #backdrop: { source: Picture; picture: Picture } | undefined;

  constructor({ width, height }: Pick<VideoPlan, 'width' | 'height'>) {
    this.#size = { width, height };
    const [pictures, scaler, blender] = [this.#pool, this.#scaler, this.#blender];
    this.#compositor = new PictureCompositor({ width, height, pictures, scaler, blender });
  }

  /**
   * @param uids users in join order
   * @param images shown behind users and instead of their pictures; none when left out
   * @param overlays drawn over everything
   * @returns a picture that keeps its pixels until the next call
   */
  draw(
    look: Look,
    uids: string[],
    pictures: ReadonlyMap<string, Picture | undefined>,
    images?: ShownImages | undefined,
    overlays?: readonly Overlay[],
  ): Picture {
    const placements = placeUsers(look.layout, uids).map((placement) => {
      const render = images?.users.get(placement.uid)?.render;
      return render ? { ...placement, render } : placement;
    });
    const shown = new Map(pictures);
    for (const [uid, { picture }] of images?.users ?? []) shown.set(uid, picture);
    const backdrop = this.#cover(images?.canvas);
    const background = look.backgroundColor;
    return this.#compositor.compose({ placements, pictures: shown, background, backdrop, overlays });
  }

  /** As of PictureCompositor, for the last `draw`. */
  get changed(): readonly PixelRect[] | undefined {
    return this.#compositor.changed;
  }

  close(): void {
    this.#backdrop?.picture.free();
    this.#compositor.close();
    this.#scaler.close();
    this.#blender.close();
    this.#pool.close();
  }

  /** The image, cropped to cover the canvas; made once. */
  #cover(source: Picture | undefined): Picture | undefined {
    if (this.#backdrop && this.#backdrop.source === source) return this.#backdrop.picture;
    this.#backdrop?.picture.free();
    this.#backdrop = source && {
      source,
      picture: this.#scaler.scale(source, { ...this.#size, render: 'crop' }).picture,
    };
    return this.#backdrop?.picture;
  }
}
