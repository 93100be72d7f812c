/** Offers: what a node that lives would have others take over (ADR 0029). Who takes it is decided by the claim. */
import type { Queryable } from './database.ts';

/**
 * Offers tasks of an owner, or takes its offers back.
 * @returns which of them are its own still
 */
export async function offerTasks(
  inside: Queryable,
  owner: string,
  { sids, offered }: { sids: readonly string[]; offered: boolean },
): Promise<string[]> {
  if (sids.length === 0) return [];
  const rows = await inside.query(
    'update tasks set offered = $3 where sid = any($1) and owner = $2 and ended_ms is null returning sid',
    [[...sids], owner, offered],
  );
  return rows.map((row) => String(row['sid']));
}
