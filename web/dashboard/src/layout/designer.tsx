/** Designer of a composite's layout: regions on a canvas, the JSON of the call beside them, and who is seen where. */
import { useId, useState } from 'preact/hooks';
import { Typed } from '../typed.tsx';
import './designer.css';
import {
  type Canvas,
  checkLayout,
  type LayoutRequest,
  MOST_REGIONS,
  ofKind,
  placed,
  type RegionEntry,
  textOf,
  withNewRegion,
  withoutRegion,
  withRegion,
} from './layout-request.ts';
import { Regions } from './regions.tsx';

type Props = {
  canvas: Canvas;
  /** Who is in the channel, in the order they came. */
  people: string[];
  first: LayoutRequest;
  /** Called with what is designed, and with undefined while the JSON has a fault. */
  onLayout(layout: LayoutRequest | undefined): void;
};

const KINDS = ['Floating', 'Best fit', 'Vertical', 'Custom'] as const;
const MOST_UNDONE = 100;

export function Designer({ canvas, people, first, onLayout }: Props) {
  const [text, setText] = useState(() => textOf(first));
  const [last, setLast] = useState(first);
  const [undo, setUndo] = useState<string[]>([]);
  const [selected, setSelected] = useState(0);
  const [count, setCount] = useState<number>();
  const keys = useId();
  const { request, warnings, error } = checkLayout(text, canvas);
  const shownRequest = request ?? last;
  const kind = shownRequest.mixedVideoLayout ?? 0;
  const regions = kind === 3 ? (shownRequest.layoutConfig ?? []) : undefined;
  const wanted = Math.max(1, count ?? (people.length || 2));
  const uids = [...people, ...Array.from({ length: MOST_REGIONS }, (_, n) => `user ${n + 1}`)].slice(
    0,
    Math.max(wanted, people.length),
  );
  const shown = placed(shownRequest, uids);

  const write = (next: string, isStep = false) => {
    if (!isStep) setUndo((before) => [...before.slice(-MOST_UNDONE), text]);
    setText(next);
    const checked = checkLayout(next, canvas);
    if (checked.request) setLast(checked.request);
    onLayout(checked.request);
  };
  const change = (next: LayoutRequest, isStep?: boolean) => write(textOf(next), isStep);
  const remove = (index: number) => {
    change(withoutRegion(shownRequest, index));
    setSelected(Math.max(0, index - 1));
  };
  const region = regions?.[selected];
  return (
    <div class="designer">
      <div class="tools">
        <label>
          Kind
          <select
            value={kind}
            onChange={({ currentTarget }) =>
              change(ofKind(shownRequest, Number(currentTarget.value) as 0 | 1 | 2 | 3, uids))
            }
          >
            {KINDS.map((name, value) => (
              <option key={name} value={value}>
                {name}
              </option>
            ))}
          </select>
        </label>
        <Typed
          label="Users"
          range={{ min: 1, max: MOST_REGIONS, step: 1 }}
          value={String(uids.length)}
          onTyped={(typed) => {
            const isRead = /^\d+$/.test(typed) && Number(typed) >= 1 && Number(typed) <= MOST_REGIONS;
            if (isRead) setCount(Number(typed));
            return isRead;
          }}
        />
        <label>
          Background
          <input
            type="color"
            value={colorOf(shownRequest)}
            onInput={({ currentTarget }) => change({ ...shownRequest, backgroundColor: currentTarget.value }, true)}
          />
        </label>
        {regions && (
          <button
            type="button"
            disabled={regions.length >= MOST_REGIONS}
            onClick={() => {
              change(withNewRegion(shownRequest));
              setSelected(regions.length);
            }}
          >
            Add a region
          </button>
        )}
        <button
          type="button"
          disabled={undo.length === 0}
          onClick={() => {
            write(undo.at(-1) ?? text, true);
            setUndo((before) => before.slice(0, -1));
          }}
        >
          Undo
        </button>
      </div>
      <div class="sides">
        <div class="stack">
          <Regions
            {...{ canvas, shown, regions, selected, keys }}
            color={colorOf(shownRequest)}
            onSelect={setSelected}
            onRegion={(index, next, isStep) => change(withRegion(shownRequest, index, next), isStep)}
            onRemove={remove}
          />
          <p class="hint" id={keys}>
            {regions
              ? 'Drag a region, or its corner. By key: arrows move it, shift and arrows change its size, Delete removes it.'
              : 'Choose Custom to move what is there by hand.'}
          </p>
          {region && (
            <RegionForm
              key={selected}
              {...{ region, people }}
              index={selected}
              onRegion={(next) => change(withRegion(shownRequest, selected, next))}
              onRemove={() => remove(selected)}
            />
          )}
        </div>
        <div class="stack">
          <Who {...{ people, shown, regions }} />
          <label>
            JSON
            <textarea
              rows={14}
              spellcheck={false}
              value={text}
              aria-invalid={error !== undefined}
              onInput={({ currentTarget }) => write(currentTarget.value, true)}
            />
          </label>
          {error !== undefined && (
            <p class="error" role="alert">
              {error}
            </p>
          )}
          {warnings && warnings.length > 0 && (
            <ul class="warnings">
              {warnings.map((each) => (
                <li key={each}>{each}</li>
              ))}
            </ul>
          )}
        </div>
      </div>
    </div>
  );
}

