/**
 * PageView: goes to addresses with a browser's one page, and tells what came of it. A server's error page is a document
 * like any other, so only its status shows it; an error page of the browser itself shows by the address that could not
 * be reached.
 */
import type { CDPSession } from 'playwright-core';
import { type Clock, sleep, within } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/fault.ts';

const NAVIGATION_TIMEOUT_MS = 30_000;
/** A document that has not been read by then is shown as far as it is. */
const DOCUMENT_TIMEOUT_MS = 3_000;
/** A page that is not on the screen by then is recorded as far as it is. */
const SHOWN_TIMEOUT_MS = 3_000;
/** Between a screenshot that failed, as of a page that has drawn nothing yet, and the next. */
const SCREENSHOT_PAUSE_MS = 50;
/** Of the pictures that nobody looks at. */
const SCREENSHOT = { format: 'jpeg', quality: 0, optimizeForSpeed: true } as const;
/** Longer than a picture takes to reach the screen. */
const FLASH_FRAMES = 5;
const FLASH_TIMEOUT_MS = 3_000;
/**
 * Frames that are drawn before the first flash; in some of them the script takes too long. While a page loads the
 * browser misses frames, and from then on it shows later frames with more delay, as long as the page moves. These
 * frames make the empty page behave like that.
 */
const WARM_UP = { frames: 20, slow: 10, slowMs: 30 };
/** Draws like a page that moves: each frame anew, and all of it. */
const FLASHING = `async (count) => {
  const canvas = document.body.appendChild(document.createElement('canvas'));
  document.body.style.margin = 0;
  [canvas.width, canvas.height] = [innerWidth, innerHeight];
  const pen = canvas.getContext('2d');
  for (let frame = 0; frame < ${WARM_UP.frames}; frame++) {
    const at = await new Promise(requestAnimationFrame);
    pen.fillStyle = frame % 2 ? '#000' : '#010101';
    pen.fillRect(0, 0, canvas.width, canvas.height);
    while (frame < ${WARM_UP.slow} && new Event('now').timeStamp < at + ${WARM_UP.slowMs});
  }
  const drawn = [];
  for (let frame = 0; frame < (count + 1) * ${FLASH_FRAMES}; frame++) {
    const at = await new Promise(requestAnimationFrame);
    const turn = Math.floor(frame / ${FLASH_FRAMES});
    if (frame % ${FLASH_FRAMES} === 0 && turn > 0) drawn.push((performance.timeOrigin + at) * 1000);
    pen.fillStyle = turn % 2 ? '#fff' : '#000';
    pen.fillRect(0, 0, canvas.width, canvas.height);
  }
  canvas.remove();
  return drawn;
}`;
/** How many documents' statuses are remembered. */
const MAX_DOCUMENTS = 20;

/** The answer to a document request. */
type Answer = { status: number; mimeType: string };

export type PageViewOptions = {
  session: CDPSession;
  clock: Clock;
  /** The page itself went to an address that failed. `why` in words. */
  onFailed(why: string): void;
  /** The page went somewhere, to whatever address. */
  onNavigated(): void;
};

export class PageView {
  readonly #session: CDPSession;
  readonly #clock: Clock;
  readonly #answers = new Map<string, Answer>();
  #frameId = '';
  #opening = false;

  private constructor({ session, clock }: PageViewOptions) {
    this.#session = session;
    this.#clock = clock;
  }

