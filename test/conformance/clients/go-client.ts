/**
 * As the vendor's Go library: always sends some members empty or 0, prints 32-bit floats, takes 10 s with all tries,
 * and reads whole numbers, booleans and texts as nothing else (contract §8).
 */
import { decodeGo, type Shape } from '../decode.ts';
import { goFloat32, isObject, type Json, readJson, toPlain } from '../json-text.ts';
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
  type UidLists,
  Unreadable,
  type UpdateCall,
} from './calls.ts';
import { type Answered, basicAuth, exchange } from './exchange.ts';
import { realPause } from './pause.ts';

const TIMEOUT_MS = 10_000;
const TRIES = 3;

const HANDLE: Shape = { members: { cname: 'text', uid: 'text', resourceId: 'text', sid: 'text' } };
const REFUSAL: Shape = { members: { code: 'whole', reason: 'text' } };
export const GO_FILES: Shape = {
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

/** Whether the library sends the call again after this status. */
export function goTriesAgain(status: number): boolean {
  return status !== 200 && status !== 201 && (status < 400 || status > 498);
}

/** What the library says of every query in web mode, whatever the reply: a path in it selects nothing. */
export const GO_WEB_QUERY_FAILS = 'unknown service name';

/** Throws Unreadable where the library throws at the reply itself. */
export function readAsGo(
  endpoint: Endpoint,
  mode: Mode,
  { status, rawBody }: Pick<Answered, 'status' | 'rawBody'>,
): Outcome {
  if (goTriesAgain(status)) return { kind: 'lost', status };
  const json = parse(rawBody);
  const body = toPlain(json) as Record<string, unknown>;
  if (status !== 200) {
    // Without a code it takes the reply for one of the gateway, and hands over its bytes.
    if (!isObject(json) || !Object.hasOwn(json, 'code')) return { kind: 'refused', status, reason: rawBody };
    unmarshal(REFUSAL, json, 'the body');
    return { kind: 'refused', status, code: Number(body['code']), reason: String(body['reason'] ?? '') };
  }
  unmarshal(HANDLE, json, 'the body');
  if (endpoint !== 'query') return { kind: 'success', body };
  const response = isObject(json) ? json['serverResponse'] : undefined;
  return { kind: 'success', body, readAs: readServerResponse(mode, response) };
}

function readServerResponse(mode: Mode, response: Json | undefined): ReadAs {
  if (mode === 'web') throw new Unreadable(GO_WEB_QUERY_FAILS);
  const read = (shape: Shape, readAs: ReadAs): ReadAs => {
    if (response === undefined) throw new Unreadable('there is no serverResponse');
    unmarshal(shape, response, 'serverResponse');
    return readAs;
  };
  const listMode = isObject(response) ? response['fileListMode'] : undefined;
  if (mode === 'individual')
    return listMode === 'json'
      ? read(listed(GO_FILES), 'recording')
      : read({ members: { status: 'whole', sliceStartTime: 'long' } }, 'snapshot');
  if (listMode === undefined) return 'unknown';
  if (listMode === 'string') return read(listed('text'), 'hls');
  if (listMode === 'json') return read(listed(GO_FILES), 'hls and mp4');
  throw new Unreadable(`fileListMode ${JSON.stringify(listMode)} is not known`);
}

function parse(rawBody: string): Json {
  try {
    return readJson(rawBody);
  } catch {
    throw new Unreadable('the body is not JSON');
  }
}

function unmarshal(shape: Shape, json: Json, place: string): void {
  try {
    decodeGo(shape, json, place);
  } catch (error) {
    throw new Unreadable((error as Error).message);
  }
}

export class GoClient implements RecordingClient {
  readonly #options: ClientOptions;
  constructor(options: ClientOptions) {
    this.#options = options;
  }

  acquire({ cname, uid, mode, resourceExpiredHour }: AcquireCall): Promise<Outcome> {
    const clientRequest = { scene: mode === 'web' ? 1 : 0, ...given({ resourceExpiredHour }) };
    return this.#call('acquire', { mode }, { cname, uid, clientRequest });
  }

  start(call: StartCall): Promise<Outcome> {
    const { cname, uid, token, fileTypes, snapshotIntervalS, page } = call;
    const { prefix, withParams, ...storage } = call.storage;
    const clientRequest = {
      ...given({ token }),
      ...(call.mode !== 'web' && { recordingConfig: recordingOf(call) }),
      ...(fileTypes && { recordingFileConfig: { avFileType: fileTypes } }),
      ...(snapshotIntervalS && { snapshotConfig: { captureInterval: snapshotIntervalS, fileType: ['jpg'] } }),
      storageConfig: {
        ...storage,
        ...given({ fileNamePrefix: prefix }),
        // It has no way to leave one of the two out.
        ...(withParams && { extensionParams: { sse: '', tag: '' } }),
      },
      ...(page && { extensionServiceConfig: extensionsOf(page) }),
    };
    return this.#call('start', call, { cname, uid, clientRequest });
  }

  update(handle: Handle, { audio, video, onhold }: UpdateCall): Promise<Outcome> {
    const clientRequest =
      onhold !== undefined
        ? { webRecordingConfig: { onhold } }
        : {
            streamSubscribe: {
              ...(audio && { audioUidList: uidsOf('Audio', audio) }),
              ...(video && { videoUidList: uidsOf('Video', video) }),
            },
          };
    return this.#call('update', handle, { ...namesOf(handle), clientRequest });
  }

  updateLayout(handle: Handle, { layout = 0, backgroundColor, regions }: LayoutSpec): Promise<Outcome> {
    const clientRequest = {
      mixedVideoLayout: layout,
      ...given({ backgroundColor }),
      // Unlike that of start, this alpha cannot be left out, and is 0 unless set.
      ...(regions && { layoutConfig: toRegions(regions).map((region) => ({ ...region, alpha: 0 })) }),
    };
    return this.#call('updateLayout', handle, { ...namesOf(handle), clientRequest });
  }

  query(handle: Handle): Promise<Outcome> {
    return this.#call('query', handle);
  }

  stop(handle: Handle, asyncStop = false): Promise<Outcome> {
    return this.#call('stop', handle, { ...namesOf(handle), clientRequest: { async_stop: asyncStop } });
  }

  async #call(endpoint: Endpoint, handle: Partial<Handle> & { mode: Mode }, body?: object): Promise<Outcome> {
    const { baseUrl, appid, customerId, customerSecret, pause = realPause } = this.#options;
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    for (let tried = 1; ; tried++) {
      const answered = await exchange({
        method: endpoint === 'query' ? 'GET' : 'POST',
        url: `${baseUrl}${pathOf(appid, endpoint, handle)}`,
        headers: {
          authorization: basicAuth(customerId, customerSecret),
          'content-type': 'application/json;charset=utf-8',
        },
        signal,
        ...(body && { body: marshal(body) }),
      });
      if (!goTriesAgain(answered.status) || tried === TRIES) return readAsGo(endpoint, handle.mode, answered);
      await pause(1000 * tried);
    }
  }
}

