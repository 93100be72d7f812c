/**
 * As the vendor's Java library: the four bytes `null` as the body of GET, 32-bit floats, and a query reply whose inner
 * objects may have no member it does not know. Only statuses from 400 are errors to it (contract §8).
 */
import { decodeJackson, type Shape } from '../decode.ts';
import { isObject, type Json, javaFloat32, readJson, toPlain } from '../json-text.ts';
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
import { DOCUMENTED, layoutRequest, namesOf, type Spelling, startRequest, updateRequest } from './documented.ts';
import { type Answered, basicAuth, exchange } from './exchange.ts';

const SPELLING: Spelling = {
  ...DOCUMENTED,
  videoBitrate: 'VideoBitrate',
  extensionParams: { sse: '', tag: '' },
  fraction: javaFloat32,
  alpha: javaFloat32(1),
};

const HANDLE: Shape = { members: { cname: 'text', uid: 'text', resourceId: 'text', sid: 'text' } };
const FILES: Shape = {
  list: {
    members: {
      fileName: 'text',
      trackType: 'text',
      uid: 'text',
      mixedAllUser: 'flag',
      isPlayable: 'flag',
      sliceStartTime: 'long',
    },
  },
};
const listed = (fileList: Shape): Shape => ({
  members: { status: 'whole', fileListMode: 'text', fileList, sliceStartTime: 'long' },
});
const SNAPSHOT: Shape = { members: { status: 'whole', sliceStartTime: 'long' } };
const web = (payload: Record<string, Shape>): Shape => ({
  members: {
    status: 'whole',
    extensionServiceState: { list: { members: { payload: { members: payload }, serviceName: 'text' } } },
  },
});
const PAGE = web({
  fileList: { list: { members: { filename: 'text', sliceStartTime: 'long' } } },
  onhold: 'flag',
  state: 'text',
});
const PUSH = web({ state: 'text', outputs: { list: { members: { rtmpUrl: 'text', status: 'text' } } } });

/** Throws Unreadable where the library throws at the reply itself. */
export function readAsJava(
  endpoint: Endpoint,
  mode: Mode,
  { status, rawBody }: Pick<Answered, 'status' | 'rawBody'>,
): Outcome {
  if (status >= 400) return { kind: 'refused', status, reason: rawBody };
  let json: Json;
  try {
    json = readJson(rawBody);
    decodeJackson(HANDLE, json, { failOnUnknown: false });
  } catch (error) {
    throw new Unreadable((error as Error).message);
  }
  if (!isObject(json)) throw new Unreadable('the body is no object');
  const body = toPlain(json) as Record<string, unknown>;
  if (endpoint !== 'query') return { kind: 'success', body };
  if (!Object.hasOwn(json, 'serverResponse')) throw new Unreadable('there is no serverResponse');
  return { kind: 'success', body, readAs: readServerResponse(mode, json['serverResponse'] ?? null) };
}

function readServerResponse(mode: Mode, response: Json): ReadAs {
  const strictly = (shape: Shape, readAs: ReadAs): ReadAs => {
    try {
      decodeJackson(shape, response, { failOnUnknown: true }, 'serverResponse');
    } catch (error) {
      throw new Unreadable((error as Error).message);
    }
    return readAs;
  };
  const listMode = isObject(response) ? response['fileListMode'] : undefined;
  if (mode === 'individual')
    return listMode === 'json' ? strictly(listed(FILES), 'recording') : strictly(SNAPSHOT, 'snapshot');
  if (mode === 'web') {
    // Decided by the first element, for all of them.
    const states = isObject(response) ? response['extensionServiceState'] : undefined;
    const first = Array.isArray(states) ? states[0] : undefined;
    const name = isObject(first) ? first['serviceName'] : undefined;
    if (name === 'web_recorder_service') return strictly(PAGE, 'web');
    if (name === 'rtmp_publish_service') return strictly(PUSH, 'web');
    return 'unknown';
  }
  if (listMode === undefined) return 'unknown';
  if (listMode === 'string') return strictly(listed('text'), 'hls');
  if (listMode === 'json') return strictly(listed(FILES), 'hls and mp4');
  throw new Unreadable(`fileListMode ${JSON.stringify(listMode)} is not known`);
}

export class JavaClient implements RecordingClient {
  readonly #options: ClientOptions;
  constructor(options: ClientOptions) {
    this.#options = options;
  }

  acquire({ cname, uid, mode, resourceExpiredHour }: AcquireCall): Promise<Outcome> {
    const clientRequest = { scene: mode === 'web' ? 1 : 0, resourceExpiredHour };
    return this.#call('acquire', { mode }, { cname, uid, clientRequest });
  }

  start(call: StartCall): Promise<Outcome> {
    const { cname, uid } = call;
    const clientRequest = startRequest(call, SPELLING);
    return this.#call('start', call, { cname, uid, clientRequest });
  }

  update(handle: Handle, call: UpdateCall): Promise<Outcome> {
    const clientRequest = updateRequest(call, SPELLING);
    return this.#call('update', handle, { ...namesOf(handle), clientRequest });
  }

  updateLayout(handle: Handle, call: LayoutSpec): Promise<Outcome> {
    const clientRequest = { ...layoutRequest(call, SPELLING), mixedVideoLayout: call.layout ?? 0 };
    return this.#call('updateLayout', handle, { ...namesOf(handle), clientRequest });
  }

  query(handle: Handle): Promise<Outcome> {
    return this.#call('query', handle, null);
  }

  stop(handle: Handle, asyncStop = false): Promise<Outcome> {
    return this.#call('stop', handle, { ...namesOf(handle), clientRequest: { async_stop: asyncStop } });
  }

  async #call(endpoint: Endpoint, handle: Partial<Handle> & { mode: Mode }, body: object | null): Promise<Outcome> {
    const { baseUrl, appid, customerId, customerSecret } = this.#options;
    const answered = await exchange({
      method: endpoint === 'query' ? 'GET' : 'POST',
      url: `${baseUrl}${pathOf(appid, endpoint, handle)}`,
      headers: { authorization: basicAuth(customerId, customerSecret), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return readAsJava(endpoint, handle.mode, answered);
  }
}