type FormProps = {
  region: RegionEntry;
  index: number;
  people: string[];
  onRegion(change: Partial<RegionEntry>): void;
  onRemove(): void;
};

const SIDES = [
  ['x_axis', 'Left'],
  ['y_axis', 'Top'],
  ['width', 'Width'],
  ['height', 'Height'],
] as const;

function RegionForm({ region, index, people, onRegion, onRemove }: FormProps) {
  const list = useId();
  const number = (name: 'alpha' | (typeof SIDES)[number][0], label: string, value: number) => (
    <Typed
      key={name}
      label={label}
      value={String(value)}
      onTyped={(typed) => {
        const isRead = /^(\d+\.?\d*|\.\d+)$/.test(typed.trim());
        if (isRead) onRegion({ [name]: Number(typed) });
        return isRead;
      }}
    />
  );
  return (
    <fieldset class="one-region">
      <legend>Region {index}</legend>
      <Typed
        label="uid"
        list={list}
        value={region.uid ?? ''}
        placeholder="any"
        onTyped={(typed) => {
          onRegion({ uid: typed.trim() });
          return true;
        }}
      />
      <datalist id={list}>
        {people.map((uid) => (
          <option key={uid} value={uid} />
        ))}
      </datalist>
      {SIDES.map(([name, label]) => number(name, label, region[name]))}
      {number('alpha', 'Opacity', region.alpha ?? 1)}
      <label>
        Picture
        <select
          value={region.render_mode ?? 0}
          onChange={({ currentTarget }) => onRegion({ render_mode: currentTarget.value === '1' ? 1 : 0 })}
        >
          <option value={0}>fills it</option>
          <option value={1}>is seen whole</option>
        </select>
      </label>
      <button type="button" class="quiet" onClick={onRemove}>
        Remove region {index}
      </button>
    </fieldset>
  );
}

type WhoProps = {
  people: string[];
  shown: { uid: string | undefined; index: number }[];
  regions: RegionEntry[] | undefined;
};

/** What the layout makes of those who are there. */
function Who({ people, shown, regions }: WhoProps) {
  const unseen = people.filter((uid) => !shown.some((each) => each.uid === uid));
  const waiting = (regions ?? []).flatMap(({ uid }, index) => (uid && !people.includes(uid) ? [{ uid, index }] : []));
  return (
    <ul class="who-is-where" aria-label="Who is seen">
      {people.length === 0 && <li class="faint">Nobody is in the channel.</li>}
      {people.length > 0 && unseen.length === 0 && (
        <li>{people.length === 1 ? 'The one who is' : `All ${people.length} who are`} in the channel are seen.</li>
      )}
      {unseen.map((uid) => (
        <li key={uid}>
          <b class="name">{uid}</b> is heard, and has no place.
        </li>
      ))}
      {waiting.map(({ uid, index }) => (
        <li key={index}>
          Region {index} waits for <b class="name">{uid}</b>, who is not there.
        </li>
      ))}
    </ul>
  );
}

function colorOf({ backgroundColor }: LayoutRequest): string {
  return backgroundColor || '#000000';
}
