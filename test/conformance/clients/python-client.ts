/**
 * As the vendor's Python library: 10 s for a call, a small letter in `unsubscribe…` with one of them misspelt, bodies
 * as json.dumps prints them. A reply's object becomes attributes; what lies deeper stays as it is (contract §8).
 */
import { isObject, type Json, readJson, toPlain } from '../json-text.ts';
import {
  type AcquireCall,
  type ClientOptions,
  type Endpoint,
  type Handle,
  type LayoutSpec,
  type Outcome,
  pathOf,
  type RecordingClient,
  type StartCall,
  Unreadable,
  type UpdateCall,
} from './calls.ts';
import { DOCUMENTED, layoutRequest, namesOf, type Spelling, startRequest, updateRequest } from './documented.ts';
import { type Answered, basicAuth, exchange } from './exchange.ts';
import { realPause } from './pause.ts';

const TIMEOUT_MS = 10_000;
const START_TRIES = 3;
const SPELLING: Spelling = {
  ...DOCUMENTED,
  unSubscribeAudioUids: 'unsubscribeAudioUids',
  unSubscribeVideoUids: 'unsunscribeVideoUids',
};

/** Throws Unreadable where the library throws at the reply itself. */
export function readAsPython(_endpoint: Endpoint, { status, rawBody }: Pick<Answered, 'status' | 'rawBody'>): Outcome {
  if (status === 200 || status === 201) {
    let json: Json;
    try {
      json = readJson(rawBody);
    } catch {
      throw new Unreadable('the body is not JSON');
    }
    if (!isObject(json)) throw new Unreadable('the body is no object, and has no attributes to give');
    return { kind: 'success', body: toPlain(json) as Record<string, unknown> };
  }
  // What cannot be read of an error is told as it stands.
  let members: Record<string, unknown> = {};
  try {
    const json = readJson(rawBody);
    if (isObject(json)) members = toPlain(json) as Record<string, unknown>;
  } catch {}
  const { code, reason } = members;
  return {
    kind: 'refused',
    status,
    reason: reason != null ? String(reason) : rawBody,
    ...(typeof code === 'number' && { code }),
  };
}

export class PythonClient implements RecordingClient {
  readonly #options: ClientOptions;
  constructor(options: ClientOptions) {
    this.#options = options;
  }

  acquire({ cname, uid, mode, resourceExpiredHour }: AcquireCall): Promise<Outcome> {
    const clientRequest = { scene: mode === 'web' ? 1 : 0, resourceExpiredHour };
    return this.#call('acquire', {}, { cname, uid, clientRequest });
  }

  async start(call: StartCall): Promise<Outcome> {
    const { cname, uid } = call;
    const clientRequest = {
      ...startRequest(call, SPELLING),
      // Its own default leaves an empty object wherever this is used.
      ...(call.mode === 'individual' && { transcodeOptions: { audio: {} } }),
    };
    const pause = this.#options.pause ?? realPause;
    let outcome: Outcome | undefined;
    for (let tried = 1; tried <= START_TRIES; tried++) {
      outcome = await this.#call('start', call, { cname, uid, clientRequest });
      if (outcome.kind === 'success' || (outcome.status >= 400 && outcome.status <= 409)) return outcome;
      // Also after the last.
      await pause(1000 * tried);
    }
    return outcome as Outcome;
  }

  update(handle: Handle, call: UpdateCall): Promise<Outcome> {
    const clientRequest = updateRequest(call, SPELLING);
    return this.#call('update', handle, { ...namesOf(handle), clientRequest });
  }

  updateLayout(handle: Handle, call: LayoutSpec): Promise<Outcome> {
    return this.#call('updateLayout', handle, { ...namesOf(handle), clientRequest: layoutRequest(call, SPELLING) });
  }

  query(handle: Handle): Promise<Outcome> {
    return this.#call('query', handle);
  }

  stop(handle: Handle, asyncStop = false): Promise<Outcome> {
    return this.#call('stop', handle, { ...namesOf(handle), clientRequest: { async_stop: asyncStop } });
  }

  async #call(endpoint: Endpoint, handle: Partial<Handle>, body?: object): Promise<Outcome> {
    const { baseUrl, appid, customerId, customerSecret } = this.#options;
    const answered = await exchange({
      method: endpoint === 'query' ? 'GET' : 'POST',
      url: `${baseUrl}${pathOf(appid, endpoint, handle)}`,
      headers: {
        authorization: basicAuth(customerId, customerSecret),
        accept: '*/*',
        ...(body && { 'content-type': 'application/json' }),
      },
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(body && { body: dumps(body) }),
    });
    return readAsPython(endpoint, answered);
  }
}

/** As json.dumps prints: a space after each comma and colon, nothing beyond ASCII. */
export function dumps(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(dumps).join(', ')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value).filter(([, member]) => member !== undefined);
    return `{${members.map(([name, member]) => `${dumps(name)}: ${dumps(member)}`).join(', ')}}`;
  }
  const toEscape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, toEscape);
}
