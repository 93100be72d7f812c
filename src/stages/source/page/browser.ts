/**
 * PageBrowser: Chromium with one page, as a participant would see it. It runs without rights, in a network of its own
 * whose only way out is our proxy, with a profile that is removed afterwards.
 */
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, BrowserType, CDPSession, Page } from 'playwright-core';
import { messageOf } from '../../../kernel/fault.ts';
import { browserPid, type LauncherOptions, PROXY_PORT, writeLauncher } from './launcher.ts';
import { engineFault, type PageUser } from './programs.ts';
import type { Screen } from './screen.ts';
import type { Speaker } from './speaker.ts';

export type PageBrowserOptions = Omit<LauncherOptions, 'screen' | 'speaker'> & {
  screen: Screen;
  speaker: Speaker;
  /** Size of the page. */
  width: number;
  height: number;
  /** Whether Chromium's own sandbox works here. */
  sandboxed: boolean;
};

const START_TIMEOUT_MS = 30_000;
const FLAGS = [
  '--kiosk',
  '--autoplay-policy=no-user-gesture-required',
  '--deny-permission-prompts',
  '--disable-quic',
  '--disable-print-preview',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // The last of these features would start processes of their own: for menus that nobody opens, and for a page that
  // nobody visits.
  `--disable-features=${[
    ...['Translate', 'MediaRouter', 'OptimizationHints', 'GlobalMediaControls'],
    ...['WebUIOmniboxPopup', 'WebUIOmniboxAimPopup', 'PreloadTopChromeWebUI', 'SpareRendererForSitePerProcess'],
  ].join()}`,
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--no-first-run',
  '--noerrdialogs',
  '--hide-crash-restore-bubble',
  '--hide-scrollbars',
  '--force-color-profile=srgb',
  '--force-device-scale-factor=1',
  '--disable-blink-features=AutomationControlled',
  // Software rendering only for WebGL: with `--use-angle=swiftshader` all compositing would use it, at 6 frames a
  // second.
  '--enable-unsafe-swiftshader',
  // By default Chromium contacts loopback addresses without the proxy; this ends that.
  '--proxy-bypass-list=<-loopback>',
];

/** The way out. WebRTC's sockets bypass the proxy, which is allowed only where rules judge what they send. */
function networkFlags({ guard, proxy }: Pick<PageBrowserOptions, 'guard' | 'proxy'>): string[] {
  const port = typeof proxy === 'number' ? proxy : PROXY_PORT;
  const policy = guard === 'user' ? 'default_public_interface_only' : 'disable_non_proxied_udp';
  return [`--proxy-server=http://127.0.0.1:${port}`, `--webrtc-ip-handling-policy=${policy}`];
}

/**
 * Flags of Playwright's that would draw over the page: a bar that says that the browser is driven, and popup windows
 * that open without a click and cover the page until they are closed.
 */
const UNWANTED = ['--enable-automation', '--disable-popup-blocking'];

/** Drives Chromium. Loaded only where a page is shown, because it takes 35 MB of a recorder. */
export async function loadDriver(): Promise<BrowserType> {
  return (await import('playwright-core')).chromium;
}

/** A folder that there is not. */
const NOWHERE = '/nonexistent';
/** What the browser says of an address that another program would open, when it leaves it at that. */
const NOT_LAUNCHED = 'Not allowed to launch';
/** Nothing that a page would open. */
const NO_ADDRESS = 'mailto:';
/** Long enough on a machine that is busy. */
const LAUNCH_TIMEOUT_MS = 20_000;

/**
 * A page may have another program open an address (`tel:` and the like) once without a user's hand, and for that the
 * browser draws a dialog over the page that stays. The empty page has it done here, with a mail address, for which none
 * is drawn, and no program is found: all later ones are refused. Resolves to whether they are.
 */
async function useUpLaunch(page: Page, session: CDPSession): Promise<boolean> {
  const refused = page
    .waitForEvent('console', {
      predicate: (message) => message.text().startsWith(NOT_LAUNCHED),
      timeout: LAUNCH_TIMEOUT_MS,
    })
    .then(
      () => true,
      () => false,
    );
  let isOver = false;
  void refused.then(() => {
    isOver = true;
  });
  while (!isOver) {
    // Playwright's own evaluation counts as a user's hand.
    await session.send('Runtime.evaluate', { expression: `location = '${NO_ADDRESS}'` });
    // Another one that came at once would take its place.
    await page.waitForTimeout(20);
  }
  return refused;
}

