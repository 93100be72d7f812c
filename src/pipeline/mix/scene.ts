/**
 * Scene: what a composite recording's frames look like over time: its looks and overlays and when each holds, the
 * images that they name, and the canvas that everything is drawn on.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import type { Overlays } from '../../contract/line/overlays.ts';
import type { VideoPlan } from '../../contract/line/plan.ts';
import type { ShownImagesState } from '../../contract/line/shown-images-state.ts';
import { EndpointGuard } from '../../kernel/endpoint-guard.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import { type PixelRect, placeUsers } from '../../stages/compose/layout/place.ts';
import { speakerLayout } from '../../stages/compose/layout/speaker.ts';
import { fetchImage } from '../../stages/source/image/fetch-image.ts';
import type { LineContext } from '../recording.ts';
import { Timeline } from '../timeline.ts';
import { Backgrounds } from './backgrounds.ts';
import { Canvas, type Look, usersIn } from './canvas.ts';
import { Images } from './images.ts';
import { OverlayPainter } from './overlays/overlay-painter.ts';
import type { Seen } from './participants.ts';

type SceneContext = Pick<LineContext, 'clock' | 'emit'>;
type SceneStart = Pick<StartCommand, 'spoolDir' | 'earlierDirs' | 'imageNetworks' | 'zeroUtcMs'>;

export class Scene {
  readonly #looks: Timeline<Look>;
  readonly #overlays: Timeline<Overlays>;
  readonly #images: Images;
  readonly #backgrounds: Backgrounds;
  readonly #canvas: Canvas;
  readonly #painter: OverlayPainter;
  /** The last frame that was asked about. */
  #atUs: RecordingUs = -1;

  /** @param earlier the images that an earlier run showed */
  static async open(
    start: SceneStart,
    video: VideoPlan,
    { clock, emit }: SceneContext,
    earlier?: ShownImagesState,
  ): Promise<Scene> {
    const { spoolDir: dir, earlierDirs, imageNetworks: networks = [], zeroUtcMs } = start;
    // Images are no secret, and many web servers that have some have no certificate.
    const guard = new EndpointGuard({ networks, plainHttp: true, setting: 'imageNetworks' });
    let scene: Scene | undefined;
    const onDegraded = (what: string) => emit({ type: 'degraded', what, count: 1 });
    const images = await Images.open({
      ...{ dir, earlierDirs, clock, cover: video },
      fetch: (url, signal) => fetchImage(url, { guard, clock, signal }),
      nextUs: () => (scene ? scene.#atUs + 1 : 0),
      onDegraded,
    });
    const painter = new OverlayPainter({ size: video, images, zeroUtcMs, onDegraded });
    scene = new Scene(video, images, painter, earlier);
    return scene;
  }

  private constructor(video: VideoPlan, images: Images, painter: OverlayPainter, earlier?: ShownImagesState) {
    this.#looks = new Timeline<Look>(video);
    this.#overlays = new Timeline<Overlays>(video.overlays ?? {});
    this.#painter = painter;
    this.#images = images;
    this.#backgrounds = new Backgrounds(images, earlier);
    this.#canvas = new Canvas(video);
    this.#backgrounds.announce(video);
    painter.announce(this.#overlays.newest);
  }

  /** Resolves when the images that an earlier run showed are there again. */
  restored(): Promise<void> {
    return this.#images.restored();
  }

  /** The images that are shown, for a later run. */
  saveImages(): ShownImagesState {
    return this.#backgrounds.save();
  }

  /** Goes on at `atUs` as an earlier run would have: a watermark that is replaced stays until the next is loaded. */
  async goOn(atUs: RecordingUs): Promise<void> {
    const settings = this.#overlays.since(Number.NEGATIVE_INFINITY).filter(({ fromUs }) => fromUs <= atUs);
    for (const [n, { value }] of settings.entries())
      await this.#painter.pass(value, Math.min(atUs, (settings[n + 1]?.fromUs ?? atUs) - 1));
  }

  /** Called instead of `draw` for a frame that the files hold already. */
  async pass(atUs: RecordingUs, { uids, views }: Seen, spoke: readonly string[]): Promise<void> {
    this.#backgrounds.at(this.#lookAt(atUs, uids, spoke), views, atUs);
    await this.#painter.pass(this.#overlays.at(atUs), atUs);
  }

  /** As of Timeline. */
  change(fromUs: RecordingUs, look: Look): void {
    this.#looks.change(fromUs, look);
    this.#backgrounds.announce(look);
  }

  /** As of Timeline, for what is drawn over pictures, and for which pictures are drawn. */
  changeOverlays(fromUs: RecordingUs, overlays: Overlays): void {
    this.#overlays.change(fromUs, overlays);
    this.#painter.announce(overlays);
  }

  /** Whether users who show no video get no place in the frame at `atUs`. */
  hidesWithoutVideo(atUs: RecordingUs): boolean {
    return this.#overlays.at(atUs).hidesWithoutVideo === true;
  }

  /**
   * Which of the users who may have a place in the frame at `atUs` have one. Call it in order of frames.
   * @param spoke who has spoken, the last one first
   */
  placed(atUs: RecordingUs, uids: string[], spoke: readonly string[]): ReadonlySet<string> {
    this.#atUs = atUs;
    return usersIn(this.#lookAt(atUs, uids, spoke), uids);
  }

  /**
   * The frame at `atUs`; it keeps its pixels until the next call.
   * @param spoke as in `placed`
   */
  async draw(atUs: RecordingUs, { uids, pictures, views }: Seen, spoke: readonly string[]): Promise<Picture> {
    const look = this.#lookAt(atUs, uids, spoke);
    const drawn = { placements: placeUsers(look.layout, uids), speaker: spoke[0] };
    const overlays = await this.#painter.draw(this.#overlays.at(atUs), drawn, atUs);
    return this.#canvas.draw(look, uids, pictures, this.#backgrounds.at(look, views, atUs), overlays);
  }

  /** Where the newest frame may differ from the one drawn before it; undefined: anywhere. */
  get changed(): readonly PixelRect[] | undefined {
    return this.#canvas.changed;
  }

  /** Nothing before `atUs` is asked about again. */
  forget(atUs: RecordingUs): void {
    this.#looks.forget(atUs);
    this.#overlays.forget(atUs);
    const overlays = this.#overlays.since(atUs).map(({ value }) => value);
    this.#backgrounds.forget(
      this.#looks.since(atUs).map(({ value }) => value),
      this.#painter.imagesOf(overlays),
    );
  }

  /** Resolves when everything is freed. */
  async close(): Promise<void> {
    this.#painter.close();
    this.#canvas.close();
    await this.#images.close();
  }

  #lookAt(atUs: RecordingUs, uids: string[], spoke: readonly string[]): Look {
    const look = this.#looks.at(atUs);
    const kind = this.#overlays.at(atUs).speaker?.layout;
    return kind === undefined ? look : { ...look, layout: speakerLayout(kind, spoke, uids) };
  }
}
