/** The calls that the dashboard makes: those of the public API, by the session of the browser. */
import type { z } from 'zod';
import type { QualityReport } from '../../../src/contract/line/quality-report.ts';
import type { BacklogEntry } from '../../../src/contract/rest/backlog.ts';
import type { CutReply, CutRequest } from '../../../src/contract/rest/cut.ts';
import type { FileLinkReply, FileLinkRequest } from '../../../src/contract/rest/file-link.ts';
import type { MixListReply, MixReply, mixRequestSchema } from '../../../src/contract/rest/mix.ts';
import type { NodesReply } from '../../../src/contract/rest/nodes.ts';
import type { RecordingCallsReply } from '../../../src/contract/rest/recording-calls.ts';
import type { RecordingFilesReply } from '../../../src/contract/rest/recording-files.ts';
import type { ListedRecordingReply, RecordingListReply } from '../../../src/contract/rest/recording-list.ts';
import type { RecordingReport } from '../../../src/contract/rest/recording-report.ts';
import type {
  RemovalListReply,
  RemovalPreview,
  RemovalReply,
  RemovalRequest,
} from '../../../src/contract/rest/removal.ts';
import type {
  DeletionRequest,
  LegalHoldRequest,
  RetentionReply,
  RetentionRequest,
} from '../../../src/contract/rest/retention.ts';
import type { SessionReply } from '../../../src/contract/rest/session.ts';
import type { WatchReply } from '../../../src/contract/rest/watch.ts';

export type {
  BacklogEntry,
  CutReply,
  CutRequest,
  FileLinkRequest,
  MixReply,
  NodesReply,
  QualityReport,
  RecordingListReply,
};
export type MixRequest = z.input<typeof mixRequestSchema>;
export type Session = SessionReply;
export type Retention = RetentionReply;
export type Removal = RemovalReply;
export type Removing = RemovalPreview;
export type Listed = ListedRecordingReply;
export type Files = RecordingFilesReply;
export type Calls = RecordingCallsReply['calls'];

type Stream = { receiving: boolean; packets: number; bitrateKbps: number; lost: number; jitterMs: number };
type Layer = Stream & { rid?: string; width?: number; height?: number };
export type Track = Stream & { kind: 'audio' | 'video'; codec: string; audioLevelDbov?: number; layers?: Layer[] };
export type Participant = { uid: string; joinedAtMs: number; recorder: boolean; tracks: Track[] };
export type EventEntry = {
  position: number;
  state: 'pending' | 'delivered' | 'dead' | 'unwanted';
  attempts: number;
  lastAttemptMs?: number;
  nextAttemptMs?: number;
  deliveredMs?: number;
  lastError?: string;
  notice: {
    noticeId: string;
    sid: string;
    eventType: number;
    payload: { sequence: number; sendts: number; cname: string; details: Record<string, unknown> };
  };
};
export type Report = RecordingReport;

/** Every call has it: no page of another origin can send it. */
const HEADERS = { 'x-aircheck-dashboard': '1' };

export class CallFailed extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

let onSignedOut = () => {};
/** @param told called when the server says that the session is over */
export function whenSignedOut(told: () => void): void {
  onSignedOut = told;
}

