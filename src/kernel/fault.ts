/**
 * The one error class: what went wrong, whose fault it is, and whether trying again can help.
 */
/** Who has to act: the API caller, the storage or webhook receiver, the channel's publisher, or this server. */
export type Blame = 'caller' | 'destination' | 'channel' | 'self';

export type FaultOptions = {
  blame: Blame;
  /** True when the same attempt may succeed later. */
  retryable?: boolean;
  /** How long the refusing side asks to be left alone, milliseconds. */
  retryAfterMs?: number | undefined;
  cause?: unknown;
  /** Names that belong to the fault and may be told to whoever has to act, such as a recording's ids. */
  details?: Readonly<Record<string, string>>;
};

export class Fault extends Error {
  /** A stable word in kebab-case, fit for logs and tests. */
  readonly code: string;
  readonly blame: Blame;
  readonly retryable: boolean;
  readonly retryAfterMs: number | undefined;
  readonly details: Readonly<Record<string, string>>;

  constructor(code: string, message: string, options: FaultOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'Fault';
    this.code = code;
    this.blame = options.blame;
    this.retryable = options.retryable ?? false;
    this.retryAfterMs = options.retryAfterMs;
    this.details = options.details ?? {};
  }
}

/** Node has no name for Linux's EDQUOT, which is 122. */
const QUOTA_CODE = 'Unknown system error -122';
const QUOTA_WORDS = 'EDQUOT: the disk quota is used up';

/** The text of any thrown value, without a stack. */
export function messageOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.startsWith(QUOTA_CODE) ? text.replaceAll(`${QUOTA_CODE}: `, '').replace(QUOTA_CODE, QUOTA_WORDS) : text;
}

/** Whether an error comes from a full disk, or from a quota of a user or folder. */
export function isOutOfRoom(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause) {
    const { code } = at as { code?: unknown };
    if (code === 'ENOSPC' || code === QUOTA_CODE || code === 'spool-full') return true;
  }
  return false;
}

/**
 * Throws when an invariant of our own is broken; in a recorder this ends the process, and its parent starts another.
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new Fault('invariant', message, { blame: 'self' });
}
