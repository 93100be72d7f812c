/** The canvas of a layout with its regions, which are dragged, or moved by key. */
import { useRef } from 'preact/hooks';
import { byKey, type Canvas, moved, pull, type RegionEntry, sized } from './layout-request.ts';

type Shown = { uid: string | undefined; index: number; x: number; y: number; width: number; height: number };
type Props = {
  canvas: Canvas;
  color: string;
  shown: Shown[];
  /** Those of a custom layout; without them nothing is moved. */
  regions: RegionEntry[] | undefined;
  selected: number;
  /** The id of what says which keys there are. */
  keys: string;
  onSelect(index: number): void;
  /** @param isStep whether it goes on with a change that is under way */
  onRegion(index: number, region: RegionEntry, isStep: boolean): void;
  onRemove(index: number): void;
};

/** How near a dragged edge is pulled to another, in fractions of the canvas. */
const REACH = 0.015;
const MOST_REM = 22;

export function Regions({ canvas, color, shown, regions, selected, keys, onSelect, onRegion, onRemove }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const ratio = canvas.width / canvas.height;
  return (
    <div
      class="canvas"
      ref={box}
      data-testid="canvas"
      style={{ aspectRatio: String(ratio), maxWidth: `${(MOST_REM * ratio).toFixed(2)}rem`, background: color }}
    >
      {shown.map((each) => {
        const region = regions?.[each.index];
        const place = {
          left: part(each.x),
          top: part(each.y),
          width: part(each.width),
          height: part(each.height),
        };
        const name = nameOf(each.uid);
        if (!region)
          return (
            <span key={each.index} class="region" style={place}>
              <span class="name">{name}</span>
            </span>
          );
        return (
          <Handle
            key={each.index}
            {...{ place, region, box, name, keys, index: each.index, isSelected: selected === each.index }}
            lines={linesOf(regions, each.index)}
            onSelect={() => onSelect(each.index)}
            onRegion={(next, isStep) => onRegion(each.index, next, isStep)}
            onRemove={() => onRemove(each.index)}
          />
        );
      })}
    </div>
  );
}

type Lines = { x: number[]; y: number[] };
type HandleProps = {
  place: Record<string, string>;
  region: RegionEntry;
  box: { current: HTMLDivElement | null };
  name: string;
  keys: string;
  index: number;
  isSelected: boolean;
  lines: Lines;
  onSelect(): void;
  onRegion(region: RegionEntry, isStep: boolean): void;
  onRemove(): void;
};

function Handle({
  place,
  region,
  box,
  name,
  keys,
  index,
  isSelected,
  lines,
  onSelect,
  onRegion,
  onRemove,
}: HandleProps) {
  const drag = useRef<{ x: number; y: number; region: RegionEntry; sizes: boolean; isStep: boolean } | undefined>(
    undefined,
  );
  const begin = (event: PointerEvent) => {
    if (event.button !== 0) return;
    const element = event.currentTarget as HTMLElement;
    element.setPointerCapture(event.pointerId);
    element.focus();
    const sizes = (event.target as Element).classList.contains('corner');
    drag.current = { x: event.clientX, y: event.clientY, region, sizes, isStep: false };
    onSelect();
    event.preventDefault();
  };
  const go = (event: PointerEvent) => {
    const begun = drag.current;
    const size = box.current?.getBoundingClientRect();
    if (!begun || !size) return;
    const dx = (event.clientX - begun.x) / size.width;
    const dy = (event.clientY - begun.y) / size.height;
    if (dx === 0 && dy === 0) return;
    onRegion(begun.sizes ? resized(begun.region, dx, dy, lines) : shifted(begun.region, dx, dy, lines), begun.isStep);
    begun.isStep = true;
  };
  const end = () => {
    drag.current = undefined;
  };
  const key = (event: KeyboardEvent) => {
    if (event.key === 'Delete') {
      // Else the next key would go nowhere.
      const others = box.current?.querySelectorAll('button');
      others?.item(Math.max(0, index - 1)).focus();
      return onRemove();
    }
    const next = byKey(region, event.key, event.shiftKey);
    if (!next) return;
    event.preventDefault();
    onRegion(next, event.repeat);
  };
  const { x_axis, y_axis, width, height } = region;
  return (
    <button
      type="button"
      class={`region ${isSelected ? 'selected' : ''}`}
      style={place}
      aria-pressed={isSelected}
      aria-label={`Region ${index}, ${name}: ${percents(width)} wide, ${percents(height)} high, ${percents(x_axis)} from the left, ${percents(y_axis)} from the top`}
      aria-describedby={keys}
      onFocus={onSelect}
      onKeyDown={key}
      onPointerDown={begin}
      onPointerMove={go}
      onPointerUp={end}
      onPointerCancel={end}
    >
      <span class="name">
        {index}: <b>{name}</b>
      </span>
      <span class="corner" />
    </button>
  );
}

function shifted(region: RegionEntry, dx: number, dy: number, lines: Lines): RegionEntry {
  const to = moved(region, dx, dy);
  const { x_axis: x, y_axis: y, width, height } = to;
  return moved(to, pull([x, x + width], lines.x, REACH), pull([y, y + height], lines.y, REACH));
}

function resized(region: RegionEntry, dx: number, dy: number, lines: Lines): RegionEntry {
  const { x_axis: x, y_axis: y } = region;
  const [width, height] = [region.width + dx, region.height + dy];
  return sized(region, width + pull([x + width], lines.x, REACH), height + pull([y + height], lines.y, REACH));
}

/** What edges are pulled to: the canvas's own, its middle, and those of other regions. */
function linesOf(regions: RegionEntry[] = [], own: number): Lines {
  const others = regions.filter((_region, index) => index !== own);
  return {
    x: [0, 0.5, 1, ...others.flatMap(({ x_axis, width }) => [x_axis, x_axis + width])],
    y: [0, 0.5, 1, ...others.flatMap(({ y_axis, height }) => [y_axis, y_axis + height])],
  };
}

/** Those whom nobody is yet have names that are no uids. */
function nameOf(uid: string | undefined): string {
  if (uid === undefined) return 'nobody';
  return /^\d+$/.test(uid) ? `uid ${uid}` : uid;
}

function part(fraction: number): string {
  return `${(fraction * 100).toFixed(3)}%`;
}

function percents(fraction: number): string {
  return `${Number((fraction * 100).toFixed(1))} %`;
}
