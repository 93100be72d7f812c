/**
 * Three public programs that call the API without a client library: what each reads of a reply (contract §6.26, §8.2).
 * And the rule by which one of them takes a webhook (§6.27).
 */
import { createHmac, timingSafeEqual } from 'node:crypto';
import { decodeGo, type Shape } from '../decode.ts';
import { isObject, type Json, type JsonObject, readJson, toPlain } from '../json-text.ts';
import { type Endpoint, type Mode, type Outcome, Unreadable } from './calls.ts';
import type { Answered } from './exchange.ts';
import { GO_FILES } from './go-client.ts';

type Bytes = Pick<Answered, 'status' | 'rawBody'>;

/** Its type of a web state: one object, where the contract has an array, and `playload`. */
const STATE: Shape = { members: { playload: 'any', serviceName: 'text' } };
const ACTIVE: Shape = {
  members: {
    cname: 'text',
    uid: 'text',
    resourceId: 'text',
    sid: 'text',
    serverResponse: {
      members: { extensionServiceState: STATE, uploadingStatus: 'text', fileListMode: 'text', fileList: 'any' },
    },
  },
};
const HANDLE: Shape = { members: { cname: 'text', uid: 'text', resourceId: 'text', sid: 'text' } };

export const MIDDLEWARE_KNOWN_FAILURES = {
  web: 'it wants one object for extensionServiceState, which is an array by the contract',
  string: 'it wants an array for fileList although fileListMode is "string"',
  snapshot: 'it wants a fileList also of recordings that have none by the contract',
} as const;

/** agora-go-backend-middleware. `known` is set when it fails for a reason of its own. */
export class MiddlewareFailure extends Unreadable {
  readonly known: keyof typeof MIDDLEWARE_KNOWN_FAILURES | undefined;
  constructor(message: string, known?: keyof typeof MIDDLEWARE_KNOWN_FAILURES) {
    super(known ? `${MIDDLEWARE_KNOWN_FAILURES[known]} (${message})` : message);
    this.known = known;
  }
}

/** agora-go-backend-middleware: every status but 200 is a failure, and query and stop must have a list of files. */
export function readAsMiddleware(
  endpoint: Endpoint,
  mode: Mode,
  snapshot: boolean,
  { status, rawBody }: Bytes,
): Outcome {
  if (status !== 200) return { kind: 'refused', status, reason: rawBody };
  const json = parse(rawBody);
  const body = toPlain(json) as Record<string, unknown>;
  const listing = endpoint === 'query' || endpoint === 'stop';
  try {
    decodeGo(listing ? ACTIVE : HANDLE, json);
  } catch (error) {
    const { message } = error as Error;
    const states = serverResponseOf(json)['extensionServiceState'];
    throw new MiddlewareFailure(message, listing && mode === 'web' && Array.isArray(states) ? 'web' : undefined);
  }
  if (listing) readMiddlewareFiles(serverResponseOf(json), snapshot);
  return { kind: 'success', body };
}

function readMiddlewareFiles({ fileListMode, fileList }: JsonObject, snapshot: boolean): void {
  if (fileListMode == null || fileList == null)
    throw new MiddlewareFailure('there is no fileListMode or no fileList', snapshot ? 'snapshot' : undefined);
  if (fileListMode !== 'string' && fileListMode !== 'json')
    throw new MiddlewareFailure(`fileListMode ${JSON.stringify(fileListMode)} is not known`);
  try {
    const detail: Shape = { list: { members: { filename: 'text', sliceStartTime: 'long' } } };
    decodeGo(fileListMode === 'json' ? GO_FILES : detail, fileList, 'serverResponse.fileList');
  } catch (error) {
    const known = fileListMode === 'string' && typeof fileList === 'string' ? 'string' : undefined;
    throw new MiddlewareFailure((error as Error).message, known);
  }
}

