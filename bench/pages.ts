/**
 * What recording a web page comes to: how many of its frames are in the file, what it costs beside the `ffmpeg` program
 * that reads the same screen, whether it slows the page, how sound and picture stay together, how soon it begins, and
 * the memory of everything. Needs what `aircheck doctor` asks for.
 *
 *   npm run bench -- pages --minutes 10      holds the recording that drift is measured on for so long
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { QualityReport } from '../src/contract/line/quality-report.ts';
import { PageMeter } from '../src/stages/source/page/page-meter.ts';
import { avOffsets, median } from '../test/support/judge/offsets.ts';
import { flashesIn } from '../test/support/judge/picture.ts';
import { beepsIn, listen } from '../test/support/judge/sound.ts';
import { watch } from '../test/support/judge/watch.ts';
import { descendantsOf, recordersOf } from '../test/support/processes.ts';
import { localStorage, type TestRecording, TestServer, until } from '../test/support/test-server.ts';
import { BEEP_HZ, FLASH, MOVING_BEEPS_S, movingPage, PageServer, pageFrames } from '../test/support/web-page.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { busiestOf, busyCoreSeconds, cpuSecondsOf } from './proc.ts';

const SIZE = { width: 1280, height: 720, fps: 30 };
const BITRATE_KBPS = 2000;
/** The page is drawn for 640×360. */
const SCALE = 2;
const TAKE_S = 20;
const STARTS = 3;
const ADDRESS = '127.0.0.1';
/** What may be used by others for a figure to be one of a quiet machine, in cores. */
const QUIET_CORES = 0.4;

export async function measurePages(): Promise<Figure[]> {
  const { minutes } = parseArgs({ options: { minutes: { type: 'string' } }, strict: false }).values;
  const bench = await PagesBench.open();
  try {
    const calm = await bench.record(TAKE_S);
    const taken = await bench.record(TAKE_S, { hogs: 1 });
    const cold = await bench.starts(STARTS);
    const long = minutes === undefined ? undefined : await bench.record(60 * Number(minutes));
    await bench.restart({ AIRCHECK_PAGES_READY: '1' });
    const ready = await bench.starts(STARTS, true);
    return [
      ...frameFigures(calm, taken),
      ...costFigures(calm),
      ...syncFigures(calm, long),
      startFigure('cold', cold, 3500),
      startFigure('with a browser kept ready', ready, 1200),
    ];
  } finally {
    await bench.close();
  }
}

type Take = {
  /** Distinct frames per second of the file, and the share of frames that show the one before again. */
  distinctPerS: number;
  doubledShare: number;
  /** Of the page's own script, before it was recorded and meanwhile. */
  pageFps: { before: number; during: number };
  /** Of each flash and its beep, in order; above 0 the sound is late. */
  offsetsMs: number[];
  /** Of them the page's own part: how much later than it was heard the page drew a flash, the median. */
  pageLateMs: number;
  /** Cores of the recorder and of the reader of its sound, and of `ffmpeg` beside it. */
  recorderCores: number;
  referenceCores: number;
  memoryBytes: number;
  /** Cores that the rest of the machine used. */
  othersCores: number;
  lateness: string;
};

class PagesBench {
  readonly #dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  readonly #pages: PageServer;
  #server: TestServer;
  #takes = 0;

  static async open(): Promise<PagesBench> {
    const pages = await new PageServer().start(ADDRESS);
    const bench = new PagesBench(pages);
    await bench.#server.start();
    return bench;
  }

  private constructor(pages: PageServer) {
    this.#pages = pages;
    this.#server = this.#serverWith({});
  }

  async restart(env: Record<string, string>): Promise<void> {
    await this.#server.end();
    this.#server = this.#serverWith(env);
    await this.#server.start();
  }

