/**
 * Publisher C: Chromium with our own publish page. Nothing of ours is between its encoders and the wire.
 */
import { type Browser, type BrowserPublisher, type PublishParams, startBrowser } from '../browser.ts';
import { type Participant, type Rgb, yuvOf } from '../media/participants.ts';
import type { Via } from './proxied-sdp.ts';

/** As CSS has it, with what the page's picture is painted in: 65 % of saturation, 38 % of lightness. */
const SATURATION = 0.65;
const LIGHTNESS = 0.38;

/** Who is seen and heard of a page with this hue, degrees, and pitch, hertz. */
export function pageParticipant(name: string, hue: number, toneHz: number): Participant {
  return { name, colour: yuvOf(rgbOfHue(hue)), toneHz };
}

/** CSS Color 4 §8.1, hsl to rgb. */
function rgbOfHue(hue: number): Rgb {
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    const chroma = SATURATION * Math.min(LIGHTNESS, 1 - LIGHTNESS);
    return Math.round(255 * (LIGHTNESS - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return { r: channel(0), g: channel(8), b: channel(4) };
}

/** A browser of its own with one page, which publishes until it is stopped. */
export class PagePublisher {
  readonly #browser: Browser;
  readonly #page: BrowserPublisher;

  /** Resolves once the page is connected. Rejects with an Error that says why it is not. */
  static async start(baseUrl: string, params: PublishParams, via?: Via): Promise<PagePublisher> {
    const browser = await startBrowser();
    try {
      return new PagePublisher(browser, await browser.publish(baseUrl, params, via));
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  private constructor(browser: Browser, page: BrowserPublisher) {
    this.#browser = browser;
    this.#page = page;
  }

  mute(kind: 'audio' | 'video'): Promise<void> {
    return this.#page.setMuted(kind, true);
  }
  unmute(kind: 'audio' | 'video'): Promise<void> {
    return this.#page.setMuted(kind, false);
  }
  /** Leaves the channel with a goodbye, and ends the browser. */
  async stop(): Promise<void> {
    await this.#page.leave().catch(() => undefined);
    await this.#browser.close();
  }
  /** Is gone without a word. */
  kill(): void {
    this.#browser.kill();
  }
}
