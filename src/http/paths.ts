/**
 * Path parameters of the recording API (contract §0.2).
 */
import type { Mode } from '../contract/rest/fields.ts';
import type { ResourcePath } from '../session/recordings.ts';

/** The mode's place in a path; any other word is an unknown route. */
export const MODE = ':mode(^(?:individual|mix|web)$)';
/** Callers may put their region first; it has no effect (contract §0.1). */
export const REGION = '/:region(^(?:cn|eu|ap|us|na)$)';

export type ResourceParams = { appid: string; resourceid: string; mode: Mode };
export type TaskParams = ResourceParams & { sid: string };

export function toPath({ appid, resourceid, mode }: ResourceParams): ResourcePath {
  return { appid, resourceId: resourceid, mode };
}
