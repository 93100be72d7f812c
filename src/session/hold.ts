/**
 * TaskHold: proof that this server owns a task. Each write of what belongs to the task names owner and epoch, and
 * changes nothing when another server has taken the task over since (ADR 0012).
 */
import { Fault } from '../kernel/fault.ts';

export type TaskHold = {
  sid: string;
  /** The start of the server that owns it. */
  owner: string;
  /** How often the task has changed hands, from 1. */
  epoch: number;
};

const FENCED = 'task-fenced';
const MOVED = 'task-moved';

/** Another server owns the task now. Whoever meets this fault stops, and touches nothing more. */
export function fenced(sid: string): Fault {
  return new Fault(FENCED, `another server has taken recording ${sid} over`, { blame: 'self' });
}

/** Another node has taken the task over as planned, and answers this call. */
export function moved(sid: string): Fault {
  return new Fault(MOVED, `another node has recording ${sid} now`, { blame: 'self', retryable: true });
}

export function isMoved(error: unknown): boolean {
  return error instanceof Fault && error.code === MOVED;
}

export function isFenced(error: unknown): boolean {
  return error instanceof Fault && error.code === FENCED;
}
