/** The one error of the client: what was answered, or that nothing was. */

export type AircheckErrorOptions = {
  /** HTTP status; undefined when no answer came. */
  status?: number | undefined;
  /** As in docs/reference/errors.md; undefined where the answer has none. */
  code?: number | undefined;
  /** Names the request in the log of the server. */
  requestId?: string | undefined;
  attempts: number;
  cause?: unknown;
};

export class AircheckError extends Error {
  override readonly name = 'AircheckError';
  readonly status: number | undefined;
  readonly code: number | undefined;
  /** Why, in words that may vary. */
  readonly reason: string;
  readonly requestId: string | undefined;
  /** How often the call was made. */
  readonly attempts: number;

  /** @param call which call it was, in a word or two */
  constructor(call: string, reason: string, { status, code, requestId, attempts, cause }: AircheckErrorOptions) {
    const answer = status === undefined ? '' : ` (HTTP ${status}${code === undefined ? '' : `, code ${code}`})`;
    super(`${call}: ${reason}${answer}`, cause === undefined ? undefined : { cause });
    this.status = status;
    this.code = code;
    this.reason = reason;
    this.requestId = requestId;
    this.attempts = attempts;
  }

  /** Whether there is no such recording any more, or never was: it has ended by itself, or by an earlier stop. */
  get isGone(): boolean {
    return this.status === 404 && this.code === 404;
  }

  /** Whether the recording is stopping already. */
  get isStopping(): boolean {
    return this.status === 400 && this.code === 49;
  }

  /** Whether stop found that nobody ever sent anything. */
  get isNothingRecorded(): boolean {
    return this.status === 206 && this.code === 435;
  }

  /** Whether stop waited its time and files are still being stored; that goes on. */
  get isStillUploading(): boolean {
    return this.status === 206 && this.code === 50;
  }
}
