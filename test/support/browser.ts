/**
 * Chromium for tests: headless, with made media devices and a profile of its own, and pages that publish to us.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type BrowserContext, chromium, type Page, type Route } from 'playwright-core';
import { sentTo, type Via, withoutCandidates } from './publish/proxied-sdp.ts';

const FLAGS = [
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Pages beside each other must all keep drawing.
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
];

export type Browser = {
  context: BrowserContext;
  /**
   * Opens the publish page with the test picture and joins. Resolves once it is connected.
   * @param via where media is sent instead of to the server, and by no other way
   */
  publish(baseUrl: string, params: PublishParams, via?: Via): Promise<BrowserPublisher>;
  /** Kills the processes without a goodbye, as a crash would. */
  kill(): void;
  close(): Promise<void>;
};

export type PublishParams = {
  appid: string;
  cname: string;
  uid: string;
  token?: string;
  source?: 'test' | 'camera';
  codec?: 'h264' | 'vp8' | 'vp9' | 'av1';
  /** The browser's first choice (Opus) when left out. */
  audioCodec?: 'opus' | 'pcmu' | 'pcma';
  /** How VP9 and AV1 are layered, as WebRTC-SVC names it; without layers when left out. */
  scalability?: string;
  /** Sends the picture whole, halved and quartered, with the rids h, m and l. */
  simulcast?: boolean;
  width?: number;
  height?: number;
  fps?: number;
  /** bit/s */
  bitrate?: number;
  /** Degrees, of the picture's colour. */
  hue?: number;
  /** Hz, of the beep. */
  tone?: number;
  /** Noise over the picture, so that the encoder uses the whole bitrate. */
  grain?: boolean;
};

type PublisherStats = {
  state: string;
  error: string;
  bitrateBps: number;
  availableBitrateBps?: number;
  codecs: string[];
  rttMs?: number;
  audio?: { bytes: number; packets: number };
  video?: {
    bytes: number;
    packets: number;
    width?: number;
    height?: number;
    fps?: number;
    targetBitrateBps?: number;
    keyFrames: number;
    nacks: number;
    plis: number;
    limitation: string;
  };
};

export type BrowserPublisher = {
  page: Page;
  stats(): Promise<PublisherStats>;
  setMuted(kind: 'audio' | 'video', muted: boolean): Promise<void>;
  /** Leaves the channel and closes the page. */
  leave(): Promise<void>;
};

/** Chromium is `/usr/bin/chromium` unless CHROMIUM_PATH says otherwise. */
export async function startBrowser(): Promise<Browser> {
  const profile = mkdtempSync(join(tmpdir(), 'aircheck-chromium-'));
  const started = await chromium.launchPersistentContext(profile, {
    executablePath: process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    // The test's own signals are its own business.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
  });
  putFirst(processGroup(profile));
  return {
    context: started,
    publish: (baseUrl, params, via) => openPublisher(started, publishUrl(baseUrl, params), via),
    kill: () => process.kill(-processGroup(profile), 'SIGKILL'),
    async close() {
      await started.close().catch(() => undefined);
      rmSync(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** Chromium notes its process in a link named SingletonLock (`host-pid`); its helpers share its process group. */
function processGroup(profile: string): number {
  const pid = readlinkSync(join(profile, 'SingletonLock')).split('-').at(-1);
  // proc(5): pid (comm) state ppid pgrp …; the name may hold anything but ends at the last bracket.
  const group = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)!.split(' ')[2];
  return Number(group);
}

/**
 * Gives these processes the cores before all others, as far as this user may: a browser stands for somebody's own
 * machine, and what it sends late because recorders start beside it is in every recording of it.
 */
function putFirst(group: number): void {
  spawnSync('renice', ['-n', '-10', '-g', String(group)], { stdio: 'ignore' });
  try {
    // sched(7): where sessions share the cores, nice values of processes count within theirs alone.
    writeFileSync(`/proc/${group}/autogroup`, '-10');
  } catch {
    // Not root, or no such sessions.
  }
}

/** Has the page and the server know no other way to each other than `via`. */
async function publishBy(via: Via, route: Route): Promise<void> {
  const request = route.request();
  if (request.method() !== 'POST') return route.continue();
  const response = await route.fetch({ postData: withoutCandidates(request.postData() ?? '') });
  await route.fulfill({ response, body: sentTo(via, await response.text()) });
}

/** The page's address with every parameter in it. */
function publishUrl(baseUrl: string, params: PublishParams): string {
  const url = new URL('/publish', baseUrl);
  url.searchParams.set('source', 'test');
  for (const [name, value] of Object.entries(params))
    if (value !== undefined) url.searchParams.set(name, value === true ? '1' : value === false ? '0' : String(value));
  url.searchParams.set('autojoin', '1');
  return url.href;
}

async function openPublisher(context: BrowserContext, url: string, via?: Via): Promise<BrowserPublisher> {
  const page = await context.newPage();
  if (via) await page.route(/\/whip\//, (route) => publishBy(via, route));
  await page.goto(url);
  const settled = await page.waitForFunction(() => {
    const { aircheckPublisher: p } = globalThis as unknown as { aircheckPublisher?: { state: string; error: string } };
    return p && ['connected', 'failed'].includes(p.state) ? { state: p.state, error: p.error } : undefined;
  });
  const outcome = (await settled.jsonValue()) as { state: string; error: string };
  if (outcome.state !== 'connected') throw new Error(`the page could not publish: ${outcome.error}`);
  return {
    page,
    stats: () => page.evaluate('window.aircheckPublisher.stats()'),
    setMuted: (kind, muted) => page.evaluate(`window.aircheckPublisher.setMuted('${kind}', ${muted})`),
    async leave() {
      await page.evaluate('window.aircheckPublisher.leave()');
      await page.close();
    },
  };
}
