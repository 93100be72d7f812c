/** The designer, which is loaded when it is wanted: it has the server's own checks with it. */
import { useEffect, useState } from 'preact/hooks';
import { Failure } from '../badges.tsx';
import { messageOf } from '../hooks.ts';
import type { Designer } from './designer.tsx';

type Props = Parameters<typeof Designer>[0];

export function LazyDesigner(props: Props) {
  // A state that is a function would be called.
  const [loaded, setLoaded] = useState<{ Designer: typeof Designer }>();
  const [error, setError] = useState<string>();
  useEffect(() => {
    import('./designer.tsx').then(
      (module) => setLoaded(module),
      (failure) => setError(messageOf(failure)),
    );
  }, []);
  if (loaded) return <loaded.Designer {...props} />;
  return error === undefined ? <p aria-busy="true" class="faint" /> : <Failure text={error} />;
}
