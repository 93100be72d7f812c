/**
 * Recordings of web pages by the whole product: pages of ours in a real browser, the REST calls a client makes, and the
 * files in the store, judged.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newHexId } from '../../src/kernel/ids.ts';
import { findGroupHome } from '../../src/stages/source/page/page-group.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { beepsIn, envelopeOf, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { addKindsPage, KIND_RECTS, KINDS_PAGE, KINDS_TONE_HZ } from '../support/kinds-page.ts';
import { nicenesses, pagesRoot } from '../support/processes.ts';
import { TestServer, until } from '../support/test-server.ts';
import { BEEP_HZ, FLASH, PAGE, pageFrames } from '../support/web-page.ts';
import {
  PAGE_ADDRESS,
  type PageState,
  refusal,
  stoppedBy,
  typesOf,
  WebScene,
  withArgument,
} from '../support/web-scene.ts';

let scene: WebScene;
const seconds = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));
beforeAll(async () => {
  scene = await WebScene.open();
});
afterAll(() => scene.close());

test.skipIf(refusal === undefined)('a machine that can keep pages from nothing records none', async () => {
  await expect(scene.begin('refused', '/counter')).rejects.toThrow(/500.*502/);
});

describe.skipIf(refusal !== undefined)('a web page', { timeout: 120_000 }, () => {
  test('is recorded whole, in step, and without what was on hold', async () => {
    const recording = await scene.begin('whole', '/counter');
    expect(await scene.stateOf(recording)).toMatchObject({ fileList: [], onhold: false, state: 'init' });
    await scene.untilOpen(recording);
    const openMs = performance.now();
    await scene.untilFrames(recording, 90);
    expect((await recording.update({ webRecordingConfig: { onhold: true } })).status).toBe(200);
    expect(await scene.stateOf(recording)).toMatchObject({ onhold: true, state: 'inProgress' });
    await seconds(2);
    await recording.update({ webRecordingConfig: { onhold: false } });
    await scene.untilFrames(recording, 90);
    expect(nicenesses(Number(scene.recorderPid()))).toEqual(new Set([5]));
    expect(nicenesses(...scene.renderers())).toEqual(new Set([0]));
    // From the page's opening to the end, less what was on hold.
    const longestS = (performance.now() - openMs) / 1000 - 2 + 1;
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

    expect(judgePlaylist(scene.stored(), files[0]!).problems).toEqual([]);
    for (const name of files) {
      const frames = pageFrames(scene.stored(name));
      expect(frames.every(({ whole }) => whole)).toBe(true);
      const { video, audio } = probeFile(scene.stored(name));
      expect(video).toMatchObject({ width: PAGE.width, height: PAGE.height });
      const durationS = frames.at(-1)!.atS;
      expect(durationS).toBeGreaterThan(4);
      expect(durationS).toBeLessThan(longestS);
      expect(audio!.endS).toBeCloseTo(video!.endS, 0);
      // What was on hold is one jump of the page's own count, and none of the file's time: a page draws up to 60 times
      // a second of it, and a busy machine far less often.
      const jumps = frames.slice(1).filter(({ count, atS }, i) => {
        const before = frames[i]!;
        return count - before.count > 60 * (atS - before.atS) + 15;
      });
      expect(jumps).toHaveLength(1);
      expect(video!.maxStepS).toBeLessThan(0.5);
      // What a busy machine's page draws less often is there less often.
      const counts = frames.map(({ count }) => count);
      const held = frames.indexOf(jumps[0]!);
      const drawn = counts[held - 1]! - counts[0]! + counts.at(-1)! - counts[held]!;
      expect(new Set(counts).size).toBeGreaterThan(0.5 * Math.min(30 * durationS, drawn));
      const [readings = []] = watch(scene.stored(name), [{ rect: FLASH }]).views;
      const offsets = avOffsets(
        flashesIn(readings).map(({ atS }) => atS),
        beepsIn(listen(scene.stored(name)), { toneHz: BEEP_HZ }).map(({ atS }) => atS),
      );
      expect(offsets.eachMs.length).toBeGreaterThan(2);
      expect(Math.abs(offsets.medianMs)).toBeLessThan(60);
    }
    const page = (await scene.qualityOf(recording))?.page;
    const notes = (await scene.notesOf(recording)).join();
    // A machine that is too busy to measure it says so.
    expect(page?.latenessMeasured).toBe(!notes.includes('how late pictures are could not be measured'));
    expect(page).toMatchObject({ frozen: [], silent: [], errors: [] });
    expect(page!.distinctFrames).toBeLessThanOrEqual(page!.frames);
    expect(page!.distinctFramesPerS).toBeGreaterThan(0.6 * 30);
    expect(page!.machine!.peakProcesses).toBeGreaterThan(5);
    const events = await until(
      'all is told',
      async () => {
        const told = await recording.events();
        return typesOf(told).includes(11) && told;
      },
      30_000,
    );
    expect(typesOf(events).filter((type) => type !== 4)).toEqual([70, 30, 71, 31, 11]);
    // The playlist is stored while the page ends, before or after it.
    const listed = typesOf(events).indexOf(4);
    expect(listed).toBeGreaterThan(1);
    expect(listed).toBeLessThan(typesOf(events).indexOf(31));
    expect(stoppedBy(events)).toMatchObject({ code: 0 });
    expect(events.every(({ payload }) => payload.serviceScene === 'web_record')).toBe(true);
    expect(scene.leftOver()).toEqual([]);
  });

  test('that says that it is ready is recorded from then on', async () => {
    const recording = await scene.begin('ready', '/ready', { readyTimeout: 10 });
    await scene.untilOpen(recording);
    await scene.untilFrames(recording, 10);
    await recording.stop();
    // It says so at its 30th frame.
    expect(pageFrames(scene.stored(`${recording.sid}_ready_0.mp4`))[0]!.count).toBeGreaterThan(20);
  });

  test('goes on in the same files when its recorder is killed, and nothing of the first runs on', async () => {
    const recording = await scene.begin('killed', '/counter');
    await scene.untilOpen(recording);
    // Some of them are still with the encoder.
    await scene.untilFrames(recording, 90);
    const pid = scene.recorderPid();
    const folderOf = join(pagesRoot(scene.server.dataDir), `${pid}-1`);
    expect(withArgument(folderOf)).not.toEqual([]);
    process.kill(Number(pid), 'SIGKILL');
    await until('nothing of it runs', () => withArgument(folderOf).length === 0, 15_000);
    await until('another page', () => scene.leftOver().some((name) => name.endsWith('-2')), 30_000);
    await scene.untilFrames(recording, 60);
    expect((await recording.stop()).status).toBe(200);
    const base = `${recording.sid}_killed`;
    expect(judgePlaylist(scene.stored(), `${base}.m3u8`).problems).toEqual([]);
    for (const name of [`${base}.m3u8`, `${base}_0.mp4`]) {
      const frames = pageFrames(scene.stored(name));
      expect(frames.every(({ whole }) => whole)).toBe(true);
      // The page is loaded again once: its count goes back, and what nobody saw is a gap.
      const again = frames.findIndex(({ count }, i) => i > 0 && count < frames[i - 1]!.count);
      expect(again).toBeGreaterThan(45);
      expect(frames.length - again).toBeGreaterThan(30);
      const { video, audio } = probeFile(scene.stored(name));
      expect(video!.ordered && audio!.ordered).toBe(true);
      expect(Math.abs(video!.endS - audio!.endS)).toBeLessThan(0.5);
    }
    const events = await recording.events();
    // When a playlist is stored first depends on how long all this takes.
    expect(typesOf(events).filter((type) => type !== 30 && type !== 4)).toEqual([70, 12, 71, 31, 11]);
    expect(typesOf(events)).toContain(4);
    const { body } = await scene.server.call('GET', `/aircheck/recordings/${recording.sid}`);
    expect(JSON.stringify(body['quality'])).toMatch(/\d+ ms of the page are lost with an earlier run/);
    expect(scene.leftOver()).toEqual([]);
  });

  test('of any kind is recorded beside another one, and neither knows of the other', async () => {
    const secrets = { a: newHexId(), b: newHexId(), password: newHexId() };
    const seen: Record<'a' | 'b', string[]> = { a: [], b: [] };
    /** Keeps a secret, and tells again and again which ones it finds. */
    const keeping = (name: 'a' | 'b') =>
      `document.cookie = '${name}=${secrets[name]}'; localStorage.${name} = '${secrets[name]}';
       setInterval(() => fetch(location.origin + '/seen-${name}?' + document.cookie + JSON.stringify(localStorage)), 200);`;
    for (const name of ['a', 'b'] as const)
      scene.pages.pages[`/seen-${name}`] = (response, path) => {
        seen[name].push(path);
        response.end();
      };
    addKindsPage(scene.pages, scene.folder, keeping('a'));
    // An error that names the page's address with its password.
    scene.pages.add('/open', `${keeping('b')} fetch('/relative');`);
    scene.pages.pages['/private'] = (response, path) => {
      const isKnown = response.req.headers.authorization === `Basic ${btoa(`me:${secrets.password}`)}`;
      if (isKnown) scene.pages.pages['/open']?.(response, path);
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end();
    };
    const { width: videoWidth, height: videoHeight } = KINDS_PAGE;
    const kinds = await scene.begin('kinds', '/kinds', { mobile: true, videoWidth, videoHeight });
    const url = scene.pages.url('/private').replace('//', `//me:${secrets.password}@`);
    const guarded = await scene.begin('private', '', { url });
    for (const recording of [kinds, guarded]) await scene.untilOpen(recording);
    // Each of its kinds flashes once a second.
    for (const recording of [kinds, guarded]) await scene.untilFrames(recording, 120);
    const kept = () =>
      filesWith(Object.values(secrets), [pagesRoot(scene.server.dataDir), scene.server.dataDir, '/dev/shm']);
    // The browsers keep them while they run, or none of this would show anything.
    expect(kept()).not.toEqual([]);
    for (const recording of [kinds, guarded]) expect((await recording.stop()).status).toBe(200);
    expect(scene.leftOver()).toEqual([]);
    expect(kept()).toEqual([]);
    for (const name of ['a', 'b'] as const) {
      expect(seen[name].at(-1)).toContain(secrets[name]);
      expect(seen[name].join()).not.toContain(secrets[name === 'a' ? 'b' : 'a']);
    }

    const [file, other] = [scene.stored(`${kinds.sid}_kinds_0.mp4`), scene.stored(`${guarded.sid}_private_0.mp4`)];
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

  test('begins in a browser that was kept ready, which serves it alone', async () => {
    let ready = 0;
    const other = new TestServer(
      join(scene.folder, 'ready'),
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
      const recording = await scene.begin('kept', '/counter', {}, other);
      await scene.untilFrames(recording, 10, other);
      expect(readdirSync(root)).toContain(kept);
      expect((await recording.stop()).status).toBe(200);
      const frames = pageFrames(join(other.dataDir, 'recordings', 'web', `${recording.sid}_kept_0.mp4`));
      expect(frames.every(({ whole }) => whole)).toBe(true);
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
});

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
