/** Small signs that say in a word, and not by colour alone, how something is. */
import type { Listed } from './api.ts';

export function State({ recording }: { recording: Pick<Listed, 'phase' | 'healthy' | 'onhold'> }) {
  const { phase, healthy, onhold } = recording;
  if (!healthy) return <span class="badge bad">{phase === 'ended' ? 'Failed' : 'Failing'}</span>;
  if (phase === 'new' || phase === 'recording')
    return onhold ? (
      <span class="badge warn">On hold</span>
    ) : (
      <span class="badge live">
        <span class="pulse" aria-hidden="true" />
        Recording
      </span>
    );
  if (phase === 'stopping') return <span class="badge warn">Stopping</span>;
  if (phase === 'uploading') return <span class="badge info">Storing</span>;
  return <span class="badge">Ended</span>;
}

const MARKS = { good: ['good', 'Good'], fair: ['warn', 'Fair'], poor: ['bad', 'Poor'] } as const;
export function Mark({ mark }: { mark: Listed['mark'] }) {
  if (mark === null) return <span class="faint">–</span>;
  const [look, word] = MARKS[mark];
  return <span class={`badge ${look}`}>{word}</span>;
}

const MODES = { mix: 'Composite', individual: 'Individual', web: 'Web page' } as const;
export function modeName(mode: Listed['mode']): string {
  return MODES[mode];
}

export function Failure({ text }: { text: string | undefined }) {
  return text === undefined ? null : (
    <p class="error" role="alert">
      {text}
    </p>
  );
}
