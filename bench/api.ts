/**
 * What the recording API bears while a composite records: queries a second of that recording with their times, and the
 * time from the acquire call to the answer to start.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type Publisher, publishWithRtc } from '../test/support/publish/publisher.ts';
import { RecordingClient, type Reply, textIn } from '../test/support/rest-client.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { until } from '../test/support/test-server.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { cpuSecondsOf } from './proc.ts';
import type { QueryLoadJob, QueryLoadReport, QueryLoadResult } from './query-load.ts';
import { BITRATE_KBPS, CAST, SOURCE } from './stage.ts';

const CNAME = 'api';
const CANVAS = { width: 1280, height: 720, fps: 15 };
const CONNECTIONS = 16;
const WARM_UP_S = 2;
const MEASURE_S = 10;
const PAIRS = 30;
/** Status of a recording that has stored its first slice (contract §1.5). */
const IN_PROGRESS = 5;

type Recording = { uid: string; resourceId: string; sid: string; tookMs: number };
type QueryCost = QueryLoadResult & {
  /** CPU seconds per second of the whole server process, before and during the load. */
  idleCores: number;
  loadedCores: number;
};

export async function measureApi(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const publishers: Publisher[] = [];
  const server = await ServerProcess.start({
    dataDir: dir,
    env: { AIRCHECK_LOG_LEVEL: 'warn', AIRCHECK_RATE_LIMIT_PER_S: '0', AIRCHECK_MAX_RECORDINGS: '100' },
  });
  try {
    for (const [i, participant] of CAST.entries()) {
      const codec = i % 2 === 0 ? 'vp8' : 'h264';
      const at = server.whip(CNAME, String(i + 1));
      publishers.push(await publishWithRtc({ ...at, participant, codec, ...SOURCE, loop: true, motion: 'busy' }));
    }
    const client = new RecordingClient(server);
    const running = await record(client, server, '9000');
    await until(
      'the recording is in progress',
      async () => statusIn(await ask(client, running)) === IN_PROGRESS,
      60_000,
    );
    const queries = await measureQueries(server, running);
    const pairsMs = await measurePairs(client, server);
    return [...queryFigures(queries), pairFigure(pairsMs, running.tookMs)];
  } finally {
    await Promise.all(publishers.map((publisher) => publisher.stop()));
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** acquire and start of a composite. Throws an Error when either is refused. */
async function record(client: RecordingClient, server: ServerProcess, uid: string): Promise<Recording> {
  const token = server.token(CNAME, uid);
  const began = performance.now();
  const resourceId = textIn(await client.acquire(CNAME, uid), 'resourceId');
  const started = await client.startMix(resourceId, {
    cname: CNAME,
    uid,
    token,
    recordingConfig: { channelType: 1, transcodingConfig: { ...CANVAS, bitrate: BITRATE_KBPS, mixedVideoLayout: 1 } },
    storageConfig: { vendor: 1000, region: 0, bucket: CNAME, accessKey: '-', secretKey: '-' },
  });
  const tookMs = performance.now() - began;
  return { uid, resourceId, sid: textIn(started, 'sid'), tookMs };
}

function ask(client: RecordingClient, { resourceId, sid }: Recording): Promise<Reply> {
  return client.query(resourceId, sid);
}
function statusIn(reply: Reply): number | undefined {
  return (reply.body['serverResponse'] as { status?: number } | undefined)?.status;
}

async function measureQueries(server: ServerProcess, { resourceId, sid }: Recording): Promise<QueryCost> {
  const { url, appid, customerId, customerSecret, pid } = server;
  const idle = cpuMeter(pid);
  await pause(3000);
  const idleCores = idle();
  const job: QueryLoadJob = {
    url: `${url}/v1/apps/${appid}/cloud_recording/resourceid/${resourceId}/sid/${sid}/mode/mix/query`,
    headers: { authorization: `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}` },
    connections: CONNECTIONS,
    warmUpS: WARM_UP_S,
    measureS: MEASURE_S,
    status: IN_PROGRESS,
  };
  let loaded: (() => number) | undefined;
  const result = await runLoad(job, () => {
    loaded = cpuMeter(pid);
  });
  if (result.answers === 0) throw new Error(`no query was answered:\n${server.log.slice(-2000)}`);
  return { ...result, idleCores, loadedCores: loaded?.() ?? Number.NaN };
}

/** Cores that a process used from this call to the call of what it returns. */
function cpuMeter(pid: number): () => number {
  const before = cpuSecondsOf(pid);
  const began = performance.now();
  return () => ((cpuSecondsOf(pid) - before) * 1000) / (performance.now() - began);
}

/** Lets a process of its own do the asking. Rejects with an Error when it ends before it has reported. */
export function runLoad(job: QueryLoadJob, onMeasuring: () => void): Promise<QueryLoadResult> {
  const child = fork(join(import.meta.dirname, 'query-load.ts'), [JSON.stringify(job)], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  let stderr = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-2000);
  });
  return new Promise<QueryLoadResult>((resolve, reject) => {
    child.on('message', (report) => {
      const told = report as QueryLoadReport;
      if (told.type === 'measuring') return onMeasuring();
      resolve(told.result);
      child.disconnect();
    });
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the load ended with ${code} before its time: ${stderr}`)));
  });
}

/** acquire and start, one pair after the other; each recording is gone before the next, while the first one goes on. */
async function measurePairs(client: RecordingClient, server: ServerProcess): Promise<number[]> {
  const eachMs: number[] = [];
  for (let n = 0; n < PAIRS; n++) {
    const recording = await record(client, server, String(9001 + n));
    eachMs.push(recording.tookMs);
    const stopped = await client.stop(recording.resourceId, recording.sid, CNAME, recording.uid, true);
    if (stopped.status !== 200) throw new Error(`stop answered ${stopped.status}: ${JSON.stringify(stopped.body)}`);
    await until('a stopped recording is gone', async () => (await ask(client, recording)).status === 404, 60_000);
  }
  return eachMs;
}

function queryFigures({ answers, wrong, spanS, p50Ms, p99Ms, maxMs, idleCores, loadedCores }: QueryCost): Figure[] {
  const perS = answers / spanS;
  const cores = `server ${loadedCores.toFixed(2)} cores, ${idleCores.toFixed(2)} without the queries`;
  const times = `p50 ${p50Ms.toFixed(1)}, p99 ${p99Ms.toFixed(1)}, longest ${maxMs.toFixed(0)} ms`;
  return [
    atLeast(
      'queries while a composite records',
      perS,
      2000,
      '/s',
      `${CONNECTIONS} connections, ${spanS.toFixed(0)} s; ${cores}`,
    ),
    atMost('query → answer, p99', p99Ms, 20, 'ms', times),
    atMost('queries not answered 200 with status 5', wrong, 0, '', `${answers} answers`),
  ];
}

/** @param firstMs the first pair of the server's life, which finds nothing warm; told beside the figure */
function pairFigure(eachMs: readonly number[], firstMs: number): Figure {
  const sorted = eachMs.toSorted((a, b) => a - b);
  /** By nearest rank. */
  const at = (share: number) => sorted[Math.ceil(sorted.length * share) - 1] as number;
  const detail = `${PAIRS} pairs; p50 ${at(0.5).toFixed(0)}, longest ${at(1).toFixed(0)} ms; the server's first ${firstMs.toFixed(0)} ms`;
  return atMost('acquire call → answer to start, p95', at(0.95), 150, 'ms', detail);
}
