/**
 * Warning: something in a request that the server accepts although it will not do what its sender probably means.
 * Warnings never change an answer's body. They hold names and places, and no values except uids, because values may be
 * secrets.
 */

export const WARNING_CODES = [
  /** Has no effect. */
  'ignored',
  /** Has no effect; its name is nearly that of a member that has. */
  'misspelt',
  /** Has no effect here; elsewhere in the body it would have. */
  'misnested',
  /** Has no effect because of another member. */
  'contradictory',
  /** Will be missing from the recording. */
  'left-out',
  /** Another value is used instead. */
  'replaced',
  /** A user account in words, where users are numbers. */
  'uid-not-numeric',
  /** Video held upright will be cut. */
  'may-crop',
] as const;
type WarningCode = (typeof WARNING_CODES)[number];

export type Warning = {
  code: WarningCode;
  /** The place in the body: `clientRequest.recordingConfig.layoutConfig[2].uid`. */
  path: string;
  /** One sentence. */
  message: string;
};

/** More warnings than this help nobody, and a hostile body could cause 100,000. */
export const MAX_WARNINGS = 50;
const MAX_NAME_LENGTH = 64;

/** The path of a member of `parent`. A name with special characters is quoted, and a long one is cut. */
export function memberPath(parent: string, name: string): string {
  const short = shorten(name);
  if (!/^[A-Za-z_$][\w$]*…?$/.test(short)) return `${parent}[${JSON.stringify(short)}]`;
  return parent === '' ? short : `${parent}.${short}`;
}

/** At most 64 characters of a text that a caller chose. */
export function shorten(text: string): string {
  // By code points: half of a surrogate pair is no character, and logs would refuse it.
  const points = [...text.slice(0, 2 * MAX_NAME_LENGTH)];
  if (points.length <= MAX_NAME_LENGTH && text.length <= 2 * MAX_NAME_LENGTH) return text;
  return `${points.slice(0, MAX_NAME_LENGTH - 1).join('')}…`;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Whether a value means "not set". Client libraries send `""`, `{}` and null for what their caller did not set
 * (contract §6.15).
 */
export function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return typeof value === 'object' && Object.keys(value).length === 0;
}
