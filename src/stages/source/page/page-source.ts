/**
 * PageSource: a web page on a screen and a speaker of its own, from the programs' start to their end. It opens the
 * page, waits until it is ready, and loads it again when it has crashed, hangs, or went where nothing is (ADR 0016).
 */
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Source } from '../../../contract/line/commands.ts';
import type { PageReload } from '../../../contract/line/facts.ts';
import { AllowedAddresses } from '../../../kernel/address.ts';
import { type Clock, sleep, type Timer } from '../../../kernel/clock.ts';
import { US } from '../../../kernel/time.ts';
import { PageBrowser } from './browser.ts';
import { EgressProxy } from './egress-proxy.ts';
import { guardPage } from './page-guard.ts';
import { PageView } from './page-view.ts';
import { findPrograms, type PageUser } from './programs.ts';
import { type Screen, startScreen } from './screen.ts';
import { type OnSound, type Speaker, startSpeaker } from './speaker.ts';
import { removeUserRules, setUserRules, userOf } from './user-rules.ts';

type PageRequest = Extract<Source, { kind: 'page' }>;

type PageSourceListener = {
  onSound: OnSound;
  /** It was loaded again; `why` in words. */
  onReloaded(reason: PageReload, why: string): void;
  /** Something was refused, or went wrong in the page, in words. */
  onNoted(what: string): void;
  /** The page can be shown no more, or never could. Comes once, and nothing after it. */
  onLost(loss: PageLoss): void;
};
/**
 * `late`: it never called `notifyReady`; `unreachable`: its address, or what it made of itself; `engine`: our programs.
 */
export type PageLoss = { kind: 'late' | 'unreachable' | 'engine'; why: string };

export type PageSourceOptions = {
  request: PageRequest;
  /** Of the page, even. */
  width: number;
  height: number;
  clock: Clock;
  listener: PageSourceListener;
};

const BEAT_MS = 5_000;
const HANG_MS = 15_000;
/** A page that has to be loaded again more often than this within a minute is lost. */
const MAX_RELOADS = 3;
/** A page that goes elsewhere so often within ten seconds does so for ever. */
const MAX_NAVIGATIONS = 10;
const MOBILE_AGENT = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/';

export class PageSource {
  readonly #o: PageSourceOptions;
  readonly #ended = new AbortController();
  readonly #dir: string;
  #screen: Screen | undefined;
  #speaker: Speaker | undefined;
  #proxy: EgressProxy | undefined;
  #browser: PageBrowser | undefined;
  #view: PageView | undefined;
  #starting: Promise<void> | undefined;
  #ready = Promise.withResolvers<void>();
  #beat: Timer | undefined;
  #loading = false;
  #looking = false;
  #lost = false;
  #reloadsUs: number[] = [];
  #navigationsUs: number[] = [];
  /** Why the proxy did not get to the page's own host, since it was last opened. */
  #hostFailure: string | undefined;

  /** @param id of the process, which tells whose folder it is */
  constructor(options: PageSourceOptions, id: string) {
    this.#o = options;
    this.#dir = join(options.request.root, id);
  }

