/**
 * Pushes: where a web page is also sent live (contract §1.2.7, `rtmp_publish_service`). An address holds a stream key,
 * which lets whoever knows it send in the customer's name: in everything that is told or written down `***` stands in
 * its place.
 */
import { z } from 'zod';

export const PUSH_STATUSES = ['connecting', 'publishing', 'onhold', 'disconnected'] as const;
/** As query and event 100 name them. */
export type PushStatus = (typeof PUSH_STATUSES)[number];

/** `id` tells one push of a recording from another; it stays the same as long as the address does. */
export const pushTargetSchema = z.object({ id: z.string().min(1), url: z.string().min(1) });
export type PushTarget = z.infer<typeof pushTargetSchema>;

/** The parts of an address `rtmp[s]://host[:port]/app[/key]`. */
export type RtmpAddress = {
  tls: boolean;
  host: string;
  port: number;
  app: string;
  /** The name of the stream; empty where the address has none. */
  key: string;
  /** The address without the key, as RTMP's `connect` names it. */
  tcUrl: string;
};

const PORTS: Readonly<Record<string, number>> = { 'rtmp:': 1935, 'rtmps:': 443 };

/** Undefined for a text that is no such address, and for one that names a user: RTMP has no single way to log in. */
export function readRtmpAddress(text: string): RtmpAddress | undefined {
  const url = URL.parse(text);
  const port = PORTS[url?.protocol ?? ''];
  if (!url || port === undefined || url.hostname === '' || url.username !== '' || url.password !== '') return undefined;
  const path = (url.pathname + url.search).replace(/^\/+/, '');
  if (path === '') return undefined;
  const { app, key } = appAndKey(path);
  return {
    tls: url.protocol === 'rtmps:',
    host: url.hostname.replace(/^\[(.*)\]$/, '$1'),
    port: Number(url.port || port),
    app,
    key,
    tcUrl: `${url.protocol}//${url.host}/${app}`,
  };
}

/** The address as it may be told: host and application, without anything that may be a key. */
export function maskedAddress(text: string): string {
  const url = URL.parse(text);
  if (!url || PORTS[url.protocol] === undefined) return '***';
  const [app = '', ...rest] = url.pathname.split('/').filter((part) => part !== '');
  return `${url.protocol}//${url.host}/${rest.length > 0 ? `${app}/` : ''}***`;
}

/**
 * The pushes to `urls`: those that existed already keep their ids, and so go on.
 * @param newId makes an id
 */
export function toTargets(urls: readonly string[], before: readonly PushTarget[], newId: () => string): PushTarget[] {
  return urls.map((url) => before.find((target) => target.url === url) ?? { id: newId(), url });
}

/**
 * The application is the first part of the path, or the first two where there are more than two, as other publishers
 * have it. Slashes in a query separate nothing, unless the query stands before the key.
 */
function appAndKey(path: string): { app: string; key: string } {
  const query = path.indexOf('?');
  const plain = query < 0 || !path.slice(0, query).includes('/') ? path : path.slice(0, query);
  const parts = plain.split('/');
  if (parts.length === 1) return { app: path, key: '' };
  const app = parts.slice(0, parts.length > 2 ? 2 : 1).join('/');
  return { app, key: path.slice(app.length + 1) };
}
