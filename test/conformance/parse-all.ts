/**
 * Runs one reply through everything that is known to read such replies, and says in words who could not. Failures that
 * the contract knows to be the reader's own, whatever a server sends, are told apart.
 */
import { MiddlewareFailure, readAsFlatServer, readAsMiddleware, readAsRecordingGolang } from './clients/apps.ts';
import { type Endpoint, type Mode, type Outcome, type ReadAs, Unreadable } from './clients/calls.ts';
import { GO_WEB_QUERY_FAILS, readAsGo } from './clients/go-client.ts';
import { readAsJava } from './clients/java-client.ts';
import { readAsNode } from './clients/node-client.ts';
import { readAsPython } from './clients/python-client.ts';
import { isObject, type Json, kindOf, NumberText, readJson } from './json-text.ts';

export type Verdict = {
  /** Who could not read it, and why. A server that keeps the contract has none. */
  failures: string[];
  /** Who cannot read such a reply of anybody, and why. */
  expected: string[];
};

type Reader = { name: string; read(): Outcome };

/**
 * @param snapshot whether the recording takes snapshots, which have no list of files
 * @param headers names in small letters
 */
export function parseWithAll(
  endpoint: Endpoint,
  mode: Mode,
  snapshot: boolean,
  status: number,
  rawBody: string,
  headers: Record<string, unknown>,
): Verdict {
  const reply = { status, rawBody };
  const readers: Reader[] = [
    { name: 'Node', read: () => readAsNode(endpoint, mode, reply) },
    { name: 'Python', read: () => readAsPython(endpoint, reply) },
    { name: 'Java', read: () => readAsJava(endpoint, mode, reply) },
    { name: 'Go', read: () => readAsGo(endpoint, mode, reply) },
    { name: 'agora-go-backend-middleware', read: () => readAsMiddleware(endpoint, mode, snapshot, reply) },
    { name: 'Cloud-Recording-Golang', read: () => readAsRecordingGolang(endpoint, reply) },
    { name: 'flat-server', read: () => readAsFlatServer(endpoint, reply) },
  ];
  const verdict: Verdict = { failures: [], expected: [] };
  for (const { name, read } of readers) {
    try {
      for (const why of flawsOf(read(), endpoint, mode, snapshot, status)) verdict.failures.push(`${name}: ${why}`);
    } catch (error) {
      if (!(error instanceof Unreadable)) throw error;
      const known = isKnown(name, error, endpoint, mode, reply);
      verdict[known ? 'expected' : 'failures'].push(`${name}: ${error.message}`);
    }
  }
  verdict.failures.push(...flawsOfAll(status, rawBody, headers));
  return verdict;
}

/** What a library returned without an error, and its caller could not use. */
function flawsOf(outcome: Outcome, endpoint: Endpoint, mode: Mode, snapshot: boolean, status: number): string[] {
  if (outcome.kind !== 'success') return [];
  const { body, readAs } = outcome;
  const flaws: string[] = [];
  // A start told twice is a success to two of them, which look for the sid in it.
  const names = endpoint === 'acquire' ? ['resourceId'] : ['resourceId', 'sid'];
  if (status === 200 || (endpoint === 'start' && status === 201))
    for (const name of names)
      if (typeof body[name] !== 'string' || body[name] === '') flaws.push(`a success without ${name}`);
  if (readAs !== undefined && !wanted(mode, snapshot).includes(readAs))
    flaws.push(`a query of ${mode} mode${snapshot ? ' with snapshots' : ''} taken for ${readAs}`);
  return flaws;
}

function wanted(mode: Mode, snapshot: boolean): ReadAs[] {
  if (mode === 'web') return ['web'];
  if (mode === 'mix') return ['hls', 'hls and mp4'];
  return [snapshot ? 'snapshot' : 'recording'];
}

/** Failures that no server can spare a reader (contract §6.21, §8.2). */
function isKnown(
  name: string,
  error: Unreadable,
  endpoint: Endpoint,
  mode: Mode,
  { status, rawBody }: { status: number; rawBody: string },
): boolean {
  if (error instanceof MiddlewareFailure) return error.known !== undefined;
  if (endpoint !== 'query') return false;
  if (name === 'Go') return mode === 'web' && error.message === GO_WEB_QUERY_FAILS;
  if (name !== 'Java') return false;
  // It takes 206 for a success, and looks for what only a success has.
  if (status === 206) return error.message === 'there is no serverResponse';
  return mode === 'web' && error.message === JAVA_FAILS_AT_PUSH && servicesOf(rawBody).every(isReadableAlone);
}

/** Java reads all services by the kind of the first, so that a push beside a page is always one too many. */
const JAVA_FAILS_AT_PUSH =
  'the member outputs is not known to Java, at serverResponse.extensionServiceState[1].payload';

function servicesOf(rawBody: string): Json[] {
  const json = readJson(rawBody);
  const response = isObject(json) ? json['serverResponse'] : undefined;
  const states = isObject(response) ? response['extensionServiceState'] : undefined;
  return Array.isArray(states) ? states : [];
}

function isReadableAlone(service: Json): boolean {
  try {
    const rawBody = JSON.stringify({ serverResponse: { extensionServiceState: [service] } });
    return readAsJava('query', 'web', { status: 200, rawBody }).kind === 'success';
  } catch {
    return false;
  }
}

/** What all readers need, or the contract asks of every reply. */
function flawsOfAll(status: number, rawBody: string, headers: Record<string, unknown>): string[] {
  const flaws: string[] = [];
  if (!headers['x-request-id']) flaws.push('all: no X-Request-Id');
  if (!/^application\/json\b/i.test(String(headers['content-type'] ?? '')))
    flaws.push('all: the content type is not JSON');
  if (status === 200) return flaws;
  let json: Json;
  try {
    json = readJson(rawBody);
  } catch {
    // Each reader has said so.
    return flaws;
  }
  // 206 and 5xx are not parsed by Go, which is no licence to send them without a code.
  const { code, reason, message } = isObject(json) ? json : {};
  if (code === undefined)
    return typeof message === 'string' ? flaws : [...flaws, 'all: an error with neither code nor message'];
  // 206 and 5xx are not parsed by Go, which is no licence to send them with another code.
  if (!(code instanceof NumberText) || !/^\d+$/.test(code.source))
    flaws.push(`all: ${kindOf(code)} as code of an error`);
  if (typeof reason !== 'string' || reason === '') flaws.push('all: an error with a code and no reason');
  return flaws;
}
