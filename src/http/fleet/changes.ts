/**
 * Changes: tells other nodes of the fleet which recordings of this one are not any more what they were, so that copies
 * of what it answered are good until then (ADR 0036).
 */
import { PassThrough } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../../kernel/clock.ts';

/** Answers with a line for each change for as long as it is listened to, and with lines that tell the time between. */
export const CHANGES_PATH = '/aircheck/changes';
/** Begins a line that says up to when all changes were told, by the database's clock, Unix milliseconds. */
export const UNTIL = '=';
/** How often the time is told. */
const BEAT_MS = 500;
/** Each costs a line for each change. Nodes that are too many ask for each answer. */
const MOST_FOLLOWERS = 64;
/** A node that leaves more than this unread gets a new start. */
const MOST_UNREAD_BYTES = 65_536;

export class Changes {
  readonly #followers = new Set<(sid: string) => void>();

  /** What query answers of this recording may be something else from now on. */
  tell(sid: string): void {
    for (const follower of this.#followers) follower(sid);
  }

  /** Calls `follower` with each change until what it returns is called. Undefined when there are too many already. */
  follow(follower: (sid: string) => void): (() => void) | undefined {
    if (this.#followers.size >= MOST_FOLLOWERS) return undefined;
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }
}

export type ChangesOptions = { changes: Changes; clock: Clock; databaseMs(): number };

/** Registered behind the check of signatures. */
export function changesRoute(app: FastifyInstance, { changes, clock, databaseMs }: ChangesOptions): void {
  app.get(CHANGES_PATH, (_request, reply) => {
    const lines = new PassThrough();
    const say = (line: string) => {
      if (lines.destroyed) return;
      if (lines.writableLength + lines.readableLength > MOST_UNREAD_BYTES) lines.destroy();
      else lines.write(`${line}\n`);
    };
    const leave = changes.follow(say);
    if (!leave) return reply.code(503).send({ message: 'too many nodes follow the changes of this one' });
    const beat = () => say(`${UNTIL}${Math.floor(databaseMs())}`);
    const beats = clock.every(BEAT_MS, beat);
    lines.once('close', () => {
      leave();
      beats.cancel();
    });
    beat();
    return reply.type('text/plain').send(lines);
  });
}
