/**
 * Delivery of one recording's events: one after another, in the order of their sequence, each again and again until it
 * is taken or given up. The caller must make sure that `run` runs only once per recording at a time.
 */
import { noticeBody } from '../contract/webhook/notice.ts';
import { backOffMs } from '../kernel/back-off.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SessionLog } from '../session/ports.ts';
import type { OutboxTables, StoredEvent } from '../store/outbox-tables.ts';
import type { Send, Sent, Webhook } from './sender.ts';

export type DeliveryOptions = {
  events: OutboxTables;
  /** Where an app's events go; undefined when the app wants none. */
  webhookOf: (appid: string) => Webhook | undefined;
  send: Send;
  clock: Clock;
  log: SessionLog;
  retry: RetryRule;
  /** Whether other servers use the same outbox: an app without a webhook here may have one there. */
  shared: boolean;
  /** Uniform in [0, 1). */
  random?: () => number;
};

export type RetryRule = {
  /** How long after the first try an event is given up. */
  forMs: number;
  /** How often it is sent again at most; 0 sets no limit. */
  maxRetries: number;
  /** The wait before the first retry; each further wait is twice as long. */
  firstMs?: number;
  longestMs?: number;
};

/** After this time a recording with many events makes room for others, well before its job would count as hung. */
const TURN_MS = 60_000;

/** Whether an app wants this type of event. */
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
   * Sends the recording's pending events that are due. Resolves to the milliseconds until the next is due, to undefined
   * when nothing is pending, or to `elsewhere` when only another server knows where to send it. Rejects when the
   * database fails; then what was sent last may be sent again.
   */
  async run(sid: string, signal: AbortSignal): Promise<number | 'elsewhere' | undefined> {
    const { events, webhookOf, send, clock, retry, random } = this.#options;
    const beganUs = clock.monoUs();
    for (;;) {
      // The next turn sends what is left, in this server or another.
      if (this.#closing || signal.aborted || clock.monoUs() - beganUs > TURN_MS * 1000) return 0;
      const event = await events.nextOf(sid);
      if (!event) return undefined;
      const waitMs = (event.nextAttemptMs ?? 0) - clock.nowMs();
      // A longer wait than any that is ever set means that the clock was set back.
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
      // We broke it off ourselves, which says nothing about the receiver.
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
   * Whoever added a pending event had a webhook for it. As long as that server would send it again, the event is left
   * to it.
   */
  #isOthers({ notice }: StoredEvent): boolean {
    const { shared, clock, retry } = this.#options;
    return shared && clock.nowMs() - notice.payload.sendts < retry.forMs;
  }

  /** Sends one event at once, whatever its state, and keeps the outcome. */
  async redeliver(event: StoredEvent, webhook: Webhook, signal: AbortSignal): Promise<Sent> {
    const { events, send, clock } = this.#options;
    const sentMs = clock.nowMs();
    const sent = await send(webhook, noticeBody(event.notice, sentMs), signal);
    if (sent.delivered) await events.delivered(event.notice.noticeId, sentMs, clock.nowMs());
    else await events.redeliveryFailed(event.notice.noticeId, sentMs, sent.error);
    return sent;
  }

  /** Makes `run` end after the present sending. */
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

/** When an event that failed is sent again, Unix milliseconds; undefined when it must be given up. */
export function nextAttempt(
  { attempts, firstTriedMs, nowMs }: { attempts: number; firstTriedMs: number; nowMs: number },
  retry: RetryRule,
  random: number,
): number | undefined {
  const { forMs, maxRetries, ...waits } = { ...DEFAULT_WAITS, ...retry };
  if (maxRetries > 0 && attempts > maxRetries) return undefined;
  const endMs = firstTriedMs + forMs;
  if (nowMs >= endMs) return undefined;
  const waitMs = backOffMs(attempts, { ...waits, jitter: JITTER }, random);
  // The last try comes at the very end, not up to one wait before it.
  return Math.min(nowMs + Math.round(waitMs), endMs);
}

const DEFAULT_WAITS = { firstMs: 1_000, longestMs: 600_000 };
/** When a receiver comes back, many recordings must not send to it at the same moment. */
const JITTER = 0.2;

/** The longest wait that is ever set before an event is sent again. */
export function longestWaitMs(retry: RetryRule): number {
  return (retry.longestMs ?? DEFAULT_WAITS.longestMs) * (1 + JITTER);
}
