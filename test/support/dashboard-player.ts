/** The player of the dashboard, as somebody sees it: what it shows, where it is, and clicks on the timeline. */
import type { Page } from 'playwright-core';
import { PARTICIPANTS, type Rgb, type Yuv } from './media/participants.ts';
import { until } from './test-server.ts';

/** Nothing of a made picture but the flash is as light in all colours. */
const FLASH = 170;
/** Longer than a flash. */
const BEYOND_FLASH_S = 0.2;

type State = { at: number; length: number; has: boolean; seeking: boolean; error: number };

export class DashboardPlayer {
  readonly #page: Page;
  readonly #video: string;

  /** @param video the selector of the element */
  constructor(page: Page, video = '.player video') {
    this.#page = page;
    this.#video = video;
  }

  /** Resolves when it has a picture. */
  async shows(timeoutMs = 30_000): Promise<void> {
    await this.#page.locator(this.#video).waitFor({ timeout: timeoutMs });
    await until(
      'a picture',
      async () => {
        const { has, error } = await this.state();
        if (error !== 0) throw new Error(`the player failed with code ${error}`);
        return has;
      },
      timeoutMs,
    );
  }

  state(): Promise<State> {
    return this.#with(
      'return { at: v.currentTime, length: v.duration, has: v.readyState >= v.HAVE_CURRENT_DATA, seeking: v.seeking, error: v.error?.code ?? 0 }',
    );
  }

  /** Plays until it has come past `s`, and stands still there. */
  async playPast(s: number): Promise<void> {
    await this.#with('v.muted = true; return v.play().then(() => true)');
    await until(`it plays past ${s} s`, async () => (await this.state()).at > s, 30_000);
    await this.#with('v.pause(); return true');
  }

  /** Clicks the timeline at a share of its length. Resolves to where the player then is, in seconds. */
  async click(share: number): Promise<number> {
    const timeline = this.#page.getByTestId('timeline');
    const { width, height } = (await timeline.boundingBox()) ?? { width: 0, height: 0 };
    const before = (await this.state()).at;
    await timeline.click({ position: { x: width * share, y: height - 10 } });
    return until(
      `it is at ${share} of the timeline`,
      async () => {
        const { at, seeking, has } = await this.state();
        return !seeking && has && at !== before && at;
      },
      20_000,
    );
  }

  /** Drags over the timeline from one share of its length to another. */
  async choose(from: number, to: number): Promise<void> {
    const timeline = this.#page.getByTestId('timeline');
    await timeline.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await timeline.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
    await this.#page.mouse.move(x + width * from, y + height - 10);
    await this.#page.mouse.down();
    await this.#page.mouse.move(x + width * to, y + height - 10, { steps: 3 });
    await this.#page.mouse.up();
  }

  /** Whose colour is seen at a place, in fractions of the picture; flashes are stepped over. */
  async nameAt(x: number, y: number): Promise<string> {
    for (let tries = 0; tries < 3; tries++) {
      const name = nameOf(await this.#colourAt(x, y));
      if (name !== undefined) return name;
      await this.#with(`return new Promise((seeked) => {
        v.addEventListener('seeked', () => seeked(true), { once: true });
        v.currentTime += ${BEYOND_FLASH_S};
      })`);
    }
    return 'white';
  }

  #colourAt(x: number, y: number): Promise<Rgb> {
    return this.#with(`
      const canvas = document.createElement('canvas');
      canvas.width = v.videoWidth;
      canvas.height = v.videoHeight;
      const pen = canvas.getContext('2d');
      pen.drawImage(v, 0, 0);
      const [r, g, b] = pen.getImageData(Math.floor(${x} * canvas.width), Math.floor(${y} * canvas.height), 1, 1).data;
      return { r, g, b };
    `);
  }

  /** Runs in the page; `v` is the element. */
  #with<T>(body: string): Promise<T> {
    return this.#page.evaluate(
      `(() => { const v = document.querySelector(${JSON.stringify(this.#video)}); ${body} })()`,
    ) as Promise<T>;
  }
}

/** Whose colour it is most like; undefined in a flash. */
export function nameOf(colour: Rgb): string | undefined {
  return Math.min(colour.r, colour.g, colour.b) < FLASH ? nearest(colour) : undefined;
}

function nearest(colour: Rgb): string {
  const known = [...PARTICIPANTS.map((each) => ({ name: each.name, rgb: rgbOf(each.colour) })), BLACK];
  const distance = ({ rgb: { r, g, b } }: (typeof known)[number]) =>
    (r - colour.r) ** 2 + (g - colour.g) ** 2 + (b - colour.b) ** 2;
  return known.reduce((best, each) => (distance(each) < distance(best) ? each : best)).name;
}

const BLACK = { name: 'black', rgb: { r: 0, g: 0, b: 0 } };

/** As a player shows it: BT.709 of limited range. */
function rgbOf({ y, u, v }: Yuv): Rgb {
  const [kr, kb] = [0.2126, 0.0722];
  const luma = (y - 16) / 219;
  const r = luma + (2 - 2 * kr) * ((v - 128) / 224);
  const b = luma + (2 - 2 * kb) * ((u - 128) / 224);
  const g = (luma - kr * r - kb * b) / (1 - kr - kb);
  const byte = (value: number) => Math.min(255, Math.max(0, Math.round(value * 255)));
  return { r: byte(r), g: byte(g), b: byte(b) };
}
