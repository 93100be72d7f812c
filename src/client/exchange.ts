/** One call over HTTP: credentials, deadline, the tries that may follow the first, and what the answer means. */
import { AircheckError } from './aircheck-error.ts';
import { type Outcome, waitBefore } from './retry.ts';
import { monoMs, pause } from './time.ts';

export type ClientOptions = {
  /** Where the server is: `https://record.example.com`. */
  url: string;
  appId: string;
  customerId: string;
  customerSecret: string;
  /** How long one try may take, milliseconds; 10,000 when left out. A stop, which waits for uploads, 30,000 more. */
  timeoutMs?: number;
  /** How long a call may take with all its tries, milliseconds; 45,000 when left out. 0 makes one try alone. */
  deadlineMs?: number;
  /** Told of what the server finds doubtful in a request that it takes, and of calls that are made again. */
  onRemark?: (remark: Remark) => void;
  /** Instead of the platform's own: for tests, proxies and agents. */
  fetch?: (url: string, init: RequestInit) => Promise<Response>;
};

export type Remark =
  | {
      kind: 'warnings';
      call: string;
      /** How many; the log of the server and `recording(sid)` name them. */
      count: number;
      /** What the store said to a test object that it did not take. */
      store: string | undefined;
      requestId: string | undefined;
    }
  | { kind: 'retry'; call: string; afterMs: number; why: string };

export type Call = {
  /** In a word or two, for errors. */
  name: string;
  method: 'GET' | 'POST' | 'PUT' | 'DELETE';
  /** From the origin on. */
  path: string;
  body?: unknown;
  /** Statuses whose body is the answer; 200 when left out. */
  good?: readonly number[];
  /** False for what must not be done twice. */
  repeatable?: boolean;
  /** Beyond the usual time for one try, milliseconds. */
  extraMs?: number;
};

const TIMEOUT_MS = 10_000;
const DEADLINE_MS = 45_000;

type Answer = { status: number; body: unknown; headers: Headers };

export class Exchange {
  readonly #o: ClientOptions;
  readonly #origin: string;
  readonly #authorization: string;

  /** Throws a TypeError for options that no call can be made with. */
  constructor(options: ClientOptions) {
    this.#o = options;
    const { protocol, username } = new URL(options.url);
    if (!/^https?:$/.test(protocol))
      throw new TypeError(`url is ${options.url}; it must begin with http:// or https://`);
    if (username !== '') throw new TypeError('url must not hold a name; customerId and customerSecret do');
    this.#origin = options.url.replace(/\/+$/, '');
    // btoa takes Latin-1 alone, and a secret may have any characters.
    const pair = new TextEncoder().encode(`${options.customerId}:${options.customerSecret}`);
    this.#authorization = `Basic ${btoa(String.fromCharCode(...pair))}`;
  }

  /** A path of the server as a whole address. */
  urlOf(path: string): string {
    return `${this.#origin}${path}`;
  }

  /**
   * The body of a good answer. Rejects with an AircheckError for any other, when no answer comes before the deadline,
   * and with the signal's reason when that aborts.
   */
  async call(call: Call, signal?: AbortSignal): Promise<unknown> {
    const { deadlineMs = DEADLINE_MS } = this.#o;
    const endMs = monoMs() + deadlineMs + (call.extraMs ?? 0);
    for (let tries = 1; ; tries++) {
      let answer: Answer | undefined;
      let cause: unknown;
      try {
        answer = await this.#once(call, signal);
      } catch (error) {
        signal?.throwIfAborted();
        cause = error;
      }
      if (answer && (call.good ?? [200]).includes(answer.status)) {
        this.#tellWarnings(call.name, answer.headers);
        return answer.body;
      }
      const refusal = answer ? refusalOf(call.name, answer, tries) : lost(call.name, this.#origin, cause, tries);
      const waitMs = waitBefore(outcomeOf(answer, refusal), tries, call.repeatable ?? true);
      // A try that could not be waited for would only be made to be given up.
      if (waitMs === undefined || monoMs() + waitMs >= endMs) throw refusal;
      this.#o.onRemark?.({ kind: 'retry', call: call.name, afterMs: waitMs, why: refusal.message });
      await pause(waitMs, signal);
    }
  }

  async #once({ method, path, body, extraMs = 0 }: Call, signal: AbortSignal | undefined): Promise<Answer> {
    const { fetch: send = globalThis.fetch, timeoutMs = TIMEOUT_MS } = this.#o;
    const timeout = AbortSignal.timeout(timeoutMs + extraMs);
    const response = await send(`${this.#origin}${path}`, {
      method,
      headers: {
        authorization: this.#authorization,
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: parsed(text) };
  }

  #tellWarnings(call: string, headers: Headers): void {
    const count = Number(headers.get('x-aircheck-warnings') ?? 0);
    if (count === 0) return;
    const store = headers.get('x-aircheck-store-warning') ?? undefined;
    this.#o.onRemark?.({ kind: 'warnings', call, count, store, requestId: headers.get('x-request-id') ?? undefined });
  }
}

/** What a proxy answers in place of the server may be no JSON; it is then told as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function outcomeOf(answer: Answer | undefined, { code }: AircheckError): Outcome {
  if (!answer) return { kind: 'lost' };
  return { kind: 'answered', status: answer.status, code, retryAfter: answer.headers.get('retry-after') };
}

function refusalOf(name: string, { status, body, headers }: Answer, attempts: number): AircheckError {
  const { code, reason, message } = (typeof body === 'object' && body !== null ? body : {}) as Record<string, unknown>;
  const words = [reason, message].find((text) => typeof text === 'string') ?? quoted(body);
  return new AircheckError(name, String(words), {
    status,
    ...(typeof code === 'number' && { code }),
    requestId: headers.get('x-request-id') ?? undefined,
    attempts,
  });
}

function quoted(body: unknown): string {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const line = text.replace(/\s+/g, ' ').trim().slice(0, 200);
  return line === '' ? 'an answer without words' : line;
}

function lost(name: string, origin: string, cause: unknown, attempts: number): AircheckError {
  const { name: kind, cause: inner } = (cause ?? {}) as Error;
  const why =
    kind === 'TimeoutError'
      ? 'it took too long'
      : inner instanceof Error && inner.message !== ''
        ? inner.message
        : String((cause as Error)?.message ?? cause);
  return new AircheckError(name, `no answer from ${origin}: ${why}`, { attempts, cause });
}
