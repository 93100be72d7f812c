/**
 * What storing costs, against plain Node streams that put the same files to the same server, turn by turn; the memory
 * of a long backlog; how soon a spool is taken up again; and the bytes that a long playlist's versions come to.
 *
 *   npm run bench -- stores --parts files,large-file,backlog,recovery,playlist,broken-link
 */
import { type ChildProcess, fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { median } from '../../test/support/judge/offsets.ts';
import { atMost, type Figure } from '../measure.ts';
import type { ClientJob, ClientReply, Way } from './client.ts';
import { measureRecovery } from './recovery.ts';
import type { Counts, SinkRequest } from './sink.ts';
import { spool } from './spool.ts';

const TAKES = 5;
const BACKLOG = { files: 10_000, bytes: 64 * 1024, awayMs: 3000 };
const BROKEN_LINK = { bytes: 1_000_000_000, everyBytes: 50_000_000 };
const TWELVE_HOURS = { slices: 2880, bytes: 100 };
const FILES = { name: '200 objects of 2 MB', files: 200, bytes: 2_000_000 };
const LARGE_FILE = { name: 'one object of 1 GB', files: 1, bytes: 1_000_000_000 };

/** @param dir a folder to work in @param port where the sink listens */
type Measurement = (dir: string, port: number, sink: Child) => Promise<Figure[]>;
const PARTS: Record<string, Measurement> = {
  files: (dir, port) => measureLoad(dir, port, FILES),
  'large-file': (dir, port) => measureLoad(dir, port, LARGE_FILE),
  backlog: async (...given) => [await measureBacklog(...given)],
  recovery: async (dir, port) => [await measureRecovery(dir, port)],
  playlist: async (...given) => [await measurePlaylist(...given)],
  'broken-link': async (...given) => [await measureBrokenLink(...given)],
};

export async function measureStores(): Promise<Figure[]> {
  const { parts = Object.keys(PARTS).join() } = parseArgs({
    options: { parts: { type: 'string' } },
    strict: false,
  }).values;
  const measurements = String(parts)
    .split(',')
    .map((part) => {
      const measure = PARTS[part];
      if (!measure) throw new Error(`stores has no part ${part}; there are ${Object.keys(PARTS).join(', ')}`);
      return measure;
    });
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-stores-'));
  const sink = new Child('sink.ts');
  try {
    const { port } = (await sink.reply()) as { port: number };
    const figures: Figure[] = [];
    for (const measure of measurements) figures.push(...(await measure(dir, port, sink)));
    return figures;
  } finally {
    sink.end();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function measureLoad(dir: string, port: number, load: typeof FILES): Promise<Figure[]> {
  const { name, files, bytes } = load;
  const clients: Record<Way, Child> = { ours: new Child('client.ts'), plain: new Child('client.ts') };
  const ways: Way[] = ['plain', 'ours'];
  const takes: Record<Way, ClientReply[]> = { ours: [], plain: [] };
  try {
    const job = { port, bytes, oneByOne: false, paths: spool(join(dir, String(bytes)), files, bytes) };
    // The first of each is not counted: a server has long been warm. Turn by turn, so that a machine that slows down
    // does so for both.
    for (let n = 0; n <= TAKES; n++)
      for (const way of ways) {
        const reply = await clients[way].run({ ...job, way });
        if (n > 0) takes[way].push(reply);
      }
  } finally {
    for (const client of Object.values(clients)) client.end();
  }
  const against = (what: 'wallMs' | 'cpuS', title: string, limit: number, [unit, digits]: [string, number]) => {
    const ratios = takes.ours.map((take, n) => take[what] / (takes.plain[n] as ClientReply)[what]);
    const list = (way: Way) => takes[way].map((take) => take[what].toFixed(digits)).join('/');
    const detail = `ours ${list('ours')}, plain ${list('plain')} ${unit}`;
    return atMost(`${name}: ${title} against plain streams`, median(ratios), limit, '×', detail);
  };
  return [against('wallMs', 'time', 1.3, ['ms', 0]), against('cpuS', 'CPU', 1.5, ['s', 2])];
}

/**
 * What a recording's memory comes to when its store is away while 10,000 files come, and takes them all at once then,
 * against the same recording whose store takes each file as it comes.
 */
async function measureBacklog(dir: string, port: number, sink: Child): Promise<Figure> {
  const { files, bytes, awayMs } = BACKLOG;
  const job = { way: 'ours', port, bytes, paths: spool(join(dir, 'backlog'), files, bytes) } as const;
  const without = await runAlone({ ...job, oneByOne: true });
  sink.send({ away: true });
  const back = pause(awayMs).then(() => sink.send({ away: false }));
  const backlog = await runAlone({ ...job, oneByOne: false });
  await back;
  const [most, mostWithout] = [backlog.mostMb, without.mostMb].map(Math.round) as [number, number];
  const detail = `${most} MB against ${mostWithout} MB; ${Math.round(without.beforeMb)} MB before`;
  return atMost(`memory with a backlog of ${files} objects`, most - mostWithout, 20, 'MB more', detail);
}

/**
 * Slices come one by one to a store that takes each at once, which is when most versions of their playlist are sent.
 */
async function measurePlaylist(dir: string, port: number, sink: Child): Promise<Figure> {
  const { slices, bytes } = TWELVE_HOURS;
  const before = await told(sink);
  const paths = spool(join(dir, 'playlist'), slices, bytes);
  await runAlone({ way: 'ours', port, bytes, oneByOne: true, paths });
  const after = await told(sink);
  const versions = after.playlists - before.playlists;
  const megabytes = (after.playlistBytes - before.playlistBytes) / 1e6;
  return atMost(`playlist of ${slices} slices, all that is sent`, megabytes, 10, 'MB', `${versions} versions`);
}

/** A large file goes on where it was: what is sent again is what was under way when the link broke. */
async function measureBrokenLink(dir: string, port: number, sink: Child): Promise<Figure> {
  const { bytes, everyBytes } = BROKEN_LINK;
  sink.send({ breakEveryBytes: everyBytes });
  const before = await told(sink);
  const paths = spool(join(dir, 'broken'), 1, bytes);
  const { wallMs } = await runAlone({ way: 'ours', port, bytes, oneByOne: false, paths });
  const after = await told(sink);
  sink.send({ breakEveryBytes: 0 });
  const sent = (after.receivedBytes - before.receivedBytes) / bytes;
  const detail = `${after.breaks - before.breaks} breaks, ${(wallMs / 1000).toFixed(1)} s`;
  return atMost(`1 GB over a link that breaks every ${everyBytes / 1e6} MB: sent in all`, sent, 1.5, '×', detail);
}

/** Runs a job in a process of its own. */
async function runAlone(job: ClientJob): Promise<ClientReply> {
  const client = new Child('client.ts');
  try {
    return await client.run(job);
  } finally {
    client.end();
  }
}

async function told(sink: Child) {
  const reply = sink.reply();
  sink.send({ tell: true });
  return (await reply) as Counts;
}

/** A child process that is asked and answers. */
class Child {
  readonly #process: ChildProcess;

  constructor(script: string) {
    this.#process = fork(join(import.meta.dirname, script), {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
  }

  send(message: SinkRequest | ClientJob): void {
    this.#process.send(message);
  }

  /** What it says next. Rejects with an Error when it ends instead. */
  reply(): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (code: number | null) => reject(new Error(`the child process ended with ${code}`));
      this.#process.once('exit', ended).once('message', (message) => {
        this.#process.off('exit', ended);
        resolve(message);
      });
    });
  }

  run(job: ClientJob): Promise<ClientReply> {
    const reply = this.reply();
    this.send(job);
    return reply as Promise<ClientReply>;
  }

  end(): void {
    this.#process.disconnect();
  }
}
