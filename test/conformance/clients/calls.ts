/**
 * What every client library can be told to do, in words of none of them; each writes it down in its own way. And what
 * it makes of a reply.
 */
export type Endpoint = 'acquire' | 'start' | 'update' | 'updateLayout' | 'query' | 'stop';
export type Mode = 'individual' | 'mix' | 'web';

/** A recording as a client knows it after start. */
export type Handle = { cname: string; uid: string; mode: Mode; resourceId: string; sid: string };
export type AcquireCall = { cname: string; uid: string; mode: Mode; resourceExpiredHour?: number };

/** Fractions of the canvas. */
export type RegionSpec = { uid?: string; x: number; y: number; width: number; height: number; fit?: boolean };
export type UidLists = { subscribe?: string[]; unsubscribe?: string[] };
export type LayoutSpec = { layout?: number; backgroundColor?: string; regions?: RegionSpec[] };
type StorageSpec = {
  vendor: number;
  region: number;
  bucket: string;
  accessKey: string;
  secretKey: string;
  prefix?: string[];
  /** sse and tag are meant; a library may send them empty. */
  withParams?: boolean;
};
export type StartCall = Omit<Handle, 'sid'> & {
  token?: string;
  storage: StorageSpec;
  channelType?: number;
  uidGroup?: number;
  audio?: UidLists;
  video?: UidLists;
  canvas?: LayoutSpec & { width: number; height: number; fps: number; bitrate: number };
  fileTypes?: string[];
  snapshotIntervalS?: number;
  page?: { url: string; width: number; height: number; bitrate?: number; maxHours: number; rtmpUrl?: string };
};
export type UpdateCall = { audio?: UidLists; video?: UidLists; onhold?: boolean };

/** What a query was taken for. */
export type ReadAs = 'recording' | 'snapshot' | 'hls' | 'hls and mp4' | 'web' | 'unknown';

/** What a library hands to its caller. */
export type Outcome =
  /** It returned; `body` is all of the reply. */
  | { kind: 'success'; body: Record<string, unknown>; readAs?: ReadAs }
  /** It failed with an error that has the status, and the reply's code where it passes that on. */
  | { kind: 'refused'; status: number; code?: number; reason: string }
  /** It failed with an error that has the status only. */
  | { kind: 'lost'; status: number };

/** The library could not make sense of the reply. */
export class Unreadable extends Error {}

export type RecordingClient = {
  acquire(call: AcquireCall): Promise<Outcome>;
  start(call: StartCall): Promise<Outcome>;
  update(handle: Handle, call: UpdateCall): Promise<Outcome>;
  updateLayout(handle: Handle, call: LayoutSpec): Promise<Outcome>;
  query(handle: Handle): Promise<Outcome>;
  stop(handle: Handle, asyncStop?: boolean): Promise<Outcome>;
};

export type ClientOptions = {
  /** Without a slash at its end. */
  baseUrl: string;
  appid: string;
  customerId: string;
  customerSecret: string;
  /** Waits between tries; real time unless given. */
  pause?(ms: number): Promise<void>;
};

/** The path of a call below the base URL. */
export function pathOf(appid: string, endpoint: Endpoint, handle: Partial<Handle> = {}): string {
  const { resourceId, sid, mode } = handle;
  const prefix = `/v1/apps/${appid}/cloud_recording`;
  if (endpoint === 'acquire') return `${prefix}/acquire`;
  if (endpoint === 'start') return `${prefix}/resourceid/${resourceId}/mode/${mode}/start`;
  return `${prefix}/resourceid/${resourceId}/sid/${sid}/mode/${mode}/${endpoint}`;
}
