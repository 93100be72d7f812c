/**
 * The child process of `stores.ts` that is measured: puts files into the sink, as this server does or as plain Node
 * streams do, and tells what that took.
 */
import { createReadStream } from 'node:fs';
import { Agent, request } from 'node:http';
import { basename, dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { FILES_AT_ONCE } from '../../src/stages/upload/recording-upload.ts';
import { openUpload, sliceOf } from './upload.ts';

export type Way = 'ours' | 'plain';
export type ClientJob = {
  way: Way;
  port: number;
  /** Files of this many bytes each, which all lie in the folder that they name. */
  paths: string[];
  bytes: number;
  /** How long a slice may take to come, so that they come one by one; 0 when all are there at once. */
  oneByOne: boolean;
};
export type ClientReply = {
  wallMs: number;
  cpuS: number;
  /** Resident memory before, and the most there was from then on. */
  beforeMb: number;
  mostMb: number;
};

const WATCH_MS = 50;

async function putPlain({ port, paths, bytes }: ClientJob): Promise<void> {
  const agent = new Agent({ keepAlive: true });
  const todo = [...paths];
  const lane = async () => {
    for (let path = todo.shift(); path !== undefined; path = todo.shift()) {
      const sent = request({
        agent,
        port,
        method: 'PUT',
        path: `/b/${basename(path)}`,
        headers: { 'content-length': bytes },
      });
      const answered = new Promise<void>((resolve, reject) => {
        sent.once('error', reject).once('response', (response) => {
          response.resume().once('end', () => (response.statusCode === 200 ? resolve() : reject(new Error('refused'))));
        });
      });
      await Promise.all([pipeline(createReadStream(path), sent), answered]);
    }
  };
  await Promise.all(Array.from({ length: FILES_AT_ONCE }, lane));
  agent.destroy();
}

async function putOurs({ port, paths, bytes, oneByOne }: ClientJob): Promise<void> {
  const stored = new Map<string, () => void>();
  const { upload, target } = await openUpload(port, {
    onEvent(event) {
      if (event.type === 'fileStored') stored.get(event.file.name)?.();
    },
  });
  for (const [index, path] of paths.entries()) {
    const name = basename(path);
    const done = oneByOne ? new Promise<void>((resolve) => stored.set(name, resolve)) : undefined;
    upload.add(sliceOf(name, index, bytes), dirname(path));
    await done;
  }
  const { lost } = await upload.finish();
  if (lost.length > 0) throw new Error(`${lost.length} files were lost`);
  target.close();
}

const rssMb = () => process.memoryUsage.rss() / 2 ** 20;

process.on('message', async (job: ClientJob) => {
  const beforeMb = rssMb();
  let mostMb = beforeMb;
  const watch = setInterval(() => {
    mostMb = Math.max(mostMb, rssMb());
  }, WATCH_MS);
  const [began, cpu] = [performance.now(), process.cpuUsage()];
  await (job.way === 'ours' ? putOurs(job) : putPlain(job));
  const { user, system } = process.cpuUsage(cpu);
  clearInterval(watch);
  process.send?.({
    ...{ wallMs: performance.now() - began, cpuS: (user + system) / 1e6 },
    ...{ beforeMb, mostMb },
  } satisfies ClientReply);
});
process.on('disconnect', () => process.exit(0));