const namesOf = ({ cname, uid }: Handle) => ({ cname, uid });

/** As json.Marshal prints: what could end a script element is escaped. */
function marshal(value: object): string {
  return JSON.stringify(value).replace(/[<>&]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

/** Members as `omitempty` leaves them. */
function given(members: Record<string, string | number | readonly unknown[] | undefined>): object {
  const empty = (value: unknown) => !value || (Array.isArray(value) && value.length === 0);
  return Object.fromEntries(Object.entries(members).filter(([, value]) => !empty(value)));
}

function recordingOf({ channelType = 0, uidGroup = 0, audio = {}, video = {}, canvas }: StartCall): object {
  return {
    channelType,
    streamTypes: 2,
    ...(canvas && { transcodingConfig: canvasOf(canvas) }),
    ...uidsOf('Audio', audio),
    ...uidsOf('Video', video),
    subscribeUidGroup: uidGroup,
  };
}

function canvasOf({ layout, regions, backgroundColor, ...size }: NonNullable<StartCall['canvas']>): object {
  return {
    ...given({ ...size, mixedVideoLayout: layout, backgroundColor }),
    ...(regions && { layoutConfig: toRegions(regions) }),
  };
}

function uidsOf(kind: 'Audio' | 'Video', { subscribe, unsubscribe }: UidLists): object {
  return given({ [`subscribe${kind}Uids`]: subscribe, [`unSubscribe${kind}Uids`]: unsubscribe });
}

function toRegions(regions: NonNullable<LayoutSpec['regions']>): object[] {
  return regions.map(({ uid = '', x, y, width, height, fit }) => ({
    uid,
    x_axis: goFloat32(x),
    y_axis: goFloat32(y),
    width: goFloat32(width),
    height: goFloat32(height),
    render_mode: fit ? 1 : 0,
  }));
}

function extensionsOf({ url, width, height, bitrate, maxHours, rtmpUrl }: NonNullable<StartCall['page']>): object {
  const page = {
    serviceName: 'web_recorder_service',
    errorHandlePolicy: 'error_abort',
    serviceParam: {
      url,
      ...given({ VideoBitrate: bitrate }),
      audioProfile: 0,
      videoWidth: width,
      videoHeight: height,
      maxRecordingHour: maxHours,
      onhold: false,
      readyTimeout: 0,
    },
  };
  const push = {
    serviceName: 'rtmp_publish_service',
    errorHandlePolicy: 'error_ignore',
    serviceParam: { outputs: [{ rtmpUrl }] },
  };
  return { errorHandlePolicy: 'error_abort', extensionServices: rtmpUrl ? [page, push] : [page] };
}
