/**
 * /v1/apps/{appid}/aircheck/events: which events recordings had, whether they were delivered, and sending one again.
 * Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { problem } from '../contract/problems.ts';
import type { Notifications } from '../notify/notifications.ts';
import { EVENT_STATES, type StoredEvent } from '../store/outbox-tables.ts';

const whole = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(least).max(most));
const LIMIT = { otherwise: 100, most: 1_000 };
const allowed = {
  sid: '32 lowercase hexadecimal digits',
  after: 'a position, as an earlier answer has it in `next`',
  state: EVENT_STATES.join(', '),
  limit: `a whole number from 1 to ${LIMIT.most}`,
};

/** Query of GET /events. */
export const eventsQuerySchema = z.object({
  sid: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .optional(),
  after: whole(0, Number.MAX_SAFE_INTEGER).default(0),
  state: z.enum(EVENT_STATES).optional(),
  limit: whole(1, LIMIT.most).default(LIMIT.otherwise),
});

export type EventsApi = { notifications: Pick<Notifications, 'list' | 'redeliver'> };

export function eventsRoutes(app: FastifyInstance, { notifications }: EventsApi): void {
  app.get<{ Params: { appid: string } }>('/events', async ({ params, query }) => {
    const parsed = eventsQuerySchema.safeParse(query);
    if (!parsed.success) {
      const names = [...new Set(parsed.error.issues.map(({ path }) => String(path[0]) as keyof typeof allowed))];
      const reasons = names.map((name) => `${name} must be ${allowed[name]}`);
      throw problem('request-invalid', `api body validate failed! ${reasons.join('; ')}`);
    }
    const { events, next } = await notifications.list(params.appid, parsed.data);
    return { events: events.map(toJson), next };
  });

  app.post<{ Params: { appid: string; noticeId: string } }>('/events/:noticeId/redeliver', ({ params }) =>
    notifications.redeliver(params.appid, params.noticeId),
  );
}

function toJson(event: StoredEvent) {
  const { position, state, attempts, lastAttemptMs, nextAttemptMs, deliveredMs, lastError, notice } = event;
  return { position, state, attempts, lastAttemptMs, nextAttemptMs, deliveredMs, lastError, notice };
}
