/**
 * Recordings of web pages by the whole product: pages of ours in a real browser, the REST calls a client makes, and the
 * files in the store, judged.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { pageUser, probeNamespaces } from '../../src/app/pages.ts';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { messageOf } from '../../src/kernel/fault.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import { findGroupHome } from '../../src/stages/source/page/page-group.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { beepsIn, envelopeOf, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { addKindsPage, KIND_RECTS, KINDS_PAGE, KINDS_TONE_HZ } from '../support/kinds-page.ts';
import { nicenesses, pagesRoot } from '../support/processes.ts';
import { addReachingPage, CLOSED_WAYS, Listener, WAYS } from '../support/reach/listener.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';
import { BEEP_HZ, CHOOSERS, FLASH, PAGE, PageServer, pageFrames } from '../support/web-page.ts';
import { click } from '../support/x-click.ts';

/** Where the pages lie: the one address that they may reach. */
const PAGE_ADDRESS = '127.0.0.2';
/** Another site's, which they may reach too. */
const FOREIGN_ADDRESS = '127.0.0.4';
/** What leads to this machine, its links and its cloud, in other words than `127.0.0.1` and `localhost`. */
const SPELLINGS = [
  ...['2130706433', '0x7f000001', '0177.0.0.1', '127.1', '127.0.0.3', '0.0.0.0', '169.254.169.254'],
  ...['[::1]', '[::]', '[::ffff:127.0.0.1]', '[64:ff9b::7f00:1]', '[fe80::1]', 'localhost.'],
];

let folder: string;
let server: TestServer;
let pages: PageServer;
/** Why pages cannot be recorded on this machine; undefined when they can. */
const refusal = await probeNamespaces(findPrograms(), pageUser('nobody')).then(() => undefined, messageOf);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-web-'));
  pages = await new PageServer().start(PAGE_ADDRESS);
  server = new TestServer(join(folder, 'data'), {
    AIRCHECK_PAGE_NETWORKS: `${PAGE_ADDRESS},${FOREIGN_ADDRESS}`,
    AIRCHECK_ADMISSION_CPU_PERCENT: '0',
    AIRCHECK_PAGE_MEMORY_MB: '1000',
  });
  await server.start();
});
afterAll(async () => {
  await server.end();
  await pages.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

const startRequest = (path: string, more: object = {}) => ({
  extensionServiceConfig: {
    errorHandlePolicy: 'error_abort',
    extensionServices: [
      {
        serviceName: 'web_recorder_service',
        errorHandlePolicy: 'error_abort',
        serviceParam: {
          url: pages.url(path),
          audioProfile: 1,
          videoWidth: PAGE.width,
          videoHeight: PAGE.height,
          videoFps: 30,
          maxRecordingHour: 1,
          ...more,
        },
      },
    ],
  },
  recordingFileConfig: { avFileType: ['hls', 'mp4'] },
  storageConfig: localStorage('web'),
});
const begin = (cname: string, path: string, more: object = {}, on = server): Promise<TestRecording> =>
  on.record(cname, '1', startRequest(path, more), 'web');
const qualityOf = async ({ sid }: TestRecording, on = server): Promise<QualityReport> =>
  (await on.call('GET', `/aircheck/recordings/${sid}`)).body['quality'] as QualityReport;

type PageState = { fileList: { filename: string; sliceStartTime: number }[]; onhold: boolean; state: string };
async function stateOf(recording: TestRecording): Promise<PageState> {
  const { body } = await recording.query();
  const { extensionServiceState } = body['serverResponse'] as { extensionServiceState: { payload: PageState }[] };
  return extensionServiceState[0]!.payload;
}
const untilOpen = (recording: TestRecording) =>
  until('the page is open', async () => (await stateOf(recording)).state === 'inProgress', 30_000);
const typesOf = (events: Notice[]) => events.map(({ eventType }) => eventType);
const untilOver = (recording: TestRecording) =>
  until('the recording is over', async () => typesOf(await recording.events()).includes(11), 40_000);
const stored = (...names: string[]) => join(server.dataDir, 'recordings', 'web', ...names);
const seconds = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));
const stoppedBy = (events: Notice[]) => events.find(({ eventType }) => eventType === 71)?.payload.details;

