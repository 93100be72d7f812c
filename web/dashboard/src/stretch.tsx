/** Stretch: a part of a recording that is chosen on its timeline, with the pointer or by key. */
import { useRef } from 'preact/hooks';
import type { Axis, Played } from './axis.ts';
import { exact, secondsOf } from './format.ts';
import { Typed } from './typed.tsx';

/** Seconds of the recording as it plays. */
export type Chosen = { fromS: number; toS: number };

/** A pointer that is moved less has clicked. */
const LEAST_PX = 6;
const LEAST_S = 0.1;
const STEP_S = 1;
const FINE_STEP_S = 0.1;

type Options = {
  /** Seconds of the recording at a share of the width. */
  atShare(share: number): number;
  onClick: ((s: number) => void) | undefined;
  onChosen(chosen: Chosen): void;
};

/** What a drag over the timeline chooses; a click is a click. */
export function useChoosing({ atShare, onClick, onChosen }: Options) {
  const from = useRef<{ x: number; s: number; isDrag: boolean } | undefined>(undefined);
  const at = (event: PointerEvent) => {
    const { left, width } = (event.currentTarget as Element).getBoundingClientRect();
    return atShare((event.clientX - left) / width);
  };
  return {
    onPointerDown(event: PointerEvent) {
      if (event.button !== 0 || (event.target as Element).closest('[role=slider]')) return;
      (event.currentTarget as Element).setPointerCapture(event.pointerId);
      from.current = { x: event.clientX, s: at(event), isDrag: false };
    },
    onPointerMove(event: PointerEvent) {
      const begun = from.current;
      if (!begun) return;
      begun.isDrag ||= Math.abs(event.clientX - begun.x) >= LEAST_PX;
      if (begun.isDrag) onChosen(inOrder(begun.s, at(event)));
    },
    onPointerUp(event: PointerEvent) {
      if (from.current && !from.current.isDrag) onClick?.(at(event));
      from.current = undefined;
    },
    onPointerCancel() {
      from.current = undefined;
    },
  };
}

type Props = { axis: Axis; played: Played; chosen: Chosen; onChosen(chosen: Chosen): void };

export function ChosenStretch({ axis, played, chosen, onChosen }: Props) {
  const { fromS, toS } = chosen;
  const [fromMs, toMs] = [played.msAt(fromS), played.msAt(toS)];
  return (
    <>
      <span class="chosen" style={{ left: axis.percent(fromMs), width: axis.width(fromMs, toMs) }} />
      <Edge
        label="Begin of the cut"
        {...{ axis, played, s: fromS, leastS: 0, mostS: toS - LEAST_S }}
        onMoved={(s) => onChosen({ fromS: s, toS })}
      />
      <Edge
        label="End of the cut"
        {...{ axis, played, s: toS, leastS: fromS + LEAST_S, mostS: played.lengthS }}
        onMoved={(s) => onChosen({ fromS, toS: s })}
      />
    </>
  );
}

type EdgeProps = {
  label: string;
  axis: Axis;
  played: Played;
  s: number;
  leastS: number;
  mostS: number;
  onMoved(s: number): void;
};

function Edge({ label, axis, played, s, leastS, mostS, onMoved }: EdgeProps) {
  const move = (to: number) => onMoved(tenths(Math.max(leastS, Math.min(mostS, to))));
  const key = (event: KeyboardEvent) => {
    const step = event.shiftKey ? FINE_STEP_S : STEP_S;
    const to = { ArrowLeft: s - step, ArrowDown: s - step, ArrowRight: s + step, ArrowUp: s + step }[event.key];
    const end = { Home: leastS, End: mostS }[event.key];
    if (to === undefined && end === undefined) return;
    event.preventDefault();
    move(to ?? end ?? s);
  };
  const drag = (event: PointerEvent) => {
    const handle = event.currentTarget as Element;
    if (!handle.hasPointerCapture(event.pointerId)) return;
    const { left, width } = handle.parentElement?.getBoundingClientRect() ?? { left: 0, width: 1 };
    move(played.secondsAt(axis.atShare((event.clientX - left) / width)));
  };
  return (
    <span
      class="edge"
      role="slider"
      tabIndex={0}
      aria-label={label}
      aria-valuemin={leastS}
      aria-valuemax={mostS}
      aria-valuenow={s}
      aria-valuetext={exact(s)}
      style={{ left: axis.percent(played.msAt(s)) }}
      onKeyDown={key}
      onPointerDown={(event) => event.currentTarget.setPointerCapture(event.pointerId)}
      onPointerMove={drag}
    />
  );
}

/** An end of a stretch, which can be typed. */
export function Moment({ label, s, onMoment }: { label: string; s: number; onMoment(s: number): void }) {
  const read = (text: string) => {
    const seconds = secondsOf(text);
    if (seconds !== undefined) onMoment(seconds);
    return seconds !== undefined;
  };
  return <Typed label={label} value={exact(s)} onTyped={read} />;
}

function inOrder(a: number, b: number): Chosen {
  const fromS = tenths(Math.min(a, b));
  return { fromS, toS: Math.max(tenths(Math.max(a, b)), fromS + LEAST_S) };
}

function tenths(s: number): number {
  return Math.round(s * 10) / 10;
}
