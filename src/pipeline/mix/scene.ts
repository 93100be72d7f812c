/**
 * Scene: what a composite recording's frames look like over time: its looks and when each holds, the images that they
 * name, and the canvas that it all is drawn on.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import type { VideoPlan } from '../../contract/line/plan.ts';
import { EndpointGuard } from '../../kernel/endpoint-guard.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import { fetchImage } from '../../stages/source/image/fetch-image.ts';
import type { LineContext } from '../recording.ts';
import { Timeline } from '../timeline.ts';
import { Backgrounds } from './backgrounds.ts';
import { Canvas, type Look, usersIn } from './canvas.ts';
import { Images } from './images.ts';
import type { Seen } from './participants.ts';

type SceneContext = Pick<LineContext, 'clock' | 'emit'>;
type SceneStart = Pick<StartCommand, 'spoolDir' | 'earlierDirs' | 'imageNetworks'>;

export class Scene {
  readonly #looks: Timeline<Look>;
  readonly #images: Images;
  readonly #backgrounds: Backgrounds;
  readonly #canvas: Canvas;
  /** The last frame that was asked about. */
  #atUs: RecordingUs = -1;

  static async open(start: SceneStart, video: VideoPlan, { clock, emit }: SceneContext): Promise<Scene> {
    const { spoolDir: dir, earlierDirs, imageNetworks: networks = [] } = start;
    // An image is no secret, and much of the web that has some has no certificate.
    const guard = new EndpointGuard({ networks, plainHttp: true, setting: 'imageNetworks' });
    let scene: Scene | undefined;
    const images = await Images.open({
      ...{ dir, earlierDirs, clock, cover: video },
      fetch: (url, signal) => fetchImage(url, { guard, clock, signal }),
      nextUs: () => (scene ? scene.#atUs + 1 : 0),
      onDegraded: (what) => emit({ type: 'degraded', what, count: 1 }),
    });
    scene = new Scene(video, images);
    return scene;
  }

  private constructor(video: VideoPlan, images: Images) {
    this.#looks = new Timeline<Look>(video);
    this.#images = images;
    this.#backgrounds = new Backgrounds(images);
    this.#canvas = new Canvas(video);
    this.#backgrounds.announce(video);
  }

  /** Resolves when the images that an earlier run showed are there again. */
  restored(): Promise<void> {
    return this.#images.restored();
  }

  /** As of Timeline. */
  change(fromUs: RecordingUs, look: Look): void {
    this.#looks.change(fromUs, look);
    this.#backgrounds.announce(look);
  }

  /** Which of the users who may have a place in the frame at `atUs` have one. Frames are asked about in order. */
  placed(atUs: RecordingUs, uids: string[]): ReadonlySet<string> {
    this.#atUs = atUs;
    return usersIn(this.#looks.at(atUs), uids);
  }

  /** The frame at `atUs`; it keeps its pixels until the next call. */
  draw(atUs: RecordingUs, { uids, pictures, views }: Seen): Picture {
    const look = this.#looks.at(atUs);
    return this.#canvas.draw(look, uids, pictures, this.#backgrounds.at(look, views, atUs));
  }

  /** Nothing before `atUs` is asked about again. */
  forget(atUs: RecordingUs): void {
    this.#looks.forget(atUs);
    this.#backgrounds.forget(this.#looks.since(atUs).map(({ value }) => value));
  }

  /** Resolves when everything is freed. */
  async close(): Promise<void> {
    this.#canvas.close();
    await this.#images.close();
  }
}
