/**
 * Paths of the recording API (contract §0.2) and their parameters.
 */
import type { Mode } from '../contract/rest/fields.ts';
import type { ResourcePath } from '../session/resources.ts';

/** The mode in a path; any other word is an unknown route. */
export const MODE = ':mode(^(?:individual|mix|web)$)';
/** Callers may put their region before the path; it has no effect (contract §0.1). */
export const REGION = '/:region(^(?:cn|eu|ap|us|na)$)';

export type ResourceParams = { appid: string; resourceid: string; mode: Mode };
export type TaskParams = ResourceParams & { sid: string };

export function toPath({ appid, resourceid, mode }: ResourceParams): ResourcePath {
  return { appid, resourceId: resourceid, mode };
}

const API_PATH = /^\/+(?:(?:cn|eu|ap|us|na)\/+)?v[12]\//;
/** What follows an id in a path, by the word before the id. */
const AFTER_ID = new Map([
  ['resourceid', ['sid', 'mode']],
  ['sid', ['mode']],
]);

/**
 * The address of a call without doubled slashes and slashes at its end, which clients make when they join a base
 * address and a path, and which gateways merge. An id that the client left empty stays, so that the answer is "no such
 * recording" and not "no such path". Other addresses do not change.
 */
export function toPlainUrl(url: string): string {
  const [path = ''] = url.split('?', 1);
  if (!API_PATH.test(path)) return url;
  const parts = path.split('/').filter((part) => part !== '');
  const plain = parts.map((part, index) => (AFTER_ID.get(part)?.includes(parts[index + 1] ?? '') ? `${part}/` : part));
  return `/${plain.join('/')}${url.slice(path.length)}`;
}
