/**
 * What becomes of pages that cannot be opened, never answer, hang or load themselves for ever: a real browser, and a
 * held clock where a time limit would have to be waited for.
 */
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { makeCertificates } from '../../src/app/cli/moving/certificates.ts';
import { pageUser, probeNamespaces } from '../../src/app/pages.ts';
import { setVariable } from '../../src/config/child-environment.ts';
import { messageOf } from '../../src/kernel/fault.ts';
import { PicturePool } from '../../src/stages/codec/picture-pool.ts';
import { ScreenGrabber } from '../../src/stages/codec/screen-grabber.ts';
import { NOBODY, PageSource } from '../../src/stages/source/page/page-source.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { nicenesses, processesNaming, signal } from '../support/processes.ts';
import { until } from '../support/test-server.ts';
import { PAGE, PageServer } from '../support/web-page.ts';

const PAGE_ADDRESS = '127.0.0.2';
const user = pageUser('nobody');
const refusal = await probeNamespaces(findPrograms(), user).then(() => undefined, messageOf);

let root: string;
let pages: PageServer;
let held: ManualClock;
const opened: PageSource[] = [];
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-ready-'));
  chmodSync(root, 0o711);
  pages = await new PageServer().start(PAGE_ADDRESS);
});
beforeEach(() => {
  held = new ManualClock();
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((page) => page.close()));
});
afterAll(async () => {
  await pages.close();
  rmSync(root, { recursive: true });
});

/** A page that was not opened yet, with all that is told of it. */
async function scene(url: string, cores = 0) {
  const listener = { ...NOBODY, onReloaded: vi.fn(), onNoted: vi.fn(), onLost: vi.fn() };
  const place = {
    ...{ root, hidden: [], networks: [PAGE_ADDRESS], ...(user && { user }) },
    ...{ guard: 'namespace' as const, sandboxed: true },
    limits: { home: {}, memoryBytes: 0, processes: 0, cores },
  };
  const page = new PageSource({ place, size: PAGE, clock: held }, `${process.pid}-${opened.length}`);
  page.listen(listener);
  opened.push(page);
  await page.start();
  return { page, listener, open: () => page.open({ url, mobile: false, readyTimeoutMs: 0 }) };
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}

/** Adds a page whose nth answer is the nth of these texts; what comes later is answered by the last. Counts them. */
function addAnswers(path: string, ...texts: (string | undefined)[]): { count: number } {
  const asked = { count: 0 };
  pages.pages[path] = (response) => {
    const text = texts[Math.min(asked.count++, texts.length - 1)];
    if (text !== undefined) response.writeHead(200, { 'content-type': 'text/html' }).end(text);
  };
  return asked;
}