/** Throws CallFailed with what the server says, in words. */
async function call<T>(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<T> {
  const answer = await fetch(path, {
    method,
    headers: { ...HEADERS, ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  }).catch(() => {
    throw new CallFailed(0, 'The server does not answer.');
  });
  const said = (await answer.json().catch(() => ({}))) as { message?: string; reason?: string };
  // start answers 206 and 201 where a recording goes on.
  if (answer.ok) return said as T;
  if (answer.status === 401 && path !== SESSION) onSignedOut();
  throw new CallFailed(answer.status, said.reason ?? said.message ?? `The server answered ${answer.status}.`);
}

/** A file as an address that a page can show. Throws CallFailed. */
async function read(path: string): Promise<string> {
  const answer = await fetch(path, { headers: HEADERS }).catch(() => {
    throw new CallFailed(0, 'The server does not answer.');
  });
  if (answer.status === 401) onSignedOut();
  if (!answer.ok) throw new CallFailed(answer.status, `The server answered ${answer.status}.`);
  const text = Array.from(new Uint8Array(await answer.arrayBuffer()), (byte) => String.fromCharCode(byte)).join('');
  return `data:${answer.headers.get('content-type')};base64,${btoa(text)}`;
}

const SESSION = '/v1/aircheck/session';
const own = (appid: string) => `/v1/apps/${appid}/aircheck`;
const id = encodeURIComponent;

export const api = {
  session: () => call<Session>('GET', SESSION),
  signIn: (customerId: string, customerSecret: string) =>
    call<Session>('POST', SESSION, { customerId, customerSecret }),
  signOut: () => call<object>('DELETE', SESSION),
  recordings: (appid: string, query: Record<string, string>) =>
    call<RecordingListReply>('GET', `${own(appid)}/recordings?${new URLSearchParams(query)}`),
  report: (appid: string, sid: string) => call<Report>('GET', `${own(appid)}/recordings/${id(sid)}`),
  files: (appid: string, sid: string) => call<Files>('GET', `${own(appid)}/recordings/${id(sid)}/files`),
  calls: async (appid: string, sid: string) =>
    (await call<RecordingCallsReply>('GET', `${own(appid)}/recordings/${id(sid)}/calls`)).calls,
  fileUrl: (appid: string, sid: string, name: string) => `${own(appid)}/recordings/${id(sid)}/files/${id(name)}`,
  fileLink: (appid: string, sid: string, name: string, request: FileLinkRequest) =>
    call<FileLinkReply>('POST', `${api.fileUrl(appid, sid, name)}/link`, request),
  retention: (appid: string, sid: string) => call<Retention>('GET', `${own(appid)}/recordings/${id(sid)}/retention`),
  setRetention: (appid: string, sid: string, request: RetentionRequest) =>
    call<Retention>('PUT', `${own(appid)}/recordings/${id(sid)}/retention`, request),
  holdRecording: (appid: string, sid: string, request: LegalHoldRequest) =>
    call<Retention>('PUT', `${own(appid)}/recordings/${id(sid)}/legal-hold`, request),
  releaseRecording: (appid: string, sid: string) =>
    call<Retention>('DELETE', `${own(appid)}/recordings/${id(sid)}/legal-hold`),
  deleteFiles: (appid: string, sid: string, request: DeletionRequest) =>
    call<Retention>('POST', `${own(appid)}/recordings/${id(sid)}/deletion`, request),
  removals: async (appid: string, sid: string) =>
    (await call<RemovalListReply>('GET', `${own(appid)}/recordings/${id(sid)}/removals`)).removals,
  previewRemoval: (appid: string, sid: string, uid: string) =>
    call<Removing>('GET', `${own(appid)}/recordings/${id(sid)}/removals/preview?uid=${id(uid)}`),
  removePerson: (appid: string, sid: string, request: RemovalRequest) =>
    call<Removal>('POST', `${own(appid)}/recordings/${id(sid)}/removals`, request),
  /** Gives out an address by which it is watched. */
  watch: (appid: string, sid: string) => call<WatchReply>('POST', `${own(appid)}/recordings/${id(sid)}/watch`, {}),
  cut: (appid: string, sid: string, request: CutRequest) =>
    call<CutReply>('POST', `${own(appid)}/recordings/${id(sid)}/cuts`, request),
  cutOf: (appid: string, sid: string, cutId: string) =>
    call<CutReply>('GET', `${own(appid)}/recordings/${id(sid)}/cuts/${id(cutId)}`),
  removeCut: (appid: string, sid: string, cutId: string) =>
    call<object>('DELETE', `${own(appid)}/recordings/${id(sid)}/cuts/${id(cutId)}`),
  mix: (appid: string, sid: string, request: MixRequest) =>
    call<MixReply>('POST', `${own(appid)}/recordings/${id(sid)}/mixes`, request),
  removeMix: (appid: string, sid: string, mixId: string) =>
    call<object>('DELETE', `${own(appid)}/recordings/${id(sid)}/mixes/${id(mixId)}`),
  events: async (appid: string, query: Record<string, string>) =>
    (await call<{ events: EventEntry[] }>('GET', `${own(appid)}/events?${new URLSearchParams(query)}`)).events,
  redeliver: (appid: string, noticeId: string) =>
    call<{ delivered: boolean; error?: string }>('POST', `${own(appid)}/events/${id(noticeId)}/redeliver`, {}),
  channels: (appid: string) =>
    call<{ channels: { cname: string }[]; thumbnails?: boolean }>('GET', `${own(appid)}/channels`),
  participants: async (appid: string, cname: string) =>
    (await call<{ participants: Participant[] }>('GET', `${own(appid)}/channels/${id(cname)}`)).participants,
  thumbnail: (appid: string, cname: string, uid: string) =>
    read(`${own(appid)}/channels/${id(cname)}/thumbnails/${id(uid)}`),
  backlog: async (appid: string) => (await call<{ backlog: BacklogEntry[] }>('GET', `${own(appid)}/backlog`)).backlog,
  retry: (appid: string, sid: string) => call<object>('POST', `${own(appid)}/backlog/${id(sid)}/retry`, {}),
  nodes: () => call<NodesReply>('GET', '/v1/aircheck/nodes'),
  /** acquire and start. Resolves to the sid. */
  async start(appid: string, { cname, uid, mode, clientRequest }: StartRequest): Promise<string> {
    const base = `/v1/apps/${appid}/cloud_recording`;
    const { resourceId } = await call<{ resourceId: string }>('POST', `${base}/acquire`, {
      ...{ cname, uid, clientRequest: {} },
    });
    const path = `${base}/resourceid/${id(resourceId)}/mode/${mode}/start`;
    const { sid } = await call<{ sid: string }>('POST', path, { cname, uid, clientRequest });
    return sid;
  },
  updateLayout: (appid: string, recording: Running, clientRequest: object) =>
    callOf(appid, recording, 'updateLayout', clientRequest),
  stop: (appid: string, recording: Running) => callOf(appid, recording, 'stop', { async_stop: true }),
};
type Running = Pick<Listed, 'resourceId' | 'sid' | 'mode' | 'cname' | 'uid'>;
function callOf(
  appid: string,
  { resourceId, sid, mode, cname, uid }: Running,
  name: 'stop' | 'updateLayout',
  clientRequest: object,
): Promise<object> {
  const path = `/v1/apps/${appid}/cloud_recording/resourceid/${id(resourceId)}/sid/${id(sid)}/mode/${mode}/${name}`;
  return call<object>('POST', path, { cname, uid, clientRequest });
}
export type StartRequest = { cname: string; uid: string; mode: 'mix' | 'individual'; clientRequest: object };

const RECONNECT_MS = 2_000;
export type Watching = {
  onRecording(recording: Listed): void;
  /** Called each time that what was told of recordings before may have gaps. */
  onConnected(): void;
  /** A recording of which all mixes are told at once, and whenever one of them has changed. */
  mixes?: { sid: string; onMixes(mixes: MixReply[]): void };
};
/**
 * Tells of what changes as it does. Not by EventSource, which can send no header: without one, a browser asks for
 * credentials of its own accord when a session is over.
 * @returns what ends it
 */
export function watchChanges(appid: string, watching: Watching): () => void {
  const { onConnected, mixes } = watching;
  const path = `${own(appid)}/changes${mixes ? `?mixesOf=${id(mixes.sid)}` : ''}`;
  const over = new AbortController();
  const run = async () => {
    while (!over.signal.aborted) {
      try {
        const answer = await fetch(path, { headers: HEADERS, signal: over.signal });
        if (answer.status === 401) return onSignedOut();
        if (answer.ok && answer.body) {
          onConnected();
          await readEvents(answer.body, watching);
        }
      } catch {
        // It is connected again below.
      }
      if (!over.signal.aborted) await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
    }
  };
  void run();
  return () => over.abort();
}

async function readEvents(body: ReadableStream<Uint8Array>, { onRecording, mixes }: Watching): Promise<void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += decoder.decode(value, { stream: true });
    const events = rest.split('\n\n');
    rest = events.pop() ?? '';
    for (const event of events) {
      const name = /^event: (.*)$/m.exec(event)?.[1];
      const data = /^data: (.*)$/m.exec(event)?.[1];
      if (data === undefined) continue;
      if (name === 'recording') onRecording(JSON.parse(data) as Listed);
      if (name === 'mixes') mixes?.onMixes((JSON.parse(data) as MixListReply).mixes);
    }
  }
}
