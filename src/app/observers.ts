/** allOf: several observers of recordings as one. */
import type { TaskObserver } from '../session/ports.ts';

/** @param late one that is there only once the server is put together */
export function allOf(
  observers: readonly (TaskObserver | undefined)[],
  late: () => TaskObserver | undefined,
): TaskObserver {
  const all = () => [...observers, late()];
  return {
    onEvent: (...given) => {
      for (const observer of all()) observer?.onEvent(...given);
    },
    onFact: (...given) => {
      for (const observer of all()) observer?.onFact(...given);
    },
    onLeft: (task) => {
      for (const observer of all()) observer?.onLeft(task);
    },
  };
}
