/** Finds lists of users that do not record what their sender probably means (contract §1.2.2, §1.3). */
import { isUid } from '../rest/fields.ts';
import { isEmpty, isObject, memberPath, shorten, type Warning } from './warning.ts';

const KINDS = ['Audio', 'Video'] as const;
type Kind = (typeof KINDS)[number];
const WORDS = { Audio: 'sound', Video: 'picture' } as const;
/** The `streamTypes` that leaves this kind out. */
const WITHOUT = { Audio: 1, Video: 0 } as const;

const listNames = (kind: Kind) => [`subscribe${kind}Uids`, `unSubscribe${kind}Uids`, `unsubscribe${kind}Uids`] as const;

/** Checks `recordingConfig` of start. */
export function lintLists(config: Record<string, unknown>, path: string): Warning[] {
  const streamTypes = config['streamTypes'] ?? 2;
  const given = (kind: Kind) => listNames(kind).filter((name) => !isEmpty(config[name]));
  const warnings = KINDS.flatMap((kind) => [
    ...lintSpellings(config, kind, path),
    ...given(kind).flatMap((name) => lintUids(config[name], memberPath(path, name))),
  ]);
  for (const [kind, other] of [KINDS, [...KINDS].reverse()] as [Kind, Kind][]) {
    const [name] = given(kind);
    if (name === undefined) continue;
    if (streamTypes === WITHOUT[kind])
      warnings.push({
        code: 'contradictory',
        path: memberPath(path, name),
        message: `${name} has no effect, because streamTypes ${streamTypes} records no ${WORDS[kind]}.`,
      });
    else if (streamTypes === 2 && given(other).length === 0) warnings.push(leftOut(other, name, path));
  }
  return warnings;
}

/** Checks `streamSubscribe` of update. `streamTypes` is that of the recording, where it is known. */
export function lintStreamSubscribe(
  subscribe: Record<string, unknown>,
  path: string,
  streamTypes: number | undefined,
): Warning[] {
  const lists = (kind: Kind) => {
    const list = subscribe[`${kind.toLowerCase()}UidList`];
    return isObject(list) ? list : {};
  };
  const given = (kind: Kind) => listNames(kind).filter((name) => !isEmpty(lists(kind)[name]));
  const warnings: Warning[] = [];
  for (const [kind, other] of [KINDS, [...KINDS].reverse()] as [Kind, Kind][]) {
    const place = memberPath(path, `${kind.toLowerCase()}UidList`);
    warnings.push(...lintSpellings(lists(kind), kind, place));
    for (const name of given(kind)) warnings.push(...lintUids(lists(kind)[name], memberPath(place, name)));
    const [name] = given(kind);
    if (name === undefined) continue;
    if (streamTypes === WITHOUT[kind])
      warnings.push({
        code: 'contradictory',
        path: memberPath(place, name),
        message: `${name} has no effect, because the recording has no ${WORDS[kind]}.`,
      });
    else if ((streamTypes ?? 2) === 2 && given(other).length === 0) warnings.push(leftOut(other, name, place));
  }
  return warnings;
}

/** This surprise causes most recordings without sound. */
function leftOut(other: Kind, name: string, path: string): Warning {
  return {
    code: 'left-out',
    path: memberPath(path, name),
    message: `Only ${name} is given, so no ${WORDS[other]} is recorded at all; subscribe${other}Uids ["#allstream#"] would record that of everybody.`,
  };
}

function lintSpellings(lists: Record<string, unknown>, kind: Kind, path: string): Warning[] {
  const [, effective, alias] = listNames(kind);
  if (lists[effective] === undefined || lists[effective] === null || isEmpty(lists[alias])) return [];
  const message = `${alias} is ignored, because ${effective} is given as well.`;
  return [{ code: 'contradictory', path: memberPath(path, alias), message }];
}

/** Checks one list of users. */
function lintUids(list: unknown, path: string): Warning[] {
  if (!Array.isArray(list)) return [];
  // A valid list has at most 32 users; of one that is refused for its length the first are enough.
  return list.slice(0, 32).flatMap((uid, index) => lintUid(uid, `${path}[${index}]`));
}

/** Checks one user. `""` and `#allstream#` are no user accounts. */
export function lintUid(uid: unknown, path: string): Warning[] {
  if (typeof uid !== 'string' || uid === '' || uid === '#allstream#' || isUid(uid)) return [];
  const shown = JSON.stringify(shorten(uid));
  const message = `${shown} is no uid: users are whole numbers from 1 to 4294967295, and user accounts are not supported.`;
  return [{ code: 'uid-not-numeric', path, message }];
}
