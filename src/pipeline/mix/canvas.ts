/**
 * Canvas: the one picture of a composite recording, drawn anew for each frame from whoever is there.
 */
import type { Layout, VideoPlan } from '../../contract/line/plan.ts';
import type { Picture } from '../../media/frame.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { Scaler } from '../../stages/codec/scaler.ts';
import { placeUsers } from '../../stages/compose/layout/place.ts';
import { PictureCompositor } from '../../stages/compose/picture-compositor.ts';

/** How a frame is laid out (contract §1.4), apart from who is in it. */
export type Look = {
  layout: Layout;
  /** `#RRGGBB` */
  backgroundColor: string;
};

/** Which of the users who are there have a place. */
export function usersIn(look: Look, uids: string[]): ReadonlySet<string> {
  return new Set(placeUsers(look.layout, uids).map(({ uid }) => uid));
}

export class Canvas {
  readonly #pool = new PicturePool();
  readonly #scaler = new Scaler(this.#pool);
  readonly #compositor: PictureCompositor;

  constructor({ width, height }: Pick<VideoPlan, 'width' | 'height'>) {
    this.#compositor = new PictureCompositor({ width, height, pictures: this.#pool, scaler: this.#scaler });
  }

  /** @param uids users in join order @returns a picture that keeps its pixels until the next call */
  draw(look: Look, uids: string[], pictures: ReadonlyMap<string, Picture | undefined>): Picture {
    const placements = placeUsers(look.layout, uids);
    return this.#compositor.compose({ placements, pictures, background: look.backgroundColor });
  }

  close(): void {
    this.#compositor.close();
    this.#scaler.close();
    this.#pool.close();
  }
}
