/**
 * A server that records web pages, and pages of ours for it, as tests of whole recordings share them.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pageUser, probeNamespaces } from '../../src/app/pages.ts';
import type { QualityReport } from '../../src/contract/line/quality-report.ts';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { messageOf } from '../../src/kernel/fault.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { pagesRoot } from './processes.ts';
import { localStorage, type TestRecording, TestServer, until } from './test-server.ts';
import { PAGE, PageServer } from './web-page.ts';

/** Where the pages lie: the one address that they may reach. */
export const PAGE_ADDRESS = '127.0.0.2';
/** Another site's, which they may reach too. */
export const FOREIGN_ADDRESS = '127.0.0.4';

/** Why pages cannot be recorded on this machine; undefined when they can. */
export const refusal = await probeNamespaces(findPrograms(), pageUser('nobody')).then(() => undefined, messageOf);

export type PageState = { fileList: { filename: string; sliceStartTime: number }[]; onhold: boolean; state: string };

export class WebScene {
  readonly folder: string;
  readonly server: TestServer;
  readonly pages: PageServer;
  readonly #begun: TestRecording[] = [];

  /** @param env settings of the server, beside those that all have */
  static async open(env: Record<string, string> = {}): Promise<WebScene> {
    const scene = new WebScene(await new PageServer().start(PAGE_ADDRESS), env);
    await scene.server.start();
    return scene;
  }

  private constructor(pages: PageServer, env: Record<string, string>) {
    this.folder = mkdtempSync(join(tmpdir(), 'aircheck-web-'));
    this.pages = pages;
    this.server = new TestServer(join(this.folder, 'data'), {
      AIRCHECK_PAGE_NETWORKS: `${PAGE_ADDRESS},${FOREIGN_ADDRESS}`,
      AIRCHECK_ADMISSION_CPU_PERCENT: '0',
      ...env,
    });
  }

  async close(): Promise<void> {
    await this.server.end();
    await this.pages.close();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  /** @param more of the web recorder's parameters; @param on another server than the scene's */
  async begin(cname: string, path: string, more: object = {}, on = this.server): Promise<TestRecording> {
    const serviceParam = {
      ...{ url: this.pages.url(path), audioProfile: 1, videoWidth: PAGE.width, videoHeight: PAGE.height },
      ...{ videoFps: 30, maxRecordingHour: 1, ...more },
    };
    const service = { serviceName: 'web_recorder_service', errorHandlePolicy: 'error_abort', serviceParam };
    const recording = await on.record(
      cname,
      '1',
      {
        extensionServiceConfig: { errorHandlePolicy: 'error_abort', extensionServices: [service] },
        recordingFileConfig: { avFileType: ['hls', 'mp4'] },
        storageConfig: localStorage('web'),
      },
      'web',
    );
    this.#begun.push(recording);
    return recording;
  }

  /** Ends what still records of all that were begun. */
  async stopAll(): Promise<void> {
    for (const recording of this.#begun.splice(0)) if ((await recording.query()).status === 200) await recording.stop();
  }

  /** As it stands by now; undefined before the recorder has told any. */
  async qualityOf({ sid }: TestRecording, on = this.server): Promise<QualityReport | undefined> {
    return ((await on.call('GET', `/aircheck/recordings/${sid}`)).body['quality'] ?? undefined) as
      | QualityReport
      | undefined;
  }

  /** What was kept out of a page's picture, or went wrong, in words. */
  async notesOf(recording: TestRecording): Promise<string[]> {
    return (await this.qualityOf(recording))?.degraded.map(({ what }) => what) ?? [];
  }

  async stateOf(recording: TestRecording): Promise<PageState> {
    const { body } = await recording.query();
    const { extensionServiceState } = body['serverResponse'] as { extensionServiceState: { payload: PageState }[] };
    return extensionServiceState[0]!.payload;
  }

  async untilOpen(recording: TestRecording): Promise<void> {
    await until('the page is open', async () => (await this.stateOf(recording)).state === 'inProgress', 30_000);
  }

  /** Until its slices have so many more frames than now: a busy machine takes its time. */
  async untilFrames({ sid }: TestRecording, count: number, on = this.server): Promise<void> {
    const folder = join(on.dataDir, 'spool', sid);
    const counts = new Map<string, number>();
    const frames = () => {
      for (const path of slicesBelow(folder)) {
        const name = basename(path, '.part');
        counts.set(name, Math.max(counts.get(name) ?? 0, framesIn(path)));
      }
      return [...counts.values()].reduce((sum, each) => sum + each, 0);
    };
    const before = frames();
    await until(`${count} frames more`, () => frames() >= before + count, 40_000);
  }

  async untilOver(recording: TestRecording): Promise<void> {
    await until('the recording is over', async () => typesOf(await recording.events()).includes(11), 40_000);
  }

  stored(...names: string[]): string {
    return join(this.server.dataDir, 'recordings', 'web', ...names);
  }

  /** Folders of pages that are left of the server's runs. */
  leftOver(): string[] {
    return readdirSync(pagesRoot(this.server.dataDir));
  }

  /** The number of the one recorder that has a page. */
  recorderPid(): string {
    return this.leftOver()[0]!.split('-')[0]!;
  }

  /** The folder of the page of the one recorder that has one. */
  pageFolder(): string {
    return join(
      pagesRoot(this.server.dataDir),
      this.leftOver().find((name) => name.startsWith(`${this.recorderPid()}-`))!,
    );
  }

  /** Processes that run what pages are, of the one recorder that has a page. */
  renderers(): number[] {
    return withArgument(this.pageFolder())
      .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=renderer'))
      .map(Number);
  }
}

/** Slices of all runs of a recording, that which is being written too. */
function slicesBelow(folder: string): string[] {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  return names.filter((name) => /\.ts(\.part)?$/.test(name)).map((name) => join(folder, name));
}

const PACKET_BYTES = 188;

/** Pictures in a slice, which need not be whole: packets that begin one of video (ISO/IEC 13818-1 §2.4.3). */
function framesIn(path: string): number {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
  } catch {
    return 0; // it has just got its name
  }
  let frames = 0;
  for (let at = 0; at + PACKET_BYTES <= bytes.length; at += PACKET_BYTES) {
    const [begins, control] = [bytes[at + 1]! & 0x40, bytes[at + 3]!];
    const payload = at + 4 + (control & 0x20 ? 1 + bytes[at + 4]! : 0);
    // Video is of the streams 0xE0 to 0xEF.
    if (begins && control & 0x10 && bytes.readUInt32BE(Math.min(payload, bytes.length - 4)) >> 4 === 0x1e) frames++;
  }
  return frames;
}

export const typesOf = (events: Notice[]) => events.map(({ eventType }) => eventType);
export const stoppedBy = (events: Notice[]) => events.find(({ eventType }) => eventType === 71)?.payload.details;

/** Processes that have this text in their command line or their environment. */
export function withArgument(text: string): string[] {
  return readdirSync('/proc').filter((pid) => {
    try {
      const says = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'utf8').includes(text);
      return /^\d+$/.test(pid) && (says('cmdline') || says('environ'));
    } catch {
      return false; // ended while we looked
    }
  });
}
