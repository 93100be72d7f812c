/** What parts of the page share: where it is, what it has loaded, and what it looks at again and again. */
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import { CallFailed } from './api.ts';

/** The parts of the address behind `#/`, decoded. */
export function useRoute(): string[] {
  const read = () => location.hash.replace(/^#\/?/, '').split('/').map(decode);
  const [route, setRoute] = useState(read);
  useEffect(() => {
    const changed = () => setRoute(read());
    addEventListener('hashchange', changed);
    return () => removeEventListener('hashchange', changed);
  }, []);
  return route;
}

export function linkTo(...parts: string[]): string {
  return `#/${parts.map(encodeURIComponent).join('/')}`;
}

/** Anybody can write anything into an address. */
function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

type Loaded<T> = { value: T | undefined; error: string | undefined; reload(): void };

/**
 * What `load` resolves to: now, whenever one of `inputs` or `everyMs` changes, and each `everyMs` while the page is
 * looked at. What was loaded before stays until the new is there, unless it was of other inputs.
 */
export function useLoaded<T>(load: () => Promise<T>, inputs: unknown[], everyMs?: number): Loaded<T> {
  const [state, setState] = useState<{ value?: T; error?: string }>({});
  const turn = useRef(0);
  // The caller says what the load depends on.
  const reload = useCallback(() => {
    const mine = ++turn.current;
    const isNews = () => mine === turn.current;
    load().then(
      (value) => isNews() && setState({ value }),
      (error) => isNews() && setState((before) => ({ ...before, error: messageOf(error) })),
    );
  }, inputs);
  useEffect(() => setState({}), [reload]);
  useEffect(() => {
    reload();
    if (everyMs === undefined) return;
    const timer = setInterval(() => document.visibilityState === 'visible' && reload(), everyMs);
    return () => clearInterval(timer);
  }, [reload, everyMs]);
  return { value: state.value, error: state.error, reload };
}

export function messageOf(error: unknown): string {
  return error instanceof CallFailed || error instanceof Error ? error.message : String(error);
}

/** Goes up every second, so that what counts time is drawn again. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, []);
  return now;
}
