/**
 * Canvas: the one picture of a composite recording, drawn anew for each frame from whoever is there.
 */
import type { VideoPlan } from '../../contract/line/plan.ts';
import type { Picture } from '../../media/frame.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { Scaler } from '../../stages/codec/scaler.ts';
import { placeUsers } from '../../stages/compose/layout/place.ts';
import { PictureCompositor } from '../../stages/compose/picture-compositor.ts';

export class Canvas {
  readonly #video: VideoPlan;
  readonly #pool = new PicturePool();
  readonly #scaler = new Scaler(this.#pool);
  readonly #compositor: PictureCompositor;

  constructor(video: VideoPlan) {
    this.#video = video;
    const { width, height } = video;
    this.#compositor = new PictureCompositor({ width, height, pictures: this.#pool, scaler: this.#scaler });
  }

  /** @param uids users in join order @returns a picture that keeps its pixels until the next call */
  draw(uids: string[], pictures: ReadonlyMap<string, Picture | undefined>): Picture {
    const { layout, backgroundColor: background } = this.#video;
    return this.#compositor.compose({ placements: placeUsers(layout, uids), pictures, background });
  }

  close(): void {
    this.#compositor.close();
    this.#scaler.close();
    this.#pool.close();
  }
}
