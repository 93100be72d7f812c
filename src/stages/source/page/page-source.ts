/**
 * PageSource: a web page on a screen and a speaker of its own, from the start of the programs to their end. It opens
 * the page, waits until it is ready, and loads it again when it has crashed, hangs, or went to an address that fails
 * (ADR 0016).
 */
import { chmod, chown, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { PagePlace } from '../../../contract/line/commands.ts';
import type { PageReload } from '../../../contract/line/facts.ts';
import type { PageAddress } from '../../../contract/line/plan.ts';
import { AllowedAddresses } from '../../../kernel/address.ts';
import { type Clock, sleep, type Timer } from '../../../kernel/clock.ts';
import { lowerPriority } from '../../../kernel/priority.ts';
import { type HostUs, US } from '../../../kernel/time.ts';
import { loadDriver, PageBrowser } from './browser.ts';
import { CpuShare } from './cpu-share.ts';
import { EgressProxy } from './egress-proxy.ts';
import { PageGroup } from './page-group.ts';
import { guardPage, type PageErrorKind } from './page-guard.ts';
import { PageMeter, type PageUse } from './page-meter.ts';
import { PageView } from './page-view.ts';
import { findPrograms, type PageUser } from './programs.ts';
import { type Screen, startScreen } from './screen.ts';
import { SoundLoss, soundProcess } from './sound-loss.ts';
import { type OnSound, type Speaker, startSpeaker } from './speaker.ts';
import { removeUserRules, setUserRules, userOf } from './user-rules.ts';

export type PageSourceListener = {
  onSound: OnSound;
  /** The page was loaded again; `why` in words. */
  onReloaded(reason: PageReload, why: string): void;
  /** Something was refused, in words. */
  onNoted(what: string): void;
  onPageError(kind: PageErrorKind, text: string): void;
  /** What its programs take of the machine, every few seconds. */
  onUse(use: PageUse): void;
  /** The page can no longer be shown, or never could. Called once, and nothing after it. */
  onLost(loss: PageLoss): void;
};
/**
 * `late`: the page never called `notifyReady`; `unreachable`: its address, or one that it went to, fails; `engine`: our
 * programs failed.
 */
export type PageLoss = { kind: 'late' | 'unreachable' | 'engine'; why: string };

export type PageSourceOptions = {
  place: PagePlace;
  /** Size of the empty page, even; also the largest size that its screen takes. */
  size: PageSize;
  largest?: PageSize;
  clock: Clock;
};
export type PageSize = { width: number; height: number };

/** Used before anybody listens: an empty page that belongs to nobody. */
export const NOBODY: PageSourceListener = {
  ...{ onSound() {}, onReloaded() {}, onNoted() {}, onPageError() {}, onUse() {}, onLost() {} },
};

const BEAT_MS = 5_000;
const HANG_MS = 15_000;
/** A page that must be loaded again more often than this within a minute is lost. */
const MAX_RELOADS = 3;
/** A page that navigates this often within ten seconds will never stop. */
const MAX_NAVIGATIONS = 10;
/** Of `nice`: behind what encodes pages too. */
const BEHIND_ALL = 10;
const TOO_MUCH_MEMORY = 'it took more memory than a page may have';
const MOBILE_AGENT = 'Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/';

export class PageSource {
  readonly #o: PageSourceOptions;
  readonly #ended = new AbortController();
  readonly #id: string;
  readonly #dir: string;
  readonly #soundLoss = new SoundLoss((known) => soundProcess(join(this.#dir, 'home', 'profile'), known));
  #listener = NOBODY;
  #page: PageAddress | undefined;
  #size: PageSize;
  #screen: Screen | undefined;
  #speaker: Speaker | undefined;
  #proxy: EgressProxy | undefined;
  #group: PageGroup | undefined;
  /** How many of its processes were killed because they took too much memory together. */
  #killedForMemory = 0;
  readonly #meter = new PageMeter(() => this.#programs());
  readonly #cpuShare: CpuShare;
  #browser: PageBrowser | undefined;
  #view: PageView | undefined;
  #starting: Promise<void> | undefined;
  #ready = Promise.withResolvers<void>();
  #beat: Timer | undefined;
  #loading = false;
  #looking = false;
  #measuring: Promise<void> | undefined;
  #overLimit: string | undefined;
  #closed = false;
  #loss: PageLoss | undefined;
  #reloadsUs: HostUs[] = [];
  #navigationsUs: HostUs[] = [];
  /** Why the proxy could not reach the page's own host since the page was last opened. */
  #hostFailure: string | undefined;

  /** @param id of the process; names the page's folder */
  constructor(options: PageSourceOptions, id: string) {
    this.#o = options;
    this.#id = id;
    this.#size = options.size;
    this.#cpuShare = new CpuShare(options.place.limits.cores);
    this.#dir = join(options.place.root, id);
  }

  /** The screen; available once `start` has resolved. */
  get screen(): Screen {
    if (!this.#screen) throw new TypeError('the page has no screen yet');
    return this.#screen;
  }

  /**
   * Starts the programs, with an empty page. Rejects with a Fault `page-programs-missing` or `page-engine-failed`, and
   * with an AbortError after `close`.
   */
  async start(): Promise<void> {
    // Nobody would end programs that are started now.
    this.#ended.signal.throwIfAborted();
    this.#starting = this.#start();
    return this.#starting;
  }

  async #start(): Promise<void> {
    const { place, size, largest = size, clock } = this.#o;
    const { networks, guard, sandboxed } = place;
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
      // Made by the time that there is a screen to start the browser on.
      loadDriver(),
      startScreen({ ...common, dir, ...largest }).then((screen) => {
        this.#screen = screen;
      }),
      startSpeaker({
        ...{ ...common, dir: home, clock },
        onSound: (sound, firstFrame, arrivalUs) => {
          this.#soundLoss.hear(sound, arrivalUs);
          this.#listener.onSound(sound, firstFrame, arrivalUs);
        },
      }).then((speaker) => {
        this.#speaker = speaker;
      }),
      EgressProxy.start({
        ...(guard === 'namespace' && { socket }),
        permits: (address) => allowed.permits(address),
        onRefused: (target) => {
          this.#onUnreached(target, 'it may not be reached');
          this.#listener.onNoted(`the page may not reach ${target}`);
        },
        onFailed: (target, why) => this.#onUnreached(target, why),
      }).then(async (proxy) => {
        this.#proxy = proxy;
        if (proxy.port === undefined) await chmod(socket, 0o666);
        else if (guard === 'user' && user) await setUserRules({ uid: user.uid, proxyPort: proxy.port, networks });
      }),
    ];
    // Programs that came up after a failure must be ended too.
    const settled = await Promise.allSettled(starting);
    const [screen, speaker] = [this.#screen, this.#speaker];
    for (const each of settled) if (each.status === 'rejected') throw each.reason;
    if (!screen || !speaker) throw new TypeError('the programs started without a screen or a speaker');
    const hidden = [place.root, ...place.hidden];
    const group = PageGroup.make(place.limits, this.#id);
    this.#group = group;
    this.#browser = await PageBrowser.start({
      ...{ ...common, dir, home, hidden, screen, speaker, guard, sandboxed, ...size },
      proxy: this.#proxy?.port ?? socket,
      entrances: group.entrances,
    });
    for (const { exited } of [screen, speaker]) void exited.then((why) => this.#lose({ kind: 'engine', why }));
    await this.#prepare(this.#browser);
  }

  /** Gives the empty page another size. Resolves to whether the size has changed. */
  async resize(size: PageSize): Promise<boolean> {
    const { width, height } = this.#size;
    if (width === size.width && height === size.height) return false;
    await this.#running.resize(size);
    this.#size = { width: size.width, height: size.height };
    return true;
  }

  get #running(): PageBrowser {
    if (!this.#browser) throw new TypeError('the page has not been started');
    return this.#browser;
  }

  /** As in PageView.flash; only before a page is opened. */
  async flash(count: number): Promise<number[]> {
    if (!this.#view) throw new TypeError('the page has not been started');
    return this.#view.flash(count);
  }

  /** From now on `listener` is told what happens; a loss that came before is told at once. */
  listen(listener: PageSourceListener): void {
    this.#listener = listener;
    if (this.#loss && !this.#closed) listener.onLost(this.#loss);
  }

  /**
   * Opens a page, once, and waits until it is ready and its screen shows that. Resolves to whether it is; a failure is
   * told as a loss. From then on the page is watched.
   */
  async open(page: PageAddress): Promise<boolean> {
    const { readyTimeoutMs, mobile } = page;
    this.#page = page;
    if (this.#running.mayLaunch)
      this.#listener.onNoted('the browser may ask whether another program is to open an address');
    if (mobile) await this.#beMobile();
    if (!(await this.#load())) return false;
    if (readyTimeoutMs > 0 && !(await this.#isReady(readyTimeoutMs))) {
      if (!this.#reload('loadTimeout', `the page was not ready within ${readyTimeoutMs / 1000} s`)) return false;
      if (!(await this.#load())) return false;
      if (!(await this.#isReady(readyTimeoutMs))) {
        this.#lose({ kind: 'late', why: `the page was not ready within ${readyTimeoutMs / 1000} s, twice` });
        return false;
      }
    }
    await this.#view?.shown(this.#ended.signal);
    if (this.#isOver) return false;
    this.#beat = this.#o.clock.every(BEAT_MS, () => {
      void this.#look();
      void this.#measure();
    });
    return true;
  }

  /** Ends the programs, and removes everything they left. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#ended.abort();
    this.#beat?.cancel();
    // A program that comes up later than this would stay.
    await this.#starting?.catch(() => {});
    await this.#browser?.close();
    this.#proxy?.close();
    for (const program of [this.#speaker, this.#screen]) program?.kill();
    await Promise.all([this.#speaker?.exited, this.#screen?.exited]);
    await this.#measuring;
    this.#group?.remove();
    await rm(this.#dir, { recursive: true, force: true });
    if (this.#o.place.guard === 'user' && this.#user) await removeUserRules(this.#user.uid);
  }

  /** The user that the page runs as. */
  get #user(): PageUser {
    const { guard, user } = this.#o.place;
    return guard === 'user' ? userOf(process.pid) : user;
  }

  get #isOver(): boolean {
    return this.#closed || this.#loss !== undefined;
  }

  async #prepare(browser: PageBrowser): Promise<void> {
    const { clock } = this.#o;
    await guardPage(browser, {
      onReady: () => this.#ready.resolve(),
      onCrashed: () => this.#onTrouble('crashed', this.#whyCrashed()),
      onClosed: () => this.#lose({ kind: 'engine', why: 'the browser ended' }),
      onRefused: (what) => this.#listener.onNoted(`refused: ${what}`),
      onPageError: (kind, text) => this.#listener.onPageError(kind, text),
    });
    this.#view = await PageView.of({
      session: browser.session,
      clock,
      onFailed: (why) => this.#onTrouble('failed', why),
      onNavigated: () => this.#onNavigated(),
    });
  }

  /** Makes the page believe that it is on a telephone. */
  async #beMobile(): Promise<void> {
    const browser = this.#running;
    const { session } = browser;
    const { width, height } = this.#size;
    const version = browser.context.browser()?.version() ?? '';
    await session.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: true });
    await session.send('Emulation.setTouchEmulationEnabled', { enabled: true });
    await session.send('Emulation.setUserAgentOverride', {
      userAgent: `${MOBILE_AGENT}${version.split('.')[0]}.0.0.0 Mobile Safari/537.36`,
      platform: 'Linux armv81',
    });
  }

  async #load(): Promise<boolean> {
    if (!this.#view || !this.#page) throw new TypeError('there is no page to be loaded');
    this.#ready = Promise.withResolvers();
    this.#loading = true;
    this.#hostFailure = undefined;
    this.#soundLoss.reset();
    const why = await this.#view.open(this.#page.url);
    this.#loading = false;
    if (why === undefined) return !this.#isOver;
    // The browser only knows that the proxy answered with an error.
    const cause = this.#hostFailure ?? why;
    this.#lose({ kind: 'unreachable', why: `the page cannot be opened: ${cause}` });
    return false;
  }

  /** @param target host and port */
  #onUnreached(target: string, why: string): void {
    if (!this.#page) return;
    const { protocol, hostname, port } = new URL(this.#page.url);
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

  /** Tells of a reload that is about to be made. Returns false when there were too many. */
  #reload(reason: PageReload, why: string): boolean {
    if (this.#isOver) return false;
    this.#reloadsUs = this.#recent(this.#reloadsUs, 60 * US);
    if (this.#reloadsUs.length > MAX_RELOADS) {
      this.#lose({
        kind: 'unreachable',
        why: `the page was loaded again ${MAX_RELOADS} times within a minute: ${why}`,
      });
      return false;
    }
    this.#listener.onReloaded(reason, why);
    return true;
  }

  #onTrouble(reason: PageReload, why: string): void {
    if (this.#loading || this.#isOver || !this.#reload(reason, why)) return;
    void this.#load();
  }

  #onNavigated(): void {
    this.#navigationsUs = this.#recent(this.#navigationsUs, 10 * US);
    if (this.#navigationsUs.length === MAX_NAVIGATIONS)
      this.#listener.onNoted('the page loads itself, or others, again and again');
  }

  async #look(): Promise<void> {
    if (this.#loading || this.#looking || this.#isOver || !this.#view) return;
    this.#looking = true;
    const answers = await this.#view.answers(HANG_MS);
    this.#looking = false;
    if (!answers) this.#onTrouble('hung', `the page did not answer for ${HANG_MS / 1000} s`);
    else if (this.#soundLoss.isLost(this.#o.clock.monoUs()))
      this.#onTrouble('audioSilence', 'the page is silent since what it is played with died');
  }

  /** Pids of the processes that we started. */
  #programs(): number[] {
    return [this.#browser?.pid, ...(this.#screen?.pids ?? []), ...(this.#speaker?.pids ?? [])].filter(
      (pid) => pid !== undefined,
    );
  }

  #measure(): Promise<void> {
    this.#measuring ??= this.#read().finally(() => {
      this.#measuring = undefined;
    });
    return this.#measuring;
  }

  async #read(): Promise<void> {
    const use = await this.#meter.read();
    if (this.#isOver) return;
    this.#listener.onUse(use);
    const { memoryBytes, processes, cores, home } = this.#o.place.limits;
    if (cores > 0 && home.cpu === undefined && this.#cpuShare.isExceeded(use.cpuUs, this.#o.clock.monoUs())) {
      // Again and again: it may have started more.
      for (const pid of this.#meter.pids) lowerPriority(pid, BEHIND_ALL);
      this.#listener.onNoted('the page took more CPU than it may, and makes way for all else now');
    }
    const tooMuch = memoryBytes > 0 && home.memory === undefined && use.memoryBytes > memoryBytes;
    const tooMany = processes > 0 && home.pids === undefined && use.processes > processes;
    if (!tooMuch && !tooMany) return;
    // Here no group enforces the page's limits: its own process is ended, and the page is loaded again.
    const largest = await this.#meter.largest('--type=renderer');
    if (largest === undefined) return;
    this.#overLimit = tooMuch ? TOO_MUCH_MEMORY : 'it had more processes than a page may have';
    process.kill(largest, 'SIGKILL');
  }

  #whyCrashed(): string {
    const killed = this.#group?.killedForMemory ?? 0;
    if (killed > this.#killedForMemory) this.#overLimit = TOO_MUCH_MEMORY;
    this.#killedForMemory = killed;
    const why = this.#overLimit === undefined ? '' : `: ${this.#overLimit}`;
    this.#overLimit = undefined;
    return `the page crashed${why}`;
  }

  /** The latest moments, including the present one. */
  #recent(momentsUs: readonly HostUs[], spanUs: number): HostUs[] {
    const nowUs = this.#o.clock.monoUs();
    return [...momentsUs.filter((us) => us > nowUs - spanUs), nowUs];
  }

  #lose(loss: PageLoss): void {
    if (this.#isOver) return;
    this.#loss = loss;
    this.#listener.onLost(loss);
  }
}
