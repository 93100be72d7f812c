/** What a composite is to be: its canvas, and its layout, which may be designed. */
import type { ComponentChildren } from 'preact';
import { useState } from 'preact/hooks';
import type { LayoutRequest } from './layout-request.ts';
import { LazyDesigner } from './lazy-designer.tsx';

/** Canvases of a composite, with what they take. */
const CANVASES = [
  { width: 640, height: 360, fps: 15, bitrate: 600 },
  { width: 1280, height: 720, fps: 30, bitrate: 2000 },
  { width: 1920, height: 1080, fps: 30, bitrate: 4000 },
  { width: 360, height: 640, fps: 15, bitrate: 600 },
  { width: 720, height: 1280, fps: 30, bitrate: 2000 },
] as const;
/** The layout is undefined while its JSON has a fault. */
export type Composite = { canvas: (typeof CANVASES)[number]; layout: LayoutRequest | undefined };
const BEST_FIT: LayoutRequest = { mixedVideoLayout: 1 };
export const SMALL: Composite = { canvas: CANVASES[0], layout: BEST_FIT };
export const MEDIUM: Composite = { canvas: CANVASES[1], layout: BEST_FIT };

type Props = {
  composite: Composite;
  onComposite(composite: Composite): void;
  /** The designer, made once it is opened. */
  design(): ComponentChildren;
};

export function CompositeFields({ composite, onComposite, design }: Props) {
  const [isOpen, setIsOpen] = useState(false);
  const { canvas } = composite;
  return (
    <>
      <label>
        Canvas
        <select
          value={CANVASES.indexOf(canvas)}
          onChange={({ currentTarget }) =>
            onComposite({ ...composite, canvas: CANVASES[Number(currentTarget.value)] ?? canvas })
          }
        >
          {CANVASES.map(({ width, height, fps, bitrate }, index) => (
            <option key={`${width} ${height}`} value={index}>
              {width} × {height}, {fps} pictures a second, {bitrate} kbit/s
            </option>
          ))}
        </select>
      </label>
      <details
        onToggle={({ currentTarget: { open } }) => {
          setIsOpen(open);
          // What has a fault is not seen any more.
          if (!open && !composite.layout) onComposite({ ...composite, layout: BEST_FIT });
        }}
      >
        <summary>Layout</summary>
        {isOpen && design()}
      </details>
    </>
  );
}

type DesignProps = Pick<Props, 'composite' | 'onComposite'> & { people: string[] };

/** The designer of the composite's layout, among these people. */
export function CompositeDesign({ composite, onComposite, people }: DesignProps) {
  return (
    <LazyDesigner
      canvas={composite.canvas}
      people={people}
      first={composite.layout ?? BEST_FIT}
      onLayout={(layout) => onComposite({ ...composite, layout })}
    />
  );
}
