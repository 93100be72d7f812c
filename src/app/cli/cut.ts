/**
 * `aircheck cut`: a stretch of a recording as an MP4, made by the server that runs and brought here.
 */
import { createWriteStream, existsSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { z } from 'zod';
import { type CutReply, cutReplySchema } from '../../contract/rest/cut.ts';
import { pauseCommand, systemClock } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { readMoment } from './cut-moment.ts';
import { ask, authorizationOf, ownConfig, ownUrl } from './own-server.ts';
import { Progress } from './progress.ts';

export type CutWords = {
  from: string;
  to: string;
  uid?: string;
  app?: string;
  keys?: string;
  output?: string;
  force?: boolean;
  quiet?: boolean;
  json?: boolean;
};

/** As of newSid. */
const SID = /^[0-9a-f]{32}$/;
const LOOK_MS = 500;
/** A node of a fleet hands over no more at once of what lies on another one. */
const PIECE_BYTES = 16_000_000;

/** Makes the MP4 and prints its path. Throws a Fault; no half file is left then. */
export async function cut(sid: string, words: CutWords): Promise<void> {
  if (!SID.test(sid)) throw refuse(`"${sid}" is not the sid of a recording: that is 32 hexadecimal characters`);
  checkOutput(words.output, words.force);
  const keys = words.keys === undefined ? undefined : readKeys(words.keys);
  const server = await serverOf(sid, words.app);
  const [from, to] = [words.from, words.to].map((text, n) =>
    readMoment(n === 0 ? '--from' : '--to', text, server.startedMs),
  );
  let reply = await server.call('POST', '/cuts', { from, to, uid: words.uid, keys });
  const path = `/cuts/${reply.cutId}`;
  const progress = words.quiet ? undefined : new Progress(systemClock, process.stderr, reply.to - reply.from);
  const output = words.output ?? `${sid}_${reply.from}-${reply.to}.mp4`;
  const part = join(dirname(output), `.${basename(output)}.part`);
  try {
    checkOutput(output, words.force);
    while (reply.state === 'queued' || reply.state === 'running') {
      await pauseCommand(LOOK_MS);
      reply = await server.call('GET', path);
      progress?.show(reply.progress * (reply.to - reply.from));
    }
    if (reply.state === 'failed') throw refuse(`the cut failed: ${reply.error}`);
    await bring(server, `${path}/file`, part, reply.bytes ?? 0);
    renameSync(part, output);
  } catch (error) {
    rmSync(part, { force: true });
    throw error;
  } finally {
    progress?.end();
    // The server would keep it for an hour.
    await server.ask('DELETE', path).catch(() => undefined);
  }
  if (words.json) process.stdout.write(`${JSON.stringify({ ...reply, file: output }, null, 2)}\n`);
  else process.stdout.write(`${output}\n`);
}

type Server = {
  startedMs: number;
  ask(method: string, path: string, body?: object, headers?: Record<string, string>): Promise<Response>;
  call(method: string, path: string, body?: object): Promise<CutReply>;
};

/** The server's calls about this recording, as a customer who may use its app. Throws a Fault when no app has it. */
async function serverOf(sid: string, app: string | undefined): Promise<Server> {
  const config = ownConfig();
  const apps = config.apps.filter(({ appid }) => app === undefined || appid === app);
  if (apps.length === 0) throw refuse(`--app ${app}: the settings have no such App ID`);
  for (const { appid } of apps) {
    const customer = config.customers.find((each) => each.apps === undefined || each.apps.includes(appid));
    if (!customer) continue;
    const authorization = authorizationOf(customer);
    const base = `${ownUrl(config)}/v1/apps/${appid}/aircheck/recordings/${sid}`;
    const asked: Server['ask'] = (method, path, body, headers = {}) =>
      ask(`${base}${path}`, {
        ...{ method, headers: { authorization, 'content-type': 'application/json', ...headers } },
        ...(body && { body: JSON.stringify(body) }),
      });
    const found = await asked('GET', '');
    if (found.status === 404) continue;
    if (!found.ok) throw await refusedWith(found);
    const { startedMs } = z.object({ startedMs: z.number() }).parse(await found.json());
    return {
      startedMs,
      ask: asked,
      async call(method, path, body) {
        const answer = await asked(method, path, body);
        if (!answer.ok) throw await refusedWith(answer);
        return cutReplySchema.parse(await answer.json());
      },
    };
  }
  throw refuse(`the server knows no recording ${sid}${app === undefined ? '' : ` of app ${app}`}`);
}

async function refusedWith(answer: Response): Promise<Fault> {
  const text = await answer.text();
  const parsed = z.object({ reason: z.string() }).safeParse(jsonOf(text));
  return refuse(parsed.success ? parsed.data.reason : `the server answered ${answer.status}: ${text.slice(0, 200)}`);
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function bring({ ask: asked }: Server, path: string, to: string, bytes: number): Promise<void> {
  const file = createWriteStream(to, { flags: 'w' });
  try {
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      const range = `bytes=${at}-${Math.min(bytes, at + PIECE_BYTES) - 1}`;
      const answer = await asked('GET', path, undefined, { range });
      if (!answer.ok) throw await refusedWith(answer);
      const piece = Buffer.from(await answer.arrayBuffer());
      await new Promise<void>((resolve, reject) => file.write(piece, (error) => (error ? reject(error) : resolve())));
    }
  } finally {
    file.end();
  }
  await finished(file);
  const has = statSync(to).size;
  if (has !== bytes) throw refuse(`the server sent ${has} bytes instead of ${bytes}`);
}

function checkOutput(output: string | undefined, force = false): void {
  if (output === undefined) return;
  if (!/.\.mp4$/i.test(basename(output))) throw refuse(`--output ${output}: the name must end in .mp4`);
  if (!existsSync(dirname(output))) throw refuse(`--output ${output}: there is no folder ${dirname(output)}`);
  if (existsSync(output) && (!force || statSync(output).isDirectory()))
    throw refuse(`${output} exists already${force ? ' and is a folder' : '; --force replaces it'}`);
}

function readKeys(given: string): unknown {
  const isFile = !/^\s*\{/.test(given);
  try {
    return JSON.parse(isFile ? readFileSync(given, 'utf8') : given);
  } catch (error) {
    throw refuse(`--keys is to be JSON with accessKey and secretKey, or a file that holds it: ${messageOf(error)}`);
  }
}

function refuse(words: string): Fault {
  return new Fault('cut-refused', words, { blame: 'caller' });
}
