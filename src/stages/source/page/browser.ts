/**
 * PageBrowser: Chromium with one page, as a participant would see it. It runs without rights, in a network of its own
 * whose only way out is our proxy, with a profile that is removed afterwards.
 */
import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { BrowserContext, BrowserType, CDPSession, Page } from 'playwright-core';
import { messageOf } from '../../../kernel/fault.ts';
import { browserPid, type LauncherOptions, PROXY_PORT, writeLauncher } from './launcher.ts';
import { engineFault } from './programs.ts';
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

export class PageBrowser {
  readonly page: Page;
  /** Speaks the DevTools protocol with the page; stays usable when the page has crashed. */
  readonly session: CDPSession;
  readonly context: BrowserContext;
  /** Pid of the process that contains everything. */
  readonly pid: number;

  private constructor(context: BrowserContext, page: Page, session: CDPSession, pid: number) {
    this.pid = pid;
    this.context = context;
    this.page = page;
    this.session = session;
  }

  /** Resolves with the browser on an empty page. Rejects with a Fault `page-engine-failed`. */
  static async start(options: PageBrowserOptions): Promise<PageBrowser> {
    const { user, home, width, height, screen, speaker, sandboxed } = options;
    let context: BrowserContext | undefined;
    try {
      const profile = join(home, 'profile');
      // Playwright would make it as the server's user.
      await mkdir(profile, { mode: 0o700 });
      if (user) await chown(profile, user.uid, user.gid);
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
        env: { DISPLAY: screen.display, XAUTHORITY: screen.authority, PULSE_SERVER: speaker.server, HOME: home },
        handleSIGINT: false,
        handleSIGTERM: false,
        handleSIGHUP: false,
      });
      const page = context.pages()[0] ?? (await context.newPage());
      return new PageBrowser(context, page, await context.newCDPSession(page), await browserPid(options.dir));
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
