/**
 * As the vendor's Node library: documented names, a JSON content type also with GET, 5 s for a call and 10 s for the
 * stop of a web page. Types are compile-time only, so it trips over little (contract §8).
 */
import { isObject, readJson, toPlain } from '../json-text.ts';
import {
  type AcquireCall,
  type ClientOptions,
  type Endpoint,
  type Handle,
  type LayoutSpec,
  type Mode,
  type Outcome,
  pathOf,
  type ReadAs,
  type RecordingClient,
  type StartCall,
  Unreadable,
  type UpdateCall,
} from './calls.ts';
import { DOCUMENTED, layoutRequest, namesOf, startRequest, updateRequest } from './documented.ts';
import { type Answered, basicAuth, exchange } from './exchange.ts';
import { realPause } from './pause.ts';

const TIMEOUT_MS = 5000;
const WEB_STOP_TIMEOUT_MS = 10_000;
const START_TRIES = 3;

/** Throws Unreadable where the library throws at the reply itself. */
export function readAsNode(
  endpoint: Endpoint,
  mode: Mode,
  { status, rawBody }: Pick<Answered, 'status' | 'rawBody'>,
): Outcome {
  let json: ReturnType<typeof readJson>;
  try {
    json = readJson(rawBody);
  } catch {
    throw new Unreadable('the body is not JSON');
  }
  const body = toPlain(json) as Record<string, unknown>;
  // acquire never looks at the status.
  const good =
    endpoint === 'acquire' ||
    status === 200 ||
    (endpoint === 'start' && status === 201) ||
    (endpoint === 'stop' && status >= 200 && status < 300);
  if (!good) {
    // Only a start refused beyond 409 loses its body: it is tried again.
    if (endpoint === 'start' && (status < 400 || status > 409)) return { kind: 'lost', status };
    const { code, reason, message } = isObject(json) ? body : {};
    const words = typeof reason === 'string' ? reason : typeof message === 'string' ? message : rawBody;
    return { kind: 'refused', status, reason: words, ...(typeof code === 'number' && { code }) };
  }
  if (endpoint !== 'query') return { kind: 'success', body };
  if (json === null) throw new Unreadable('null has no serverResponse');
  const { fileListMode } = (body['serverResponse'] ?? {}) as { fileListMode?: unknown };
  return { kind: 'success', body, readAs: readAsOf(mode, fileListMode) };
}

function readAsOf(mode: Mode, fileListMode: unknown): ReadAs {
  if (mode === 'web') return 'web';
  if (mode === 'individual') return fileListMode === 'json' ? 'recording' : 'snapshot';
  if (!fileListMode) return 'unknown';
  if (fileListMode === 'string') return 'hls';
  if (fileListMode === 'json') return 'hls and mp4';
  throw new Unreadable(`fileListMode ${JSON.stringify(fileListMode)} is not known`);
}

export class NodeClient implements RecordingClient {
  readonly #options: ClientOptions;
  constructor(options: ClientOptions) {
    this.#options = options;
  }

  acquire({ cname, uid, mode, resourceExpiredHour }: AcquireCall): Promise<Outcome> {
    const clientRequest = { scene: mode === 'web' ? 1 : 0, resourceExpiredHour };
    return this.#call('acquire', { mode }, { cname, uid, clientRequest });
  }

  async start(call: StartCall): Promise<Outcome> {
    const { cname, uid } = call;
    const clientRequest = startRequest(call, DOCUMENTED);
    const pause = this.#options.pause ?? realPause;
    let outcome: Outcome;
    for (let tried = 1; ; tried++) {
      outcome = await this.#call('start', call, { cname, uid, clientRequest });
      if (outcome.kind !== 'lost' || tried === START_TRIES) return outcome;
      await pause(1000 * tried);
    }
  }

  update(handle: Handle, call: UpdateCall): Promise<Outcome> {
    const clientRequest = updateRequest(call, DOCUMENTED);
    return this.#call('update', handle, { ...namesOf(handle), clientRequest });
  }

  updateLayout(handle: Handle, call: LayoutSpec): Promise<Outcome> {
    return this.#call('updateLayout', handle, { ...namesOf(handle), clientRequest: layoutRequest(call, DOCUMENTED) });
  }

  query(handle: Handle): Promise<Outcome> {
    return this.#call('query', handle);
  }

  stop(handle: Handle, asyncStop?: boolean): Promise<Outcome> {
    return this.#call('stop', handle, { ...namesOf(handle), clientRequest: { async_stop: asyncStop } });
  }

  async #call(endpoint: Endpoint, handle: Partial<Handle> & { mode: Mode }, body?: object): Promise<Outcome> {
    const { baseUrl, appid, customerId, customerSecret } = this.#options;
    const web = endpoint === 'stop' && handle.mode === 'web';
    const answered = await exchange({
      method: endpoint === 'query' ? 'GET' : 'POST',
      url: `${baseUrl}${pathOf(appid, endpoint, handle)}`,
      headers: { authorization: basicAuth(customerId, customerSecret), 'content-type': 'application/json' },
      signal: AbortSignal.timeout(web ? WEB_STOP_TIMEOUT_MS : TIMEOUT_MS),
      ...(body && { body: JSON.stringify(body) }),
    });
    return readAsNode(endpoint, handle.mode, answered);
  }
}
