/** allOf: several observers of recordings as one. */
import type { TaskObserver } from '../session/ports.ts';

export function allOf(observers: readonly TaskObserver[]): TaskObserver {
  return {
    onEvent: (...given) => {
      for (const observer of observers) observer.onEvent(...given);
    },
    onFact: (...given) => {
      for (const observer of observers) observer.onFact(...given);
    },
    onLeft: (task) => {
      for (const observer of observers) observer.onLeft(task);
    },
  };
}