test.skipIf(refusal === undefined)('a machine that can keep pages from nothing records none', async () => {
  await expect(begin('refused', '/counter')).rejects.toThrow(/500.*502/);
});

describe.skipIf(refusal !== undefined)('a web page', { timeout: 120_000 }, () => {
  test('is recorded whole, in step, and without what was on hold', async () => {
    const recording = await begin('whole', '/counter');
    expect(await stateOf(recording)).toMatchObject({ fileList: [], onhold: false, state: 'init' });
    await untilOpen(recording);
    await seconds(4);
    expect((await recording.update({ webRecordingConfig: { onhold: true } })).status).toBe(200);
    expect(await stateOf(recording)).toMatchObject({ onhold: true, state: 'inProgress' });
    await seconds(2);
    await recording.update({ webRecordingConfig: { onhold: false } });
    await seconds(3);
    expect(nicenesses(Number(recorderPid()))).toEqual(new Set([5]));
    expect(nicenesses(...renderers())).toEqual(new Set([0]));
    const { status, body } = await recording.stop();
    const base = `${recording.sid}_whole`;
    const files = [`${base}.m3u8`, `${base}_0.mp4`];
    const sliceStartTime = expect.any(Number);
    const fileList = files.map((filename) => ({ filename, sliceStartTime }));
    expect({ status, body }).toMatchObject({ status: 200, body: { cname: 'whole', sid: recording.sid } });
    expect(body['serverResponse']).toEqual({
      extensionServiceState: [
        { serviceName: 'web_recorder_service', payload: { fileList, onhold: false, state: 'exit' } },
        { serviceName: 'upload_service', payload: { uploadingStatus: 'uploaded' } },
      ],
    });
    const [{ payload }] = (body['serverResponse'] as { extensionServiceState: [{ payload: PageState }] })
      .extensionServiceState;
    for (const { sliceStartTime: atS } of payload.fileList) {
      expect(atS).toBeGreaterThanOrEqual(Math.floor(recording.calledAtMs / 1000));
      // A browser has to start first.
      expect(atS).toBeLessThan(recording.calledAtMs / 1000 + 30);
    }
    expect((await recording.query()).status).toBe(404);

    expect(judgePlaylist(stored(), files[0]!).problems).toEqual([]);
    for (const name of files) {
      const frames = pageFrames(stored(name));
      expect(frames.every(({ whole }) => whole)).toBe(true);
      const { video, audio } = probeFile(stored(name));
      expect(video).toMatchObject({ width: PAGE.width, height: PAGE.height });
      const durationS = frames.at(-1)!.atS;
      expect(durationS).toBeGreaterThan(6);
      expect(durationS).toBeLessThan(9);
      expect(audio!.endS).toBeCloseTo(video!.endS, 0);
      // What was on hold is one jump of the page's own count, and none of the file's time: a page draws up to 60 times
      // a second of it, and a busy machine far less often.
      const jumps = frames.slice(1).filter(({ count, atS }, i) => {
        const before = frames[i]!;
        return count - before.count > 60 * (atS - before.atS) + 15;
      });
      expect(jumps).toHaveLength(1);
      expect(video!.maxStepS).toBeLessThan(0.5);
      expect(new Set(frames.map(({ count }) => count)).size).toBeGreaterThan(0.6 * 30 * durationS);
      const [readings = []] = watch(stored(name), [{ rect: FLASH }]).views;
      const offsets = avOffsets(
        flashesIn(readings).map(({ atS }) => atS),
        beepsIn(listen(stored(name)), { toneHz: BEEP_HZ }).map(({ atS }) => atS),
      );
      expect(offsets.eachMs.length).toBeGreaterThan(3);
      expect(Math.abs(offsets.medianMs)).toBeLessThan(60);
    }
    const { page } = await qualityOf(recording);
    expect(page).toMatchObject({ latenessMeasured: true, frozen: [], silent: [], errors: [] });
    expect(page!.distinctFramesPerS).toBeGreaterThan(0.6 * 30);
    expect(page!.distinctFrames).toBeLessThanOrEqual(page!.frames);
    expect(page!.machine!.peakProcesses).toBeGreaterThan(5);
    const events = await until(
      'all is told',
      async () => {
        const told = await recording.events();
        return typesOf(told).includes(11) && told;
      },
      10_000,
    );
    expect(typesOf(events).filter((type) => type !== 4)).toEqual([70, 30, 71, 31, 11]);
    // The playlist is stored while the page ends, before or after it.
    const listed = typesOf(events).indexOf(4);
    expect(listed).toBeGreaterThan(1);
    expect(listed).toBeLessThan(typesOf(events).indexOf(31));
    expect(stoppedBy(events)).toMatchObject({ code: 0 });
    expect(events.every(({ payload }) => payload.serviceScene === 'web_record')).toBe(true);
    expect(leftOver()).toEqual([]);
  });

  test('has nothing of the browser in it, whatever it opens', async () => {
    const foreign = await new PageServer().start(FOREIGN_ADDRESS);
    const recording = await begin('dialogs', `/dialogs?${foreign.url('')}`);
    await untilOpen(recording);
    await seconds(3);
    // No script can open one: it takes a hand.
    const dir = join(
      pagesRoot(server.dataDir),
      readdirSync(pagesRoot(server.dataDir)).find((name) => name.startsWith(`${recorderPid()}-`))!,
    );
    for (const { x, y } of Object.values(CHOOSERS)) await click(dir, x, y);
    await seconds(1);
    expect((await recording.stop()).status).toBe(200);
    const frames = pageFrames(stored(`${recording.sid}_dialogs_0.mp4`));
    expect(frames.every(({ whole }) => whole)).toBe(true);
    expect(frames.at(-1)!.count).toBeGreaterThan(frames[0]!.count);
    // What covers the counter, and not the edges, shows other counts.
    const counts = frames.map(({ count }) => count);
    expect(counts).toEqual(counts.toSorted((a, b) => a - b));
    const { degraded } = await qualityOf(recording);
    const refused = degraded.map(({ what }) => what);
    const elsewhere = ['a dialog (alert)', 'printing', 'sharing a screen'].map((what) => `${what}, in a foreign frame`);
    for (const what of [
      ...['a dialog (alert)', 'a dialog (confirm)', 'a dialog (prompt)', 'printing', 'sharing a screen', 'a login'],
      ...['a window of its own', 'choosing a file', ...elsewhere],
    ])
      expect(refused).toContain(`refused: ${what}`);
    await foreign.close();
  });

  // Which others there are, and why: page-readiness.slow.test.ts.
  test('that is not there ends the recording', async () => {
    const recording = await begin('gone', '/missing');
    await untilOver(recording);
    const events = await recording.events();
    expect(typesOf(events)).toEqual([1, 71, 11]);
    expect(stoppedBy(events)).toMatchObject({ code: 5, details: expect.stringContaining('it answers 404') });
    expect((await recording.query()).status).toBe(404);
    expect(leftOver()).toEqual([]);
  });

  test('that is never ready is loaded again once, then given up', async () => {
    const recording = await begin('late', '/counter', { readyTimeout: 1 });
    await untilOver(recording);
    const events = await recording.events();
    expect(typesOf(events)).toEqual([73, 1, 71, 11]);
    expect(stoppedBy(events)).toMatchObject({ code: 4 });
  });

  test('that says that it is ready is recorded from then on', async () => {
    const recording = await begin('ready', '/ready', { readyTimeout: 10 });
    await untilOpen(recording);
    await seconds(1);
    await recording.stop();
    // Half a second of frames before it, at 60 a second or so.
    expect(pageFrames(stored(`${recording.sid}_ready_0.mp4`))[0]!.count).toBeGreaterThan(10);
  });

  test('goes on in the same files when its recorder is killed, and nothing of the first runs on', async () => {
    const recording = await begin('killed', '/counter');
    await untilOpen(recording);
    await seconds(3);
    const pid = recorderPid();
    const folderOf = join(pagesRoot(server.dataDir), `${pid}-1`);
    expect(withArgument(folderOf)).not.toEqual([]);
    process.kill(Number(pid), 'SIGKILL');
    await until('nothing of it runs', () => withArgument(folderOf).length === 0, 3_000);
    await until('another page', () => leftOver().some((name) => name.endsWith('-2')), 30_000);
    await seconds(6);
    expect((await recording.stop()).status).toBe(200);
    const base = `${recording.sid}_killed`;
    expect(judgePlaylist(stored(), `${base}.m3u8`).problems).toEqual([]);
    for (const name of [`${base}.m3u8`, `${base}_0.mp4`]) {
      const frames = pageFrames(stored(name));
      expect(frames.every(({ whole }) => whole)).toBe(true);
      // The page is loaded again once: its count goes back, and what nobody saw is a gap.
      const again = frames.findIndex(({ count }, i) => i > 0 && count < frames[i - 1]!.count);
      expect(again).toBeGreaterThan(45);
      expect(frames.length - again).toBeGreaterThan(30);
      const { video, audio } = probeFile(stored(name));
      expect(video!.ordered && audio!.ordered).toBe(true);
      expect(Math.abs(video!.endS - audio!.endS)).toBeLessThan(0.5);
    }
    const events = await recording.events();
    expect(typesOf(events).filter((type) => type !== 30)).toEqual([70, 12, 4, 71, 31, 11]);
    const { body } = await server.call('GET', `/aircheck/recordings/${recording.sid}`);
    expect(JSON.stringify(body['quality'])).toMatch(/\d+ ms of the page are lost with an earlier run/);
    expect(leftOver()).toEqual([]);
  });

  test('of any kind is recorded beside another one, and neither knows of the other', async () => {
    const secrets = { a: newHexId(), b: newHexId(), password: newHexId() };
    const seen: Record<'a' | 'b', string[]> = { a: [], b: [] };
    /** Keeps a secret, and tells again and again which ones it finds. */
    const keeping = (name: 'a' | 'b') =>
      `document.cookie = '${name}=${secrets[name]}'; localStorage.${name} = '${secrets[name]}';
       setInterval(() => fetch(location.origin + '/seen-${name}?' + document.cookie + JSON.stringify(localStorage)), 200);`;
    for (const name of ['a', 'b'] as const)
      pages.pages[`/seen-${name}`] = (response, path) => {
        seen[name].push(path);
        response.end();
      };
    addKindsPage(pages, folder, keeping('a'));
    // An error that names the page's address with its password.
    pages.add('/open', `${keeping('b')} fetch('/relative');`);
    pages.pages['/private'] = (response, path) => {
      const isKnown = response.req.headers.authorization === `Basic ${btoa(`me:${secrets.password}`)}`;
      if (isKnown) pages.pages['/open']?.(response, path);
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    const { width: videoWidth, height: videoHeight } = KINDS_PAGE;
    const kinds = await begin('kinds', '/kinds', { mobile: true, videoWidth, videoHeight });
    const url = pages.url('/private').replace('//', `//me:${secrets.password}@`);
    const guarded = await begin('private', '', { url });
    for (const recording of [kinds, guarded]) await untilOpen(recording);
    await seconds(4);
    const kept = () => filesWith(Object.values(secrets), [pagesRoot(server.dataDir), server.dataDir, '/dev/shm']);
    // The browsers keep them while they run, or none of this would show anything.
    expect(kept()).not.toEqual([]);
    for (const recording of [kinds, guarded]) expect((await recording.stop()).status).toBe(200);
    expect(leftOver()).toEqual([]);
    expect(kept()).toEqual([]);
    for (const name of ['a', 'b'] as const) {
      expect(seen[name].at(-1)).toContain(secrets[name]);
      expect(seen[name].join()).not.toContain(secrets[name === 'a' ? 'b' : 'a']);
    }

    const [file, other] = [stored(`${kinds.sid}_kinds_0.mp4`), stored(`${guarded.sid}_private_0.mp4`)];
    const { views, sizes } = watch(
      file,
      Object.values(KIND_RECTS).map((rect) => ({ rect })),
    );
    expect(sizes).toEqual([`${videoWidth}x${videoHeight}`]);
    for (const [i, kind] of Object.keys(KIND_RECTS).entries())
      expect(flashesIn(views[i] ?? []).length, kind).toBeGreaterThan(1);
    const frames = pageFrames(other);
    expect(frames.every(({ whole }) => whole)).toBe(true);
    expect(frames.at(-1)!.count).toBeGreaterThan(frames[0]!.count);
    expect(levelsOf(file)).toEqual({ [KINDS_TONE_HZ]: expect.closeTo(0.3, 1), [BEEP_HZ]: expect.closeTo(0, 1) });
    expect(levelsOf(other)).toEqual({ [KINDS_TONE_HZ]: expect.closeTo(0, 1), [BEEP_HZ]: expect.closeTo(0.5, 1) });
  });

  test('that crashes, or goes where nothing is, is loaded again', async () => {
    pages.add(
      '/leaves',
      "if (!localStorage.seen) setTimeout(() => { location = '/missing'; }, 1500); localStorage.seen = 1;",
    );
    const crashing = await begin('crashes', '/counter');
    await untilOpen(crashing);
    for (const renderer of renderers()) process.kill(renderer, 'SIGKILL');
    const leaving = await begin('leaves', '/leaves');
    for (const recording of [crashing, leaving]) {
      await until('it was loaded again', async () => typesOf(await recording.events()).includes(1), 30_000);
      await seconds(3);
      expect(await stateOf(recording)).toMatchObject({ state: 'inProgress' });
      expect((await recording.stop()).status).toBe(200);
    }
    for (const [recording, name, why] of [
      [crashing, 'crashes', 'the page crashed'],
      [leaving, 'leaves', 'it answers 404'],
    ] as const) {
      const frames = pageFrames(stored(`${recording.sid}_${name}_0.mp4`));
      expect(frames.at(-1)).toMatchObject({ whole: true });
      expect(frames.at(-1)!.count).toBeGreaterThan(30);
      const [error] = (await recording.events()).filter(({ eventType }) => eventType === 1);
      expect(error?.payload.details).toMatchObject({
        module: 6,
        errorLevel: 4,
        errorMsg: expect.stringContaining(why),
      });
    }
  });

  test('that takes more memory than it may is loaded again, and the report says why', async () => {
    pages.add(
      '/eats',
      `console.error('hungry'); const eaten = [];
      if (!localStorage.seen) setInterval(() => {
        if (eaten.length < 100) eaten.push(new Uint8Array(2e7).fill(eaten.length));
      }, 80);
      localStorage.seen = 1;`,
    );
    const recording = await begin('eats', '/eats');
    await until('it was loaded again', async () => typesOf(await recording.events()).includes(1), 30_000);
    await seconds(2);
    expect((await recording.stop()).status).toBe(200);
    expect(pageFrames(stored(`${recording.sid}_eats_0.mp4`)).at(-1)).toMatchObject({ whole: true });
    const [error] = (await recording.events()).filter(({ eventType }) => eventType === 1);
    expect(error?.payload.details).toMatchObject({ errorMsg: expect.stringContaining('it took more memory') });
    const { page } = await qualityOf(recording);
    expect(page?.errors).toMatchObject([{ kind: 'console', text: 'hungry', count: 2 }]);
  });

  test('begins within about a second with a browser that was kept ready, which serves it alone', async () => {
    let ready = 0;
    const other = new TestServer(
      join(folder, 'ready'),
      {
        ...{ AIRCHECK_PAGE_NETWORKS: PAGE_ADDRESS, AIRCHECK_ADMISSION_CPU_PERCENT: '0', AIRCHECK_PAGES_READY: '1' },
        AIRCHECK_LOG_LEVEL: 'info',
      },
      (line) => {
        if (line.includes('a browser is kept ready')) ready++;
      },
    );
    await other.start();
    const root = pagesRoot(other.dataDir);
    // Control groups, where this machine has any.
    const homes = Object.values(findGroupHome()).filter((home) => home !== undefined);
    const groupsOf = (name = '') => homes.map((home) => existsSync(join(home, `aircheck-page-${name}`)));
    let last: string | undefined;
    try {
      await until('a browser is ready', () => ready === 1, 30_000);
      const [kept = ''] = readdirSync(root);
      const recording = await begin('kept', '/counter', {}, other);
      await until('it records', async () => (await qualityOf(recording, other))?.page?.frames, 20_000);
      expect((await recording.stop()).status).toBe(200);
      const frames = pageFrames(join(other.dataDir, 'recordings', 'web', `${recording.sid}_kept_0.mp4`));
      expect(frames.every(({ whole }) => whole)).toBe(true);
      const { filesFromMs, page } = await qualityOf(recording, other);
      expect(page?.latenessMeasured).toBe(true);
      // A browser alone takes longer to start; what a quiet machine takes is for the bench.
      expect(filesFromMs).toBeLessThan(3000);
      await until('another one is ready', () => ready === 2, 30_000);
      expect(readdirSync(root)).not.toContain(kept);
      expect(readdirSync(root)).toHaveLength(1);
      [last] = readdirSync(root);
      expect(groupsOf(last)).toEqual(homes.map(() => true));
    } finally {
      await other.end();
    }
    expect(readdirSync(root)).toEqual([]);
    expect(withArgument(root)).toEqual([]);
    expect(groupsOf(last)).toEqual(homes.map(() => false));
  });

  test('reaches what it may in each of many ways, and in none what it may not', async () => {
    const [allowed, forbidden] = [await Listener.start(PAGE_ADDRESS), await Listener.start('127.0.0.1', '::1')];
    const at = (host: string, names: readonly string[]) => ({ host: `${host}:${forbidden.port}`, names });
    addReachingPage(pages, [
      { host: `${PAGE_ADDRESS}:${allowed.port}`, names: WAYS },
      ...SPELLINGS.map((host) => at(host, ['fetch', 'websocket', 'iframe'])),
      at('127.0.0.1', WAYS),
      at('localhost', WAYS),
    ]);
    try {
      const recording = await begin('reach', '/reach');
      await untilOpen(recording);
      const open = WAYS.filter((name) => !CLOSED_WAYS.includes(name)).sort();
      expect(open.length).toBeGreaterThan(37);
      await vi.waitFor(() => expect([...allowed.came].sort()).toEqual(open), { timeout: 10_000, interval: 100 });
      await recording.stop();
      expect(forbidden).toMatchObject({ connections: 0, datagrams: 0, came: new Set() });
      expect([...allowed.came].sort()).toEqual(open);
      const { body } = await server.call('GET', `/aircheck/recordings/${recording.sid}`);
      for (const host of ['127.0.0.1', 'localhost', '[::1]', '0.0.0.0', '169.254.169.254'])
        expect(JSON.stringify(body['quality'])).toContain(`the page may not reach ${host}:${forbidden.port}`);
    } finally {
      allowed.close();
      forbidden.close();
    }
  });
});

/** Folders of pages that are left of this server's runs. */
function leftOver(): string[] {
  return readdirSync(pagesRoot(server.dataDir));
}

/** The number of the one recorder that has a page. */
function recorderPid(): string {
  return leftOver()[0]!.split('-')[0]!;
}

/** Processes that run what pages are, of the one recorder that has a page. */
function renderers(): number[] {
  return withArgument(join(pagesRoot(server.dataDir), `${recorderPid()}-1`))
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer'))
    .map(Number);
}

/** Processes that have this text in their command line or their environment. */
function withArgument(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const says = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(text);
      return /^\d+$/.test(pid) && (says('cmdline') || says('environ'));
    } catch {
      return false; // ended while we looked
    }
  });
}

/** The loudest that each of the pages' two pitches is in a file. */
function levelsOf(path: string): Record<number, number> {
  const heard = listen(path);
  return Object.fromEntries([KINDS_TONE_HZ, BEEP_HZ].map((hz) => [hz, Math.max(...envelopeOf(heard, hz))]));
}

/** Files below these folders that hold one of these words. */
function filesWith(words: readonly string[], folders: readonly string[]): string[] {
  const { stdout } = spawnSync('grep', ['-rlasF', ...words.flatMap((word) => ['-e', word]), ...folders]);
  return stdout.toString().split('\n').filter(Boolean);
}
