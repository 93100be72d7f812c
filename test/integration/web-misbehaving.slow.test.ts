/**
 * Web pages that open what a browser would draw over them, fail, crash, take too much or go where they may not, each in
 * a recording by the whole product: what is in the picture, and what is told of it. Which pages cannot be opened, and
 * why, is for page-readiness.slow.test.ts.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { addReachingPage, CLOSED_WAYS, Listener, WAYS } from '../support/reach/listener.ts';
import { until } from '../support/test-server.ts';
import { ALL_OPENED, CHOOSERS, PageServer, pageFrames } from '../support/web-page.ts';
import { FOREIGN_ADDRESS, PAGE_ADDRESS, refusal, stoppedBy, typesOf, WebScene } from '../support/web-scene.ts';
import { click } from '../support/x-click.ts';

/** What leads to this machine, its links and its cloud, in other words than `127.0.0.1` and `localhost`. */
const SPELLINGS = [
  ...['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '127.0.0.3', '0.0.0.0', '169.254.169.254'],
  ...['[::1]', '[::]', '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]', '[fe80::1]', 'localhost.'],
];

let scene: WebScene;
beforeAll(async () => {
  scene = await WebScene.open({ AIRCHECK_PAGE_MEMORY_MB: '1000' });
});
// A page that a failed test leaves would be taken for one of the next test's.
afterEach(() => scene.stopAll());
afterAll(() => scene.close());

describe.skipIf(refusal !== undefined)('a web page', { timeout: 120_000 }, () => {
  test('has nothing of the browser in it, whatever it opens', async () => {
    const foreign = await new PageServer().start(FOREIGN_ADDRESS);
    const recording = await scene.begin('dialogs', `/dialogs?${foreign.url('')}`);
    await scene.untilOpen(recording);
    const kept = async (what: readonly string[]) => {
      const notes = await scene.notesOf(recording);
      return what.every((each) => notes.includes(`refused: ${each}`));
    };
    const elsewhere = ['a dialog (alert)', 'printing', 'sharing a screen'].map((what) => `${what}, in a foreign frame`);
    const opened = ['a dialog (alert)', 'a dialog (confirm)', 'a dialog (prompt)', 'printing', 'sharing a screen'];
    const all = [...opened, 'a login', 'a download', 'a window of its own', ...elsewhere];
    await until('all was refused', () => kept(all), 30_000);
    const errors = async () => (await scene.qualityOf(recording))?.page?.errors ?? [];
    // Whoever has been clicked on may open more than a script.
    const isDone = async () => (await errors()).some(({ text, count }) => text === ALL_OPENED && count === 2);
    await until('no more is opened', isDone, 30_000);
    // No script can open one: it takes a hand, which is not as fast as two clicks at once.
    await until(
      'choosing a file was refused',
      async () => {
        for (const { x, y } of Object.values(CHOOSERS)) {
          await click(scene.pageFolder(), x, y);
          await new Promise((resolve) => setTimeout(resolve, 500));
        }
        return kept(['choosing a file']);
      },
      30_000,
    );
    await scene.untilFrames(recording, 10);
    expect((await recording.stop()).status).toBe(200);
    const frames = pageFrames(scene.stored(`${recording.sid}_dialogs_0.mp4`));
    expect(frames.every(({ whole }) => whole)).toBe(true);
    expect(frames.at(-1)!.count).toBeGreaterThan(frames[0]!.count);
    // What covers the counter, and not the edges, shows other counts.
    const counts = frames.map(({ count }) => count);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    await foreign.close();
  });

  test('that leads to other programs is shown on, and none is asked for', async () => {
    const foreign = await new PageServer().start(FOREIGN_ADDRESS);
    const leads = (afterMs: number, ...urls: string[]) =>
      urls.map((url, n) => `setTimeout(() => { location = '${url}'; }, ${afterMs + 500 * n});`).join('');
    foreign.pages['/leads'] = (response) =>
      response
        .setHeader('content-type', 'text/html')
        .end(`<!doctype html><script>${leads(0, 'tel:+2', 'mailto:a@b.test')}</script>`);
    scene.pages.add(
      '/leads',
      `const inner = document.body.appendChild(document.createElement('iframe'));
      inner.style = 'position:fixed;top:320px;left:40px;width:10px;height:10px'; inner.src = '${foreign.url('/leads')}';
      ${leads(2000, 'tel:+1', 'unknown-to-all:x', 'mailto:a@b.test')}`,
    );
    const recording = await scene.begin('leads', '/leads');
    await scene.untilOpen(recording);
    const refused = async () =>
      ((await scene.qualityOf(recording))?.page?.errors ?? []).flatMap(
        ({ text }) => /^Not allowed to launch '(.*?)'/.exec(text)?.[1] ?? [],
      );
    const all = ['mailto:a@b.test', 'tel:+1', 'tel:+2', 'unknown-to-all:x'];
    await vi.waitFor(async () => expect((await refused()).sort()).toEqual(all), { timeout: 30_000, interval: 200 });
    await scene.untilFrames(recording, 30);
    expect((await recording.stop()).status).toBe(200);
    const frames = pageFrames(scene.stored(`${recording.sid}_leads_0.mp4`));
    expect(frames.every(({ whole }) => whole)).toBe(true);
    const counts = frames.map(({ count }) => count);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    expect(counts.at(-1)).toBeGreaterThan(counts[0]!);
    await foreign.close();
  });

  test('that is not there ends the recording', async () => {
    const recording = await scene.begin('gone', '/missing');
    await scene.untilOver(recording);
    const events = await recording.events();
    expect(typesOf(events)).toEqual([1, 71, 11]);
    expect(stoppedBy(events)).toMatchObject({ code: 5, details: expect.stringContaining('it answers 404') });
    expect((await recording.query()).status).toBe(404);
    expect(scene.leftOver()).toEqual([]);
  });

  test('that is never ready is loaded again once, then given up', async () => {
    const recording = await scene.begin('late', '/counter', { readyTimeout: 1 });
    await scene.untilOver(recording);
    const events = await recording.events();
    expect(typesOf(events)).toEqual([73, 1, 71, 11]);
    expect(stoppedBy(events)).toMatchObject({ code: 4 });
  });

  test('that crashes, or goes where nothing is, is loaded again', async () => {
    scene.pages.add(
      '/leaves',
      "if (!localStorage.seen) setTimeout(() => { location = '/missing'; }, 1500); localStorage.seen = 1;",
    );
    const crashing = await scene.begin('crashes', '/counter');
    await scene.untilOpen(crashing);
    for (const renderer of scene.renderers()) process.kill(renderer, 'SIGKILL');
    const leaving = await scene.begin('leaves', '/leaves');
    for (const recording of [crashing, leaving]) {
      await until('it was loaded again', async () => typesOf(await recording.events()).includes(1), 30_000);
      await scene.untilFrames(recording, 60);
      expect(await scene.stateOf(recording)).toMatchObject({ state: 'inProgress' });
      expect((await recording.stop()).status).toBe(200);
    }
    for (const [recording, name, why] of [
      [crashing, 'crashes', 'the page crashed'],
      [leaving, 'leaves', 'it answers 404'],
    ] as const) {
      const frames = pageFrames(scene.stored(`${recording.sid}_${name}_0.mp4`));
      expect(frames.at(-1)).toMatchObject({ whole: true });
      expect(frames.at(-1)!.count).toBeGreaterThan(10);
      const [error] = (await recording.events()).filter(({ eventType }) => eventType === 1);
      expect(error?.payload.details).toMatchObject({
        module: 6,
        errorLevel: 4,
        errorMsg: expect.stringContaining(why),
      });
    }
  });

  test('that takes more memory than it may is loaded again, and the report says why', async () => {
    scene.pages.add(
      '/eats',
      `console.error('hungry'); const eaten = [];
      if (!localStorage.seen) setInterval(() => {
        if (eaten.length < 100) eaten.push(new Uint8Array(2e7).fill(eaten.length));
      }, 80);
      localStorage.seen = 1;`,
    );
    const recording = await scene.begin('eats', '/eats');
    await until('it was loaded again', async () => typesOf(await recording.events()).includes(1), 30_000);
    await scene.untilFrames(recording, 60);
    expect((await recording.stop()).status).toBe(200);
    expect(pageFrames(scene.stored(`${recording.sid}_eats_0.mp4`)).at(-1)).toMatchObject({ whole: true });
    const [error] = (await recording.events()).filter(({ eventType }) => eventType === 1);
    expect(error?.payload.details).toMatchObject({ errorMsg: expect.stringContaining('it took more memory') });
    const page = (await scene.qualityOf(recording))?.page;
    expect(page?.errors).toMatchObject([{ kind: 'console', text: 'hungry', count: 2 }]);
  });

  test('reaches what it may in each of many ways, and in none what it may not', async () => {
    const [allowed, forbidden] = [await Listener.start(PAGE_ADDRESS), await Listener.start('127.0.0.1', '::1')];
    const at = (host: string, names: readonly string[]) => ({ host: `${host}:${forbidden.port}`, names });
    addReachingPage(scene.pages, [
      { host: `${PAGE_ADDRESS}:${allowed.port}`, names: WAYS },
      ...SPELLINGS.map((host) => at(host, ['fetch', 'websocket', 'iframe'])),
      at('127.0.0.1', WAYS),
      at('localhost', WAYS),
    ]);
    try {
      const recording = await scene.begin('reach', '/reach');
      await scene.untilOpen(recording);
      const open = WAYS.filter((name) => !CLOSED_WAYS.includes(name)).sort();
      expect(open.length).toBeGreaterThan(37);
      await vi.waitFor(() => expect([...allowed.came].sort()).toEqual(open), { timeout: 30_000, interval: 100 });
      await recording.stop();
      expect(forbidden).toMatchObject({ connections: 0, datagrams: 0, came: new Set() });
      expect([...allowed.came].sort()).toEqual(open);
      const { body } = await scene.server.call('GET', `/aircheck/recordings/${recording.sid}`);
      for (const host of ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '169.254.169.254'])
        expect(JSON.stringify(body['quality'])).toContain(`the page may not reach ${host}:${forbidden.port}`);
    } finally {
      allowed.close();
      forbidden.close();
    }
  });
});