  /** Records for `lengthS`, with so many processes beside it that take all they can get. */
  async record(lengthS: number, { hogs = 0 } = {}): Promise<Take> {
    const rates: number[] = [];
    // What the page tells of itself each second; it says that it is ready after its fourth second.
    this.#pages.pages['/rate'] = (response, path) => {
      rates.push(Number(path.split('=')[1]));
      response.end();
    };
    const lates: number[] = [];
    this.#pages.pages['/late'] = (response, path) => {
      lates.push(Number(path.split('=')[1]));
      response.end();
    };
    this.#pages.pages['/moving'] = (response) => response.end(movingPage(SCALE, 4));
    const recording = await this.#begin('/moving', { readyTimeout: 30 });
    await until('it records', async () => (await this.#quality(recording))?.page?.frames, 60_000);
    const before = rates.splice(0).slice(1, 4);
    const taking = Array.from({ length: hogs }, () => spawn('sh', ['-c', 'while :; do :; done']));
    const recorder = busiestOf(recordersOf(this.#server.running.pid));
    const everything = new PageMeter(() => [recorder]);
    const own = new PageMeter(() => [process.pid, this.#server.running.pid]);
    const [ownBefore, busyBefore, recorderBefore] = [await own.read(), busyCoreSeconds(), readingCpuS(recorder)];
    const began = performance.now();
    let memoryBytes = 0;
    while (performance.now() - began < lengthS * 1000) {
      await pause(2000);
      memoryBytes = Math.max(memoryBytes, (await everything.read()).memoryBytes);
    }
    const spanS = (performance.now() - began) / 1000;
    const ownS = ((await own.read()).cpuUs - ownBefore.cpuUs) / 1e6;
    const othersCores = (busyCoreSeconds() - busyBefore - ownS) / spanS;
    const recorderCores = (readingCpuS(recorder) - recorderBefore) / spanS;
    for (const each of taking) each.kill();
    const during = rates.slice(1, -1);
    const referenceCores = hogs === 0 ? await this.#referenceCores() : Number.NaN;
    const { page } = await this.#stop(recording);
    const path = this.#file(recording);
    // What came later was beside the reference.
    const frames = pageFrames(path, SCALE).filter(({ atS }) => atS < spanS);
    const doubled = frames.filter(({ count }, i) => i > 0 && count === frames[i - 1]?.count).length;
    const distinct = new Set(frames.map(({ count }) => count)).size;
    const [readings = []] = watch(path, [{ rect: FLASH }]).views;
    const flashes = flashesIn(readings.filter(({ atS }) => atS < spanS)).map(({ atS }) => atS);
    const beeps = beepsIn(listen(path), { toneHz: BEEP_HZ }).map(({ atS }) => atS);
    const { eachMs } = avOffsets(flashes, beeps);
    return {
      distinctPerS: (distinct * SIZE.fps) / frames.length,
      doubledShare: doubled / frames.length,
      pageFps: { before: median(before), during: median(during) },
      offsetsMs: eachMs,
      pageLateMs: median(lates),
      ...{ recorderCores, referenceCores, othersCores, memoryBytes },
      lateness: `${page?.pictureLatenessMs} ms${page?.latenessMeasured ? '' : ' (not measured)'}`,
    };
  }

  /** From the start call to the first recorded frame, milliseconds, of recordings one after another. */
  async starts(count: number, kept = false): Promise<number[]> {
    const eachMs: number[] = [];
    for (let n = 0; n < count; n++) {
      // One that was used is replaced some seconds later, and takes a while to start.
      if (kept) await pause(15_000);
      const recording = await this.#begin('/counter', {});
      await until('it records', async () => (await this.#quality(recording))?.page?.frames, 60_000);
      const { filesFromMs } = await this.#stop(recording);
      eachMs.push(filesFromMs ?? Number.NaN);
    }
    return eachMs;
  }

  async close(): Promise<void> {
    await this.#server.end();
    await this.#pages.close();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #serverWith(env: Record<string, string>): TestServer {
    return new TestServer(join(this.#dir, 'data'), {
      ...{ AIRCHECK_PAGE_NETWORKS: ADDRESS, AIRCHECK_ADMISSION_CPU_PERCENT: '0', AIRCHECK_LOG_LEVEL: 'warn', ...env },
    });
  }

  #begin(path: string, more: object): Promise<TestRecording> {
    const serviceParam = {
      ...{ url: this.#pages.url(path), audioProfile: 1, videoWidth: SIZE.width, videoHeight: SIZE.height },
      ...{ videoFps: SIZE.fps, videoBitrate: BITRATE_KBPS, maxRecordingHour: 1, ...more },
    };
    return this.#server.record(
      `take${++this.#takes}`,
      '1',
      {
        extensionServiceConfig: {
          errorHandlePolicy: 'error_abort',
          extensionServices: [{ serviceName: 'web_recorder_service', serviceParam }],
        },
        recordingFileConfig: { avFileType: ['hls', 'mp4'] },
        storageConfig: localStorage('web'),
      },
      'web',
    );
  }

  async #quality({ sid }: TestRecording): Promise<QualityReport | undefined> {
    const { body } = await this.#server.call('GET', `/aircheck/recordings/${sid}`);
    return (body['quality'] ?? undefined) as QualityReport | undefined;
  }

  async #stop(recording: TestRecording): Promise<QualityReport> {
    const { status } = await recording.stop();
    const quality = await this.#quality(recording);
    if (status !== 200 || !quality) throw new Error(`stop answered ${status}`);
    return quality;
  }

  #file({ sid }: TestRecording): string {
    const dir = join(this.#server.dataDir, 'recordings', 'web');
    const name = readdirSync(dir).find((each) => each.startsWith(sid) && each.endsWith('.mp4'));
    if (name === undefined) throw new Error('the recording left no MP4');
    return join(dir, name);
  }

  /** What `ffmpeg` takes to read the same screen and sound, and to encode them likewise, while we do so too. */
  async #referenceCores(): Promise<number> {
    const folder = readFileSync(join(this.#server.dataDir, 'folder-id'), 'utf8').trim().slice(0, 16);
    const root = join(tmpdir(), `aircheck-pages-${folder}`);
    const dir = join(root, readdirSync(root)[0] ?? '');
    const display = readFileSync(join(dir, 'display'), 'utf8');
    const rate = ['-b:v', `${BITRATE_KBPS}k`, '-maxrate', `${BITRATE_KBPS * 1.2}k`, '-bufsize', `${BITRATE_KBPS * 2}k`];
    const words = [
      ...['-v', 'error', '-y', '-f', 'x11grab', '-video_size', `${SIZE.width}x${SIZE.height}`],
      ...['-framerate', `${SIZE.fps}`, '-draw_mouse', '0', '-i', `:${display}.0+0,0`],
      ...['-f', 'pulse', '-i', 'page.monitor', '-t', `${TAKE_S}`, '-pix_fmt', 'yuv420p'],
      ...['-c:v', 'libx264', '-preset', 'veryfast', '-threads', '1', '-g', `${SIZE.fps * 3}`, ...rate],
      ...['-c:a', 'aac', '-ac', '1', '-b:a', '48k', join(this.#dir, 'reference.mp4')],
    ];
    const script = '"$@" || exit; times';
    const child = spawn('sh', ['-c', script, 'sh', 'ffmpeg', ...words], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...{ PATH: '/usr/bin:/bin', XAUTHORITY: join(dir, 'xauthority'), HOME: this.#dir },
        PULSE_SERVER: `unix:${join(dir, 'home', 'sound.sock')}`,
      },
    });
    let told = '';
    child.stdout.on('data', (text) => {
      told += text;
    });
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(`ffmpeg ended with ${code}`);
    const times = [...(told.trim().split('\n').at(-1) ?? '').matchAll(/(\d+)m([\d.]+)s/g)];
    return times.reduce((sum, [, m, s]) => sum + 60 * Number(m) + Number(s), 0) / TAKE_S;
  }
}

/** CPU seconds of a recorder and of the program that reads the page's sound for it. */
function readingCpuS(recorder: number): number {
  const readers = descendantsOf(recorder).filter(isSoundReader);
  return [recorder, ...readers].reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
}

function isSoundReader(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('parec');
  } catch {
    return false; // ended while we looked
  }
}

const beside = ({ othersCores }: Take) => `others took ${othersCores.toFixed(2)} cores`;

function frameFigures(calm: Take, taken: Take): Figure[] {
  const { before, during } = calm.pageFps;
  const share = taken.distinctPerS / calm.distinctPerS;
  const isQuiet = calm.othersCores < QUIET_CORES;
  const noise = `${beside(calm)}${isQuiet ? '' : ': too much for these figures to count'}`;
  return [
    atLeast('distinct frames of a page at 720p30', calm.distinctPerS, 29, '/s', noise),
    atMost('frames that show the one before', 100 * calm.doubledShare, 1, '%', noise),
    atLeast('distinct frames with one core taken, of those without', share, 0.9, '×', beside(taken)),
    atLeast('page’s own frames while recorded, of those before', during / before, 0.97, '×', rates(calm.pageFps)),
  ];
}

const rates = ({ before, during }: Take['pageFps']) => `${before} before, ${during} while recorded`;

function costFigures({ recorderCores, referenceCores, memoryBytes, ...take }: Take): Figure[] {
  const detail = `${recorderCores.toFixed(2)} : ${referenceCores.toFixed(2)} cores`;
  return [
    atMost('reading and encoding beside ffmpeg’s x11grab', recorderCores / referenceCores, 1.1, '×', detail),
    atMost('memory of recorder, browser, screen and sound (PSS)', memoryBytes / 1e6, 750, 'MB', beside(take as Take)),
  ];
}

function syncFigures(calm: Take, long: Take | undefined): Figure[] {
  const of = (take: Take) => `${take.offsetsMs.length} flashes, lateness ${take.lateness}, ${beside(take)}`;
  // A page draws a flash in the first frame after it is heard: that late it is for whoever looks at the page too.
  const inFileMs = median(calm.offsetsMs);
  const told = `${inFileMs.toFixed(0)} ms in the file, the page's own flash ${calm.pageLateMs.toFixed(0)} ms late, ${of(calm)}`;
  const figures = [atMost('sound from picture, median', Math.abs(inFileMs + calm.pageLateMs), 20, 'ms', told)];
  if (!long) return figures;
  const { offsetsMs } = long;
  const part = Math.ceil(offsetsMs.length / 4);
  const driftMs = median(offsetsMs.slice(-part)) - median(offsetsMs.slice(0, part));
  // From the middle of the first quarter to the middle of the last.
  const perTenMinutes = (driftMs * 600) / (offsetsMs.length * 0.75 * MOVING_BEEPS_S);
  // A browser that shows pictures one step of its screen later from some moment on is told from a clock that drifts.
  const perMinute = Math.round(60 / MOVING_BEEPS_S);
  const minutes = Array.from({ length: Math.ceil(offsetsMs.length / perMinute) }, (_, n) =>
    median(offsetsMs.slice(n * perMinute, (n + 1) * perMinute)).toFixed(0),
  );
  const detail = `${of(long)}; minute by minute ${minutes.join(', ')} ms`;
  return [...figures, atMost('drift of sound in 10 minutes', Math.abs(perTenMinutes), 5, 'ms', detail)];
}

function startFigure(how: string, eachMs: readonly number[], limitMs: number): Figure {
  const what = `start call of a page → first recorded frame, ${how}`;
  return atMost(what, median(eachMs), limitMs, 'ms', eachMs.map((ms) => ms.toFixed(0)).join(', '));
}
