/**
 * Delivery of one recording's events: one after another, in the order of their sequence, each again and again until it
 * is taken or given up. Whoever calls `run` sees to it that it runs once per recording at a time.
 */
import { noticeBody } from '../contract/webhook/notice.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SessionLog } from '../session/ports.ts';
import type { OutboxTables, StoredEvent } from '../store/outbox-tables.ts';
import type { Send, Sent, Webhook } from './sender.ts';

export type DeliveryOptions = {
  events: OutboxTables;
  /** Where an app's events go; undefined when it wants none. */
  webhookOf: (appid: string) => Webhook | undefined;
  send: Send;
  clock: Clock;
  log: SessionLog;
  retry: RetryRule;
  /** Whether other servers have the same outbox: an app that has no webhook here may have one there. */
  shared: boolean;
  /** Uniform in [0, 1). */
  random?: () => number;
};

export type RetryRule = {
  /** How long after the first try an event is given up. */
  forMs: number;
  /** How often it is sent again at most; 0 for no such limit. */
  maxRetries: number;
  /** Before the first retry; twice as long before each further one. */
  firstMs?: number;
  longestMs?: number;
};

/** After this long a recording with much to tell makes room for others, well before its job would count as hung. */
const TURN_MS = 60_000;

/** Whether an app wants to be told of this type of event. */
export function wants(webhook: Webhook | undefined, eventType: number): webhook is Webhook {
  return webhook !== undefined && (webhook.events.length === 0 || webhook.events.includes(eventType));
}

export class Delivery {
  readonly #options: Required<DeliveryOptions>;
  #closing = false;

  constructor(options: DeliveryOptions) {
    this.#options = { random: Math.random, ...options };
  }

  /**
   * Sends what is pending of a recording and due. Resolves to the milliseconds until the next is due, or to undefined
   * when nothing is pending, or to `elsewhere` when only another server knows where to send it. Rejects when the
   * database fails; then what was sent last may be sent again.
   */
  async run(sid: string, signal: AbortSignal): Promise<number | 'elsewhere' | undefined> {
    const { events, webhookOf, send, clock, retry, random } = this.#options;
    const beganUs = clock.monoUs();
    for (;;) {
      // What is left is for the next turn, in this server or another.
      if (this.#closing || signal.aborted || clock.monoUs() - beganUs > TURN_MS * 1000) return 0;
      const event = await events.nextOf(sid);
      if (!event) return undefined;
      const waitMs = (event.nextAttemptMs ?? 0) - clock.nowMs();
      // A wait longer than any that is ever set means that the clock was set back meanwhile.
      if (waitMs > 0 && waitMs <= longestWaitMs(retry)) return waitMs;

      const webhook = webhookOf(event.appid);
      if (!webhook && this.#isOthers(event)) return 'elsewhere';
      if (!wants(webhook, event.notice.eventType)) {
        await events.unwanted(event.notice.noticeId);
        continue;
      }
      const sentMs = clock.nowMs();
      const sent = await send(webhook, noticeBody(event.notice, sentMs), signal);
      if (sent.delivered) {
        await events.delivered(event.notice.noticeId, sentMs, clock.nowMs());
        continue;
      }
      // Broken off by ourselves: that says nothing about the receiver.
      if (signal.aborted) return 0;
      const attempt = {
        attempts: event.attempts + 1,
        firstTriedMs: event.firstTriedMs ?? sentMs,
        nowMs: clock.nowMs(),
      };
      const nextAttemptMs = nextAttempt(attempt, retry, random());
      await events.failed(event, sentMs, sent.error, nextAttemptMs);
      this.#tell(event, attempt.attempts, sent.error, nextAttemptMs);
    }
  }

  /**
   * Whoever added a pending event had a webhook for it. For as long as it would be sent again there, it is left to
   * them.
   */
  #isOthers({ notice }: StoredEvent): boolean {
    const { shared, clock, retry } = this.#options;
    return shared && clock.nowMs() - notice.payload.sendts < retry.forMs;
  }

  /** Sends one event at once, whatever its state is, and keeps how that went. */
  async redeliver(event: StoredEvent, webhook: Webhook, signal: AbortSignal): Promise<Sent> {
    const { events, send, clock } = this.#options;
    const sentMs = clock.nowMs();
    const sent = await send(webhook, noticeBody(event.notice, sentMs), signal);
    if (sent.delivered) await events.delivered(event.notice.noticeId, sentMs, clock.nowMs());
    else await events.redeliveryFailed(event.notice.noticeId, sentMs, sent.error);
    return sent;
  }

  /** Has `run` end after the sending that is under way. */
  close(): void {
    this.#closing = true;
  }

  #tell(event: StoredEvent, attempts: number, why: string, nextAttemptMs: number | undefined): void {
    const { sid, appid, notice } = event;
    const details = {
      sid,
      appid,
      noticeId: notice.noticeId,
      eventType: notice.eventType,
      attempts,
      why,
      nextAttemptMs,
    };
    if (nextAttemptMs === undefined)
      this.#options.log.error(details, 'the receiver did not take an event, which is not sent again');
    else this.#options.log.warn(details, 'the receiver did not take an event; it is sent again later');
  }
}

/** When an event that failed is sent again, Unix milliseconds; undefined when it is to be given up. */
export function nextAttempt(
  { attempts, firstTriedMs, nowMs }: { attempts: number; firstTriedMs: number; nowMs: number },
  retry: RetryRule,
  random: number,
): number | undefined {
  const { forMs, maxRetries, firstMs, longestMs } = { ...DEFAULT_WAITS, ...retry };
  if (maxRetries > 0 && attempts > maxRetries) return undefined;
  const endMs = firstTriedMs + forMs;
  if (nowMs >= endMs) return undefined;
  const waitMs = Math.min(longestMs, firstMs * 2 ** (attempts - 1)) * (1 - JITTER + 2 * JITTER * random);
  // The last try is at the very end, not up to one wait before it.
  return Math.min(nowMs + Math.round(waitMs), endMs);
}

const DEFAULT_WAITS = { firstMs: 1_000, longestMs: 600_000 };
/** Many recordings of one receiver that was away shall not all come back to it at the same moment. */
const JITTER = 0.2;

function longestWaitMs(retry: RetryRule): number {
  return (retry.longestMs ?? DEFAULT_WAITS.longestMs) * (1 + JITTER);
}