/**
 * Cloud-Recording-Golang: decodes acquire, start and update, whatever their status, into map[string]string and uses
 * resourceId and sid; of stop it uses nothing.
 */
export function readAsRecordingGolang(endpoint: Endpoint, { status, rawBody }: Bytes): Outcome {
  const json = parse(rawBody);
  const body = toPlain(json) as Record<string, unknown>;
  if (status !== 200) return { kind: 'refused', status, reason: rawBody };
  const query: Shape = { members: { serverResponse: { members: { status: 'whole', sliceStartTime: 'long' } } } };
  const shape: Shape = endpoint === 'query' ? query : endpoint === 'stop' ? 'any' : { values: 'text' };
  try {
    decodeGo(shape, json);
  } catch (error) {
    throw new Unreadable((error as Error).message);
  }
  return { kind: 'success', body };
}

/** flat-server: any status from 200 to 299 is a success; it uses resourceId of acquire and sid of start. */
export function readAsFlatServer(endpoint: Endpoint, { status, rawBody }: Bytes): Outcome {
  if (status < 200 || status > 299) return { kind: 'refused', status, reason: rawBody };
  const json = parse(rawBody);
  const used = endpoint === 'acquire' ? 'resourceId' : endpoint === 'start' && status <= 201 ? 'sid' : undefined;
  const value = isObject(json) && used ? json[used] : undefined;
  if (used && (typeof value !== 'string' || value === '')) throw new Unreadable(`there is no ${used}`);
  return { kind: 'success', body: toPlain(json) as Record<string, unknown> };
}

export type FlatServerNotice = {
  noticeId: string;
  productId: number;
  eventType: number;
  notifyMs: number;
  payload: {
    cname: string;
    uid: string;
    sid: string;
    sequence: number;
    sendts: number;
    serviceType: number;
    details: object;
  };
};

/**
 * As flat-server takes a webhook: it signs what JSON.stringify makes of the parsed body, not the bytes, and has a
 * schema (contract §6.27). Throws Unreadable.
 *
 * @param signatureV2 the header Agora-Signature-V2: hexadecimal HMAC-SHA256
 */
export function parseFlatServerWebhook(body: string, secret: string, signatureV2: string): FlatServerNotice {
  const notice = toPlain(parse(body)) as Record<string, unknown>;
  const wanted = createHmac('sha256', secret).update(JSON.stringify(notice)).digest();
  const given = Buffer.from(signatureV2, 'hex');
  if (given.length !== wanted.length || !timingSafeEqual(given, wanted))
    throw new Unreadable('the signature is not that of the body as JSON.stringify prints it');
  const payload = objectIn(notice, 'payload');
  for (const name of ['productId', 'eventType', 'notifyMs']) wholeIn(notice, name);
  for (const name of ['sendts', 'sequence', 'serviceType']) wholeIn(payload, name);
  for (const name of ['cname', 'uid', 'sid']) textIn(payload, name);
  textIn(notice, 'noticeId');
  const details = objectIn(payload, 'details');
  if (notice['eventType'] === 45) textIn(details, 'fileName');
  return notice as FlatServerNotice;
}

function objectIn(holder: Record<string, unknown>, name: string): Record<string, unknown> {
  const value = holder?.[name];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Unreadable(`${name} is no object`);
  return value as Record<string, unknown>;
}
function wholeIn(holder: Record<string, unknown>, name: string): void {
  if (!Number.isInteger(holder[name])) throw new Unreadable(`${name} is no whole number`);
}
function textIn(holder: Record<string, unknown>, name: string): void {
  if (typeof holder[name] !== 'string') throw new Unreadable(`${name} is no string`);
}

function serverResponseOf(json: Json): JsonObject {
  const response = isObject(json) ? json['serverResponse'] : undefined;
  return isObject(response) ? response : {};
}

function parse(rawBody: string): Json {
  try {
    return readJson(rawBody);
  } catch {
    throw new Unreadable('the body is not JSON');
  }
}