  /** The screen; there once `start` has resolved. */
  get screen(): Screen {
    if (!this.#screen) throw new TypeError('the page has no screen yet');
    return this.#screen;
  }

  /**
   * Starts the programs, with an empty page. Rejects with a Fault `page-programs-missing` or `page-engine-failed`, and
   * with an AbortError after `close`.
   */
  async start(): Promise<void> {
    // Nobody would end what is started now.
    this.#ended.signal.throwIfAborted();
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { request, width, height, clock, listener } = this.#o;
    const { networks, guard, sandboxed } = request;
    const user = this.#user;
    const programs = findPrograms();
    const dir = this.#dir;
    const home = join(dir, 'home');
    await mkdir(home, { recursive: true, mode: 0o700 });
    await chmod(dir, 0o755);
    if (user) await chown(home, user.uid, user.gid);
    const common = { programs, user };
    const socket = join(dir, 'proxy.sock');
    const allowed = new AllowedAddresses(networks);
    const starting = [
      startScreen({ ...common, dir, width, height }).then((screen) => {
        this.#screen = screen;
      }),
      startSpeaker({ ...common, dir: home, clock, onSound: listener.onSound }).then((speaker) => {
        this.#speaker = speaker;
      }),
      EgressProxy.start({
        ...(guard === 'namespace' && { socket }),
        permits: (address) => allowed.permits(address),
        onRefused: (target) => {
          this.#onUnreached(target, 'it may not be reached');
          listener.onNoted(`the page may not reach ${target}`);
        },
        onFailed: (target, why) => this.#onUnreached(target, why),
      }).then(async (proxy) => {
        this.#proxy = proxy;
        if (proxy.port === undefined) await chmod(socket, 0o666);
        else if (guard === 'user' && user) await setUserRules({ uid: user.uid, proxyPort: proxy.port, networks });
      }),
    ];
    // What came up later than a failure has to be ended as well.
    const settled = await Promise.allSettled(starting);
    const [screen, speaker] = [this.#screen, this.#speaker];
    for (const each of settled) if (each.status === 'rejected') throw each.reason;
    if (!screen || !speaker) throw new TypeError('the programs started without a screen or a speaker');
    const hidden = [request.root, ...request.hidden];
    this.#browser = await PageBrowser.start({
      ...{ ...common, dir, home, hidden, screen, speaker, guard, sandboxed, width, height },
      proxy: this.#proxy?.port ?? socket,
    });
    for (const { exited } of [screen, speaker]) void exited.then((why) => this.#lose({ kind: 'engine', why }));
    await this.#prepare(this.#browser);
  }

  /**
   * Opens the page and waits until it is ready. Resolves to whether it is; what is wrong is told as a loss. From then
   * on it is watched.
   */
  async open(): Promise<boolean> {
    const { readyTimeoutMs } = this.#o.request;
    if (!(await this.#load())) return false;
    if (readyTimeoutMs > 0 && !(await this.#isReady(readyTimeoutMs))) {
      if (!this.#reload('loadTimeout', `the page was not ready within ${readyTimeoutMs / 1000} s`)) return false;
      if (!(await this.#load())) return false;
      if (!(await this.#isReady(readyTimeoutMs))) {
        this.#lose({ kind: 'late', why: `the page was not ready within ${readyTimeoutMs / 1000} s, twice` });
        return false;
      }
    }
    this.#beat = this.#o.clock.every(BEAT_MS, () => void this.#look());
    return !this.#lost;
  }

  /** Ends the programs, and removes all they left. */
  async close(): Promise<void> {
    this.#lost = true;
    this.#ended.abort();
    this.#beat?.cancel();
    // What comes up later than this would stay.
    await this.#starting?.catch(() => {});
    await this.#browser?.close();
    this.#proxy?.close();
    for (const program of [this.#speaker, this.#screen]) program?.kill();
    await Promise.all([this.#speaker?.exited, this.#screen?.exited]);
    await rm(this.#dir, { recursive: true, force: true });
    if (this.#o.request.guard === 'user' && this.#user) await removeUserRules(this.#user.uid);
  }

  /** Whom the page runs as. */
  get #user(): PageUser {
    const { guard, user } = this.#o.request;
    return guard === 'user' ? userOf(process.pid) : user;
  }

  async #prepare(browser: PageBrowser): Promise<void> {
    const { clock, listener, request, width, height } = this.#o;
    const { session } = browser;
    await guardPage(browser, {
      onReady: () => this.#ready.resolve(),
      onCrashed: () => this.#onTrouble('crashed', 'the page crashed'),
      onClosed: () => this.#lose({ kind: 'engine', why: 'the browser ended' }),
      onRefused: (what) => listener.onNoted(`refused: ${what}`),
      onPageError: (text) => listener.onNoted(`an error in the page: ${text}`),
    });
    this.#view = await PageView.of({
      session,
      clock,
      onFailed: (why) => this.#onTrouble('failed', why),
      onNavigated: () => this.#onNavigated(),
    });
    if (!request.mobile) return;
    const version = browser.context.browser()?.version() ?? '';
    await session.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: true });
    await session.send('Emulation.setTouchEmulationEnabled', { enabled: true });
    await session.send('Emulation.setUserAgentOverride', {
      userAgent: `${MOBILE_AGENT}${version.split('.')[0]}.0.0.0 Mobile Safari/537.36`,
      platform: 'Linux armv81',
    });
  }

  async #load(): Promise<boolean> {
    this.#ready = Promise.withResolvers();
    this.#loading = true;
    this.#hostFailure = undefined;
    const why = await this.#view?.open(this.#o.request.url);
    this.#loading = false;
    if (why === undefined) return !this.#lost;
    // The browser knows no more than that the proxy gave it an error.
    const cause = this.#hostFailure ?? why;
    this.#lose({ kind: 'unreachable', why: `the page cannot be opened: ${cause}` });
    return false;
  }

  /** @param target host and port */
  #onUnreached(target: string, why: string): void {
    const { protocol, hostname, port } = new URL(this.#o.request.url);
    if (target === `${hostname}:${port || (protocol === 'https:' ? 443 : 80)}`) this.#hostFailure = why;
  }

  async #isReady(timeoutMs: number): Promise<boolean> {
    const { clock } = this.#o;
    const late = sleep(clock, timeoutMs, this.#ended.signal).then(
      () => false,
      () => false,
    );
    return Promise.race([this.#ready.promise.then(() => true), late]);
  }

  /** Tells of a reload that is about to be made. False when there were too many. */
  #reload(reason: PageReload, why: string): boolean {
    if (this.#lost) return false;
    this.#reloadsUs = this.#recent(this.#reloadsUs, 60 * US);
    if (this.#reloadsUs.length > MAX_RELOADS) {
      this.#lose({
        kind: 'unreachable',
        why: `the page was loaded again ${MAX_RELOADS} times within a minute: ${why}`,
      });
      return false;
    }
    this.#o.listener.onReloaded(reason, why);
    return true;
  }

  #onTrouble(reason: PageReload, why: string): void {
    if (this.#loading || this.#lost || !this.#reload(reason, why)) return;
    void this.#load();
  }

  #onNavigated(): void {
    this.#navigationsUs = this.#recent(this.#navigationsUs, 10 * US);
    if (this.#navigationsUs.length === MAX_NAVIGATIONS)
      this.#o.listener.onNoted('the page loads itself, or others, again and again');
  }

  async #look(): Promise<void> {
    if (this.#loading || this.#looking || this.#lost || !this.#view) return;
    this.#looking = true;
    const answers = await this.#view.answers(HANG_MS);
    this.#looking = false;
    if (!answers) this.#onTrouble('hung', `the page did not answer for ${HANG_MS / 1000} s`);
  }

  /** The moments of late, with the present one. */
  #recent(momentsUs: readonly number[], spanUs: number): number[] {
    const nowUs = this.#o.clock.monoUs();
    return [...momentsUs.filter((us) => us > nowUs - spanUs), nowUs];
  }

  #lose(loss: PageLoss): void {
    if (this.#lost) return;
    this.#lost = true;
    this.#o.listener.onLost(loss);
  }
}
