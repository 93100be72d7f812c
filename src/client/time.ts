/** Time, for a client that runs in browsers too, where none of the server's clock is. */

/** Milliseconds of a clock that never steps. */
export const monoMs = (): number => performance.now();

/** Resolves after `delayMs`; rejects with the signal's reason when it aborts before. */
export function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, delayMs);
    const onAbort = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
