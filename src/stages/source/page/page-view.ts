/**
 * PageView: goes to addresses with a browser's one page, and says what came of it. An error page of the server has a
 * body as any other, so it is known by its status alone; one of the browser itself by the address that could not be
 * reached.
 */
import type { CDPSession } from 'playwright-core';
import { type Clock, within } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/fault.ts';

const NAVIGATION_TIMEOUT_MS = 30_000;
/** A document that is not read by then is shown as far as it is. */
const DOCUMENT_TIMEOUT_MS = 3_000;
const PAINT_TIMEOUT_MS = 1_000;
/** Resolves once the page was drawn. */
const PAINTED = 'new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))';
/** Longer than a picture takes to the screen. */
const FLASH_FRAMES = 5;
const FLASH_TIMEOUT_MS = 3_000;
/**
 * Frames that are drawn before the first flash, and those of them whose script takes too long. A browser that missed
 * frames, as every page has it do while it loads, shows the ones behind them later, for as long as the page moves.
 */
const WARM_UP = { frames: 20, slow: 10, slowMs: 30 };
/** Draws as pages do that move: each frame anew, all over. */
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
/** Statuses of documents that are remembered. */
const MAX_DOCUMENTS = 20;

/** What answered a document request. */
type Answer = { status: number; mimeType: string };

export type PageViewOptions = {
  session: CDPSession;
  clock: Clock;
  /** The page went to an address that failed, by itself. `why` in words. */
  onFailed(why: string): void;
  /** The page went somewhere, wherever to. */
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
   * Goes to `url`, and waits until its document was drawn, or as long as that may take. Resolves to why that failed, in
   * words without the address; undefined when it did not.
   */
  async open(url: string): Promise<string | undefined> {
    const { protocol } = URL.parse(url) ?? {};
    // The browser itself would open files of this machine.
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
      await this.#within(PAINT_TIMEOUT_MS, this.#evaluate(PAINTED)).catch(() => {});
      return undefined;
    } catch (error) {
      return messageOf(error);
    } finally {
      this.#opening = false;
    }
  }

  /**
   * Has the empty page draw a picture at each of its frames, black and white by turns of `FLASH_FRAMES`. Resolves to
   * when its script drew each change, in order, the first one to white; wall time in microseconds.
   */
  async flash(count: number): Promise<number[]> {
    const { result } = await this.#within(FLASH_TIMEOUT_MS, this.#evaluate(`(${FLASHING})(${count})`));
    return result.value as number[];
  }

  /** Whether the page's script answers within `timeoutMs`. When the page goes elsewhere meanwhile it is asked anew. */
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
