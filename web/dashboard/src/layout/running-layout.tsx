/** The layout of a composite that is being recorded: what it was asked for last, and changing it. */
import { useState } from 'preact/hooks';
import { api, type Calls, type Listed } from '../api.ts';
import { Failure } from '../badges.tsx';
import { messageOf, useLoaded } from '../hooks.ts';
import type { Canvas, LayoutRequest } from './layout-request.ts';
import { LazyDesigner } from './lazy-designer.tsx';

const LOOK_MS = 3_000;

type Props = { appid: string; recording: Listed; calls: Calls; onChanged(): void };

export function RunningLayout({ appid, recording, calls, onChanged }: Props) {
  const [isOpen, setIsOpen] = useState(false);
  return (
    <section class="card" aria-labelledby="layout">
      <div class="head">
        <h2 id="layout">Layout</h2>
        <button type="button" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
          {isOpen ? 'Close the designer' : 'Design the layout'}
        </button>
      </div>
      {isOpen && <Open {...{ appid, recording, calls, onChanged }} />}
    </section>
  );
}

function Open({ appid, recording, calls, onChanged }: Props) {
  const people = usePeople(appid, recording.cname);
  const [asked] = useState(() => askedFor(calls));
  const [layout, setLayout] = useState<LayoutRequest | undefined>(asked.layout);
  const [said, setSaid] = useState<string>();
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const update = async () => {
    setBusy(true);
    setSaid(undefined);
    setError(undefined);
    try {
      await api.updateLayout(appid, recording, layout ?? {});
      setSaid('It is changed from now on.');
      onChanged();
    } catch (failure) {
      setError(messageOf(failure));
    }
    setBusy(false);
  };
  return (
    <>
      {asked.hadImages && (
        <p class="hint">
          The addresses of its images are not kept. Whoever changes the layout must give them again in the JSON, else
          they are shown no more.
        </p>
      )}
      <LazyDesigner
        canvas={asked.canvas}
        people={people}
        first={asked.layout}
        onLayout={(next) => {
          setLayout(next);
          setSaid(undefined);
        }}
      />
      <Failure text={error} />
      <div class="actions">
        <span class="sub" role="status">
          {said}
        </span>
        <button type="button" class="main" disabled={busy || layout === undefined} onClick={update}>
          Update the layout
        </button>
      </div>
    </>
  );
}

/** Who is in a channel, in the order they came. */
export function usePeople(appid: string, cname: string): string[] {
  const load = async () => {
    if (cname === '') return [];
    const people = (await api.participants(appid, cname)).filter(({ recorder }) => !recorder);
    return [...new Set(people.toSorted((a, b) => a.joinedAtMs - b.joinedAtMs).map(({ uid }) => uid))];
  };
  return useLoaded(load, [appid, cname], LOOK_MS).value ?? [];
}

const MEMBERS = ['mixedVideoLayout', 'maxResolutionUid', 'backgroundColor', 'layoutConfig'] as const;
const IMAGES = ['backgroundImage', 'defaultUserBackgroundImage', 'backgroundConfig'];

/** What the last call asked for; each replaces all of what was asked before (contract §1.4). */
function askedFor(calls: Calls): { layout: LayoutRequest; canvas: Canvas; hadImages: boolean } {
  const bodyOf = (each: Calls[number] | undefined) => member(each?.body, 'clientRequest');
  const start = member(
    member(bodyOf(calls.find(({ call }) => call === 'start')), 'recordingConfig'),
    'transcodingConfig',
  );
  const update = calls.findLast(({ call }) => call === 'updateLayout');
  const last = update ? bodyOf(update) : start;
  const layout = Object.fromEntries(
    MEMBERS.flatMap((name) => {
      const value = member(last, name);
      return value === undefined || value === null ? [] : [[name, value]];
    }),
  );
  return {
    layout: { mixedVideoLayout: 0, ...layout },
    // The contract's own, where none was asked for.
    canvas: { width: Number(member(start, 'width') ?? 360), height: Number(member(start, 'height') ?? 640) },
    hadImages: IMAGES.some((name) => member(last, name)),
  };
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