/**
 * Whether words on the console are of the empty page, before the one that is recorded: on a machine that is busy those
 * of its last launches come after its end.
 */
export function isOfEmptyPage(text: string): boolean {
  return text.startsWith(`${NOT_LAUNCHED} '${NO_ADDRESS}'`);
}

/** Printing is off: what scripts cannot be kept from, as PDF documents in frames, would draw a dialog too. */
const PREFERENCES = { printing: { enabled: false } };

/** Playwright would make it as the server's user. */
async function makeProfile(dir: string, user: PageUser): Promise<void> {
  const settings = join(dir, 'Default');
  const preferences = join(settings, 'Preferences');
  await mkdir(settings, { recursive: true, mode: 0o700 });
  await writeFile(preferences, JSON.stringify(PREFERENCES), { mode: 0o600 });
  if (user) for (const path of [dir, settings, preferences]) await chown(path, user.uid, user.gid);
}

export class PageBrowser {
  readonly page: Page;
  /** Speaks the DevTools protocol with the page; stays usable when the page has crashed. */
  readonly session: CDPSession;
  readonly context: BrowserContext;
  /** Pid of the process that contains everything. */
  readonly pid: number;
  /** Whether the page can have the browser ask if another program is to open an address. */
  readonly mayLaunch: boolean;

  private constructor(parts: Pick<PageBrowser, 'page' | 'session' | 'context' | 'pid' | 'mayLaunch'>) {
    this.page = parts.page;
    this.session = parts.session;
    this.context = parts.context;
    this.pid = parts.pid;
    this.mayLaunch = parts.mayLaunch;
  }

  /** Resolves with the browser on an empty page. Rejects with a Fault `page-engine-failed`. */
  static async start(options: PageBrowserOptions): Promise<PageBrowser> {
    const { user, home, width, height, screen, speaker, sandboxed } = options;
    let context: BrowserContext | undefined;
    try {
      const profile = join(home, 'profile');
      await makeProfile(profile, user);
      const chromium = await loadDriver();
      context = await chromium.launchPersistentContext(profile, {
        executablePath: await writeLauncher(options),
        headless: false,
        chromiumSandbox: sandboxed,
        timeout: START_TIMEOUT_MS,
        ignoreDefaultArgs: UNWANTED,
        args: [...FLAGS, ...networkFlags(options), `--window-size=${width},${height}`, '--window-position=0,0'],
        viewport: null,
        acceptDownloads: false,
        env: {
          ...{ DISPLAY: screen.display, XAUTHORITY: screen.authority, PULSE_SERVER: speaker.server, HOME: home },
          // No program is found by its name: the browser would have one open mail addresses, in a window over the page.
          PATH: NOWHERE,
        },
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
      });
      const page = context.pages()[0] ?? (await context.newPage());
      const session = await context.newCDPSession(page);
      const mayLaunch = !(await useUpLaunch(page, session));
      return new PageBrowser({ context, page, session, pid: await browserPid(options.dir), mayLaunch });
    } catch (error) {
      await context?.close().catch(() => {});
      // After the first line comes a log of the whole launch.
      const [why = ''] = messageOf(error).split('\n');
      throw engineFault(`the browser could not be started: ${why}`, error);
    }
  }

  /** Gives the page another size, no larger than its screen. */
  async resize({ width, height }: { width: number; height: number }): Promise<void> {
    const { session } = this;
    const { windowId } = await session.send('Browser.getWindowForTarget');
    // A window that fills its screen would keep its size.
    await session.send('Browser.setWindowBounds', { windowId, bounds: { windowState: 'normal' } });
    await session.send('Browser.setWindowBounds', { windowId, bounds: { left: 0, top: 0, width, height } });
    await session.send('Browser.setWindowBounds', { windowId, bounds: { windowState: 'fullscreen' } });
  }

  async close(): Promise<void> {
    await this.context.close().catch(() => {});
  }
}