describe.skipIf(refusal !== undefined)('a page', { timeout: 120_000 }, () => {
  test('that cannot be opened is lost with the reason', async () => {
    const certificates = await makeCertificates({ hosts: ['pages.test'], nowMs: Date.now(), days: 1 });
    const unknown = createServer(certificates).listen(0, PAGE_ADDRESS);
    await once(unknown, 'listening');
    const { port } = new URL(pages.url('/'));
    const expected: [string, RegExp][] = [
      [pages.url('/broken'), /: net::ERR_HTTP_RESPONSE_CODE_FAILURE$/],
      [pages.url('/loop'), /: net::ERR_TOO_MANY_REDIRECTS$/],
      [pages.url('/download'), /: it is a download$/],
      [pages.url('/document'), /: it is a PDF document$/],
      ['https://nowhere.invalid/', /: getaddrinfo .* nowhere\.invalid$/],
      [`http://${PAGE_ADDRESS}:1/`, /: net::ERR_UNSAFE_PORT$/],
      [`https://${PAGE_ADDRESS}:${port}/`, /: net::ERR_SSL_PROTOCOL_ERROR$/],
      [`https://${PAGE_ADDRESS}:${portOf(unknown)}/`, /: net::ERR_CERT_AUTHORITY_INVALID$/],
      [`http://localhost:${port}/`, /: it may not be reached$/],
      [`http://${PAGE_ADDRESS}:9999/`, /: connect ECONNREFUSED /],
      ['file:///etc/hostname', /: only http and https pages are opened$/],
    ];
    // Some browsers at once: each waits for half of its time.
    const left = expected.keys();
    const told: unknown[] = [];
    const openAll = async () => {
      for (const n of left) {
        const { page, listener, open } = await scene(expected[n]![0]);
        told[n] = [await open(), listener.onLost.mock.calls];
        await page.close();
      }
    };
    await Promise.all([openAll(), openAll(), openAll()]);
    for (const [n, [url, why]] of expected.entries())
      expect([url, told[n]]).toEqual([url, [false, [[{ kind: 'unreachable', why: expect.stringMatching(why) }]]]]);
    unknown.close();
  });

  test('that never answers is given up', async () => {
    const asked = addAnswers('/silent', undefined);
    const { listener, open } = await scene(pages.url('/silent'));
    const isOpen = open();
    await until('it is asked for', () => asked.count > 0, 20_000);
    held.advance(29_999);
    expect(listener.onLost).not.toHaveBeenCalled();
    held.advance(1);
    expect(await isOpen).toBe(false);
    const why = expect.stringContaining('it does not answer within 30 s');
    expect(listener.onLost.mock.calls).toEqual([[{ kind: 'unreachable', why }]]);
  });

  test('that is open is on the screen, however little CPU draws it', async () => {
    const early = 'requestAnimationFrame = (draw) => setTimeout(draw);';
    const told = `addEventListener('DOMContentLoaded', () => requestAnimationFrame(() => fetch('/told')));`;
    // Nothing of it has been shown when what draws the screen begins to stand still for most of the time.
    const slow = `const slow = new XMLHttpRequest(); slow.open('GET', '/slow', false); slow.send();`;
    addAnswers('/red', `<!doctype html><body style="background:#f00"><script>${early + told + slow}</script>`);
    addAnswers('/told', '');
    const { page, open } = await scene(pages.url('/red'));
    const [drawing] = processesNaming(dirname(page.screen.authority), '--type=gpu-process');
    setVariable('XAUTHORITY', page.screen.authority);
    const pool = new PicturePool();
    const grabber = await ScreenGrabber.open({ display: page.screen.display, ...PAGE, fps: 60, pool });
    let isSlow = true;
    let slowed: Promise<void> | undefined;
    pages.pages['/slow'] = (response) => {
      signal(drawing!, 'SIGSTOP');
      slowed = (async () => {
        while (isSlow) {
          await pause(50);
          signal(drawing!, 'SIGCONT');
          await pause(1);
          if (isSlow) signal(drawing!, 'SIGSTOP');
        }
      })();
      response.end();
    };
    expect(await open()).toBe(true);
    const { picture } = (await grabber.next())!;
    // Luma of red, in the limited range of BT.601; the empty page before it is white.
    const luma = picture.planes[0][0];
    picture.free();
    isSlow = false;
    await slowed;
    grabber.close();
    pool.close();
    expect(slowed).toBeDefined();
    expect(luma).toBeCloseTo(81, -1);
  });

  test('that hangs is loaded again', async () => {
    const asked = addAnswers('/hanging', `<script>fetch('/hangs').finally(() => { for (;;); })</script>`, 'well');
    let hang: (() => void) | undefined;
    pages.pages['/hangs'] = (response) => {
      hang = () => response.end();
    };
    const { listener, open } = await scene(pages.url('/hanging'));
    expect(await open()).toBe(true);
    const hangs = await until('it can be made to hang', () => hang, 20_000);
    hangs();
    held.advance(5_000);
    held.advance(14_999);
    expect(listener.onReloaded).not.toHaveBeenCalled();
    held.advance(1);
    await until('it is loaded again', () => asked.count === 2, 20_000);
    expect(listener.onReloaded.mock.calls).toEqual([['hung', 'the page did not answer for 15 s']]);
    expect(listener.onLost).not.toHaveBeenCalled();
  });

  test('that takes more CPU than it may makes way for all else, where no control group holds it', async () => {
    addAnswers('/busy', '<script>(function draw() { requestAnimationFrame(draw); })()</script>');
    // Next to nothing: what it takes is of this machine, and what it takes it in of the held clock.
    const { page, listener, open } = await scene(pages.url('/busy'), 1e-6);
    expect(await open()).toBe(true);
    const pids = processesNaming(join(root, `${process.pid}-${opened.indexOf(page)}`), '--type=').map(({ pid }) => pid);
    expect(nicenesses(...pids)).toEqual(new Set([0]));
    const words = 'the page took more CPU than it may, and makes way for all else now';
    await until(
      'it makes way',
      () => {
        held.advance(5_000);
        return listener.onNoted.mock.calls.some(([what]) => what === words);
      },
      20_000,
    );
    expect(nicenesses(...pids)).toEqual(new Set([10]));
    expect(listener.onReloaded).not.toHaveBeenCalled();
  });

  test('that loads itself for ever is noticed', async () => {
    const asked = addAnswers('/again', '<script>location.reload()</script>');
    // Time stands still: however long this machine takes to load a page, they are loaded within ten seconds.
    const { listener, open } = await scene(pages.url('/again'));
    let isOpen = false;
    void open().then(() => {
      isOpen = true;
    });
    // It is never drawn, which is waited for some seconds.
    await until(
      'it counts as open',
      () => {
        if (asked.count >= 2) held.advance(1_000);
        return isOpen;
      },
      20_000,
    );
    const words = 'the page loads itself, or others, again and again';
    await until('it is noticed', () => listener.onNoted.mock.calls.some(([what]) => what === words), 20_000);
    expect(asked.count).toBeGreaterThanOrEqual(10);
    expect(listener.onNoted.mock.calls.filter(([what]) => what === words)).toHaveLength(1);
    expect(listener.onLost).not.toHaveBeenCalled();
  });
});
