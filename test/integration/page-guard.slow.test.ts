/**
 * What keeps a page from what it may not reach, where it has this machine's network (pageGuard `user` and
 * `trust-the-browser`). A network of its own is tried by the recordings of web-recording.slow.test.ts.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { pageUser, probeGuard } from '../../src/app/pages.ts';
import type { PageGuard } from '../../src/contract/line/commands.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { messageOf } from '../../src/kernel/fault.ts';
import { NOBODY, PageSource } from '../../src/stages/source/page/page-source.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { addReachingPage, CLOSED_WAYS, Listener, WAYS } from '../support/reach/listener.ts';
import { freeTcpPort } from '../support/server-process.ts';
import { PAGE, PageServer } from '../support/web-page.ts';

const PAGE_ADDRESS = '127.0.0.2';
const user = pageUser('nobody');
/** Why a guard cannot be had on this machine; undefined when it can. */
const refusalOf = (guard: PageGuard) => probeGuard(guard, findPrograms(), user).then(() => undefined, messageOf);
const refusals = { user: await refusalOf('user'), 'trust-the-browser': await refusalOf('trust-the-browser') };

let root: string;
let pages: PageServer;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-guard-'));
  chmodSync(root, 0o711);
  pages = await new PageServer().start(PAGE_ADDRESS);
});
afterEach(async () => {
  await pages.close();
  rmSync(root, { recursive: true });
});

describe.each(['user', 'trust-the-browser'] as const)('a page under the guard "%s"', (guard) => {
  test.skipIf(refusals[guard] !== undefined)(
    'reaches what it may, and nothing else',
    { timeout: 120_000 },
    async () => {
      const [allowed, forbidden] = [await Listener.start(PAGE_ADDRESS), await Listener.start('127.0.0.1', '::1')];
      addReachingPage(pages, [
        { host: `${PAGE_ADDRESS}:${allowed.port}`, names: WAYS },
        { host: `127.0.0.1:${forbidden.port}`, names: WAYS },
        { host: `localhost:${forbidden.port}`, names: WAYS },
      ]);
      const refused = `the page may not reach localhost:${forbidden.port}`;
      const listener = { ...NOBODY, onNoted: vi.fn(), onLost: vi.fn() };
      const place = {
        ...{ root, hidden: [], networks: [PAGE_ADDRESS], ...(user && { user }), guard, sandboxed: true },
        limits: { home: {}, memoryBytes: 0, processes: 0, cores: 0 },
      };
      const page = new PageSource({ place, size: PAGE, clock: systemClock }, '1');
      page.listen(listener);
      try {
        await page.start();
        expect(await page.open({ url: pages.url('/reach'), mobile: false, readyTimeoutMs: 0 })).toBe(true);
        const open = WAYS.filter((name) => !CLOSED_WAYS.includes(name));
        await vi.waitFor(() => expect([...allowed.came]).toEqual(expect.arrayContaining(open)), {
          ...{ timeout: 30_000, interval: 100 },
        });
        // Only rules judge what goes past the proxy.
        if (guard === 'user') await vi.waitFor(() => expect(allowed.datagrams).toBeGreaterThan(0), 20_000);
        else expect(allowed.datagrams).toBe(0);
        // The rest of the machine is as without it: who connects where nobody listens is told so at once.
        const refusal = once(connect({ host: '127.0.0.1', port: await freeTcpPort(), timeout: 5_000 }), 'timeout');
        await expect(refusal).rejects.toThrow('ECONNREFUSED');
      } finally {
        await page.close();
        allowed.close();
        forbidden.close();
      }
      expect(forbidden).toMatchObject({ connections: 0, datagrams: 0 });
      expect(listener.onNoted).toHaveBeenCalledWith(refused);
      expect(listener.onLost).not.toHaveBeenCalled();
      expect(readdirSync(root)).toEqual([]);
      if (guard !== 'user') return;
      const { stdout } = await promisify(execFile)('/usr/sbin/nft', ['list', 'tables']);
      expect(stdout).not.toContain('aircheck_page_');
    },
  );
});