  static async of(options: PageViewOptions): Promise<PageView> {
    const { session, onFailed, onNavigated } = options;
    const view = new PageView(options);
    session.on('Network.responseReceived', ({ type, frameId, loaderId, response }) => {
      if (type !== 'Document' || frameId !== view.#frameId) return;
      view.#answers.set(loaderId, { status: response.status, mimeType: response.mimeType });
      const [oldest] = view.#answers.keys();
      if (view.#answers.size > MAX_DOCUMENTS && oldest !== undefined) view.#answers.delete(oldest);
    });
    session.on('Page.frameNavigated', ({ frame }) => {
      if (frame.parentId !== undefined || view.#opening) return;
      onNavigated();
      const why = frame.unreachableUrl ? 'it cannot be reached' : view.#refusalOf(frame.loaderId);
      if (why !== undefined) onFailed(`the page went to an address: ${why}`);
    });
    await Promise.all([session.send('Page.enable'), session.send('Network.enable')]);
    const { frameTree } = await session.send('Page.getFrameTree');
    view.#frameId = frameTree.frame.id;
    return view;
  }

  /**
   * Goes to `url` and waits until its document has been read, or for the longest time that may take. Resolves to why
   * that failed, in words without the address; undefined when it did not.
   */
  async open(url: string): Promise<string | undefined> {
    const { protocol } = URL.parse(url) ?? {};
    // The browser would even open files of this machine.
    if (protocol !== 'http:' && protocol !== 'https:') return 'only http and https pages are opened';
    this.#opening = true;
    try {
      const read = this.#once('Page.domContentEventFired');
      const going = this.#session.send('Page.navigate', { url });
      const { loaderId, errorText, isDownload } = await this.#within(NAVIGATION_TIMEOUT_MS, going);
      if (isDownload) return 'it is a download';
      if (errorText) return errorText;
      const refusal = loaderId === undefined ? undefined : this.#refusalOf(loaderId);
      if (refusal !== undefined) return refusal;
      await this.#within(DOCUMENT_TIMEOUT_MS, read).catch(() => {});
      return undefined;
    } catch (error) {
      return messageOf(error);
    } finally {
      this.#opening = false;
    }
  }

  /**
   * Resolves once the screen shows the page as it is now, or after the longest time that may take, or when `signal`
   * aborts. Animation frames of the page's script tell less: they begin before the picture of the frame before them has
   * reached the screen.
   */
  async shown(signal: AbortSignal): Promise<void> {
    const given = new AbortController();
    const drawn = this.#drawTwice(AbortSignal.any([signal, given.signal]));
    await this.#within(SHOWN_TIMEOUT_MS, drawn).catch(() => {});
    given.abort();
  }

  /** The browser sends a frame to the screen after it has made its screenshot, and before it draws the next frame. */
  async #drawTwice(signal: AbortSignal): Promise<void> {
    for (let drawn = 0; drawn < 2; ) {
      try {
        await this.#session.send('Page.captureScreenshot', SCREENSHOT);
        drawn++;
      } catch {
        await sleep(this.#clock, SCREENSHOT_PAUSE_MS, signal);
      }
    }
  }

  /**
   * Makes the empty page draw a picture in each of its frames, black and white in turns of `FLASH_FRAMES`. Resolves to
   * when its script drew each change, in order, beginning with the first white; wall time in microseconds.
   */
  async flash(count: number): Promise<number[]> {
    const { result } = await this.#within(FLASH_TIMEOUT_MS, this.#evaluate(`(${FLASHING})(${count})`));
    return result.value as number[];
  }

  /** Whether the page's script answers within `timeoutMs`. When the page navigates meanwhile it is asked again. */
  async answers(timeoutMs: number): Promise<boolean> {
    const answer = this.#evaluate('0').catch(() => this.#evaluate('0'));
    return this.#within(timeoutMs, answer).then(
      () => true,
      () => false,
    );
  }

  #evaluate(expression: string): Promise<{ result: { value?: unknown } }> {
    return this.#session.send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
  }

  #refusalOf(loaderId: string): string | undefined {
    const answer = this.#answers.get(loaderId);
    if (!answer) return undefined;
    if (answer.status >= 400) return `it answers ${answer.status}`;
    return answer.mimeType === 'application/pdf' ? 'it is a PDF document' : undefined;
  }

  #once(event: 'Page.domContentEventFired'): Promise<unknown> {
    return new Promise((resolve) => this.#session.once(event, resolve));
  }

  #within<T>(timeoutMs: number, work: Promise<T>): Promise<T> {
    return within(this.#clock, timeoutMs, work, () => new Error(`it does not answer within ${timeoutMs / 1000} s`));
  }
}
