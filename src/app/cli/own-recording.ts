/** OwnRecording: calls about one recording of a server that runs, for the commands that have it make files. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { z } from 'zod';
import { AircheckError } from '../../client/index.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { type Access, type AccessWords, nextStep, openAccess } from './everyday/access.ts';
import { ask, authorizationOf, ownConfig, ownUrl } from './own-server.ts';
import { isAwayStatus, Patience } from './patience.ts';

/** As of newSid. */
const SID = /^[0-9a-f]{32}$/;
/** A node of a fleet hands over no more at once of what lies on another one. */
const PIECE_BYTES = 16_000_000;
/** A look at how far something is takes milliseconds; a server that takes so long for it does not answer. */
const LOOK_LIMIT_MS = 10_000;

export function isSid(text: string): boolean {
  return SID.test(text);
}

export type OwnRecording = {
  startedMs: number;
  patience: Patience;
  ask(method: string, path: string, init?: Pick<RequestInit, 'headers' | 'signal'>, body?: object): Promise<Response>;
  /** The body of a good answer. Throws a Fault with what the server says. */
  call(method: string, path: string, body?: object): Promise<unknown>;
  /**
   * The body of the answer to a GET, undefined where there is no such thing (any more): asked again while the server
   * does not answer. Throws a Fault with what it says, and the signal's reason.
   */
  look(path: string, signal: AbortSignal): Promise<unknown>;
  /** Has the server forget something. Rejects when it cannot be told within ten seconds. */
  forget(path: string): Promise<unknown>;
};

/**
 * The server's calls about a recording: of one that is named, as the customer that is named; else of the server of
 * these settings, as a customer who may use the recording's app.
 * @param code of the Faults that it throws: when no app has the recording, or the server refuses
 */
export async function ownRecording(sid: string, words: AccessWords, code: string): Promise<OwnRecording> {
  const refuse = (said: string) => new Fault(code, said, { blame: 'caller' });
  const patience = new Patience();
  for (const { url, appid, customer } of placesOf(words, refuse)) {
    const authorization = authorizationOf(customer);
    const base = `${url}/v1/apps/${appid}/aircheck/recordings/${sid}`;
    const asked: OwnRecording['ask'] = (method, path, { headers, signal = null } = {}, body) =>
      ask(
        `${base}${path}`,
        {
          ...{ method, signal, headers: { authorization, 'content-type': 'application/json', ...headers } },
          ...(body && { body: JSON.stringify(body) }),
        },
        patience.fetch,
      );
    const found = await asked('GET', '');
    if (found.status === 404) continue;
    if (!found.ok) throw await refusalOf(found, code);
    const { startedMs } = z.object({ startedMs: z.number() }).parse(await found.json());
    return {
      ...{ startedMs, patience, ask: asked },
      async call(method, path, body) {
        const answer = await asked(method, path, {}, body);
        if (!answer.ok) throw await refusalOf(answer, code);
        return answer.json();
      },
      forget: (path) => asked('DELETE', path, { signal: AbortSignal.timeout(LOOK_LIMIT_MS) }),
      look: (path, signal) =>
        patience.keepAsking(async () => {
          const limit = AbortSignal.any([signal, AbortSignal.timeout(LOOK_LIMIT_MS)]);
          const answer = await asked('GET', path, { signal: limit });
          if (answer.status === 404) return undefined;
          if (!answer.ok) throw await refusalOf(answer, code);
          return answer.json().catch((cause: unknown) => {
            const words = `the answer of the server broke off: ${messageOf(cause)}`;
            throw new Fault(code, words, { blame: 'self', retryable: true, cause });
          });
        }, signal),
    };
  }
  const ofApp = words.app === undefined ? '' : ` of app ${words.app}`;
  throw refuse(`the server knows no recording ${sid}${ofApp}; \`aircheck recordings\` lists those that there are`);
}

type Place = Pick<Access, 'url' | 'appid' | 'customer'>;
function placesOf(words: AccessWords, refuse: (said: string) => Fault): Place[] {
  if (words.server !== undefined || words.customer !== undefined) return [openAccess(words)];
  const config = ownConfig();
  const apps = config.apps.filter(({ appid }) => words.app === undefined || appid === words.app);
  if (apps.length === 0)
    throw refuse(
      `--app ${words.app}: the settings have no such App ID; they have ${config.apps.map(({ appid }) => appid).join(', ')}`,
    );
  return apps.flatMap(({ appid }) => {
    const customer = config.customers.find((each) => each.apps === undefined || each.apps.includes(appid));
    return customer ? [{ url: ownUrl(config), appid, customer }] : [];
  });
}

/**
 * Brings a file of so many bytes, and goes on where it was when the server did not answer for a while. Resolves to
 * false where the server does not have it any more. Throws a Fault, also where it cannot be written, and the signal's
 * reason.
 */
export async function bring(
  { ask: asked, patience }: Pick<OwnRecording, 'ask' | 'patience'>,
  path: string,
  { to, bytes, code, signal }: { to: string; bytes: number; code: string; signal: AbortSignal },
): Promise<boolean> {
  const fail = (cause: unknown, retryable = false) =>
    new Fault(code, `the MP4 could not be brought here: ${messageOf(cause)}`, { blame: 'caller', retryable, cause });
  try {
    await using file = await open(to, 'w');
    for (let at = 0; at < bytes; at += PIECE_BYTES) {
      signal.throwIfAborted();
      const range = `bytes=${at}-${Math.min(bytes, at + PIECE_BYTES) - 1}`;
      const piece = await patience.keepAsking(async () => {
        const answer = await asked('GET', path, { headers: { range }, signal });
        if (answer.status === 404) return undefined;
        if (!answer.ok) throw await refusalOf(answer, code);
        return answer.arrayBuffer().catch((cause: unknown) => {
          throw fail(cause, true);
        });
      }, signal);
      if (piece === undefined) return false;
      await file.appendFile(Buffer.from(piece));
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw cause instanceof Fault ? cause : fail(cause);
  }
  const has = statSync(to).size;
  if (has !== bytes) throw new Fault(code, `the server sent ${has} bytes instead of ${bytes}`, { blame: 'self' });
  return true;
}

/** Does work with a signal that Ctrl-C, or `kill`, aborts: what was begun is called off and cleared away then. */
export async function untilEnded<T>(
  refuse: (words: string) => Fault,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const off = new AbortController();
  const end = (signal: NodeJS.Signals) => off.abort(refuse(`ended by ${signal}; it is called off`));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  try {
    return await work(off.signal);
  } finally {
    process.off('SIGINT', end);
    process.off('SIGTERM', end);
  }
}

/** Throws a Fault when no MP4 can be written there, or something would be lost. */
export function checkOutput(output: string | undefined, force: boolean, code: string): void {
  const refuse = (words: string) => new Fault(code, words, { blame: 'caller' });
  if (output === undefined) return;
  if (!/.\.mp4$/i.test(basename(output))) throw refuse(`--output ${output}: the name must end in .mp4`);
  if (!existsSync(dirname(output))) throw refuse(`--output ${output}: there is no folder ${dirname(output)}`);
  if (existsSync(output) && (!force || statSync(output).isDirectory()))
    throw refuse(`${output} exists already${force ? ' and is a folder' : '; --force replaces it'}`);
}

/** The keys of a store, from JSON or a file that holds it. Throws a Fault. */
export function readKeys(given: string | undefined, code: string): unknown {
  if (given === undefined) return undefined;
  const isFile = !/^\s*\{/.test(given);
  try {
    return JSON.parse(isFile ? readFileSync(given, 'utf8') : given);
  } catch (error) {
    throw new Fault(
      code,
      `--keys is to be JSON with accessKey and secretKey, or a file that holds it: ${messageOf(error)}`,
      { blame: 'caller' },
    );
  }
}

const answerSchema = z.object({ code: z.number(), reason: z.string(), message: z.string() }).partial().catch({});

async function refusalOf(answer: Response, code: string): Promise<Fault> {
  return new Fault(code, await saidOf(answer), { blame: 'caller', retryable: isAwayStatus(answer.status) });
}

/** What a refusal says, and what to do next. */
async function saidOf(answer: Response): Promise<string> {
  const { status } = answer;
  const text = await answer.text();
  const { code, reason, message } = answerSchema.parse(jsonOf(text));
  const said = reason ?? message ?? `the server answered ${status}: ${text.slice(0, 200)}`;
  const next = nextStep(new AircheckError('the server', said, { status, code, attempts: 1 }));
  return next === undefined ? said : `${said}.\n  ${next}`;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
