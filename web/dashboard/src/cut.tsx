/** Cuts: an MP4 of a stretch that is chosen on the timeline, how far it is, and what it shows. */
import { useEffect, useState } from 'preact/hooks';
import { api, type CutReply, type CutRequest, type Report } from './api.ts';
import { Failure } from './badges.tsx';
import { exact, size, when } from './format.ts';
import { messageOf } from './hooks.ts';
import { keysIn, StoreKeys } from './store-keys.tsx';
import { type Chosen, Moment } from './stretch.tsx';
import './cut.css';

const LOOK_MS = 700;
/** Where a stretch begins when nothing is chosen yet, and how long it is. */
const FIRST_S = 10;

type Props = {
  appid: string;
  report: Report;
  /** Where the player is. */
  atS: number;
  /** The store must be opened again for its slices. */
  needsKeys: boolean;
  chosen: Chosen | undefined;
  onChosen(chosen: Chosen | undefined): void;
};

export function Cuts({ appid, report, atS, needsKeys, chosen, onChosen }: Props) {
  const { sid, quality } = report;
  const { cuts, error, begin, remove } = useCuts(appid, sid);
  const [busy, setBusy] = useState(false);
  if (quality === null || quality.filesFromMs === null) return null;
  const { mode } = report;
  const uids = mode === 'individual' ? quality.participants.map(({ uid }) => uid) : [];
  // What single users sent counts from the start call, the rest from the first picture or sound.
  const zeroS = mode === 'individual' ? quality.filesFromMs / 1000 : 0;
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    if (!chosen) return;
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    await begin({ from: Math.max(0, chosen.fromS + zeroS), to: chosen.toS + zeroS, ...restOf(form) });
    setBusy(false);
  };
  return (
    <section class="card" aria-labelledby="cut">
      <div class="head">
        <h2 id="cut">Cut</h2>
        {chosen ? (
          <button type="button" onClick={() => onChosen(undefined)}>
            Choose nothing
          </button>
        ) : (
          <button type="button" onClick={() => onChosen({ fromS: tenths(atS), toS: tenths(atS + FIRST_S) })}>
            Choose a stretch
          </button>
        )}
      </div>
      {!chosen && <p class="hint">An MP4 of any stretch: choose it here, or drag over the timeline.</p>}
      {chosen && (
        <form class="cut" onSubmit={submit}>
          <Moment label="From" s={chosen.fromS} onMoment={(fromS) => onChosen({ ...chosen, fromS })} />
          <Moment label="To" s={chosen.toS} onMoment={(toS) => onChosen({ ...chosen, toS })} />
          {uids.length > 0 && (
            <label>
              Whose
              <select name="uid">
                {uids.map((uid) => (
                  <option key={uid}>{uid}</option>
                ))}
              </select>
            </label>
          )}
          {needsKeys && <StoreKeys />}
          <button type="submit" class="main" disabled={busy || chosen.toS <= chosen.fromS}>
            Cut {exact(Math.max(0, chosen.toS - chosen.fromS))}
          </button>
        </form>
      )}
      <Failure text={error} />
      {cuts.length > 0 && (
        <ul class="cuts" aria-label="Cuts">
          {cuts.map((cut) => (
            <One key={cut.cutId} cut={cut} zeroS={zeroS} onRemove={() => remove(cut.cutId)} />
          ))}
        </ul>
      )}
    </section>
  );
}

function One({ cut, zeroS, onRemove }: { cut: CutReply; zeroS: number; onRemove(): void }) {
  const name = `${exact(cut.from - zeroS)} to ${exact(cut.to - zeroS)}`;
  return (
    <li aria-label={`Cut from ${name}`}>
      <div class="head">
        <b>{name}</b>
        {cut.bytes !== null && <span class="sub">{size(cut.bytes)}</span>}
        {cut.file !== null && (
          <a href={cut.file} download>
            Download
          </a>
        )}
        {cut.expiresMs !== null && cut.state === 'done' && <span class="sub">kept until {when(cut.expiresMs)}</span>}
        <button type="button" class="quiet" onClick={onRemove}>
          Remove<span class="unseen"> the cut from {name}</span>
        </button>
      </div>
      {(cut.state === 'queued' || cut.state === 'running') && (
        <p class="making">
          <progress max={1} value={cut.progress} aria-label={`Cut from ${name}`} />
          <span class="sub">{cut.state === 'queued' ? 'waits for others' : 'is being made'}</span>
        </p>
      )}
      <Failure text={cut.error ?? undefined} />
      {cut.file !== null && (
        // biome-ignore lint/a11y/useMediaCaption: recordings have no captions
        <video controls playsInline preload="metadata" src={cut.file} aria-label={`Cut from ${name}`} />
      )}
    </li>
  );
}

/** The cuts that this browser has asked for, also after the page was loaded anew. */
function useCuts(appid: string, sid: string) {
  const store = `cuts ${appid} ${sid}`;
  const [cuts, setCuts] = useState<CutReply[]>([]);
  const [error, setError] = useState<string>();
  const change = (changed: (before: CutReply[]) => CutReply[]) =>
    setCuts((before) => {
      const after = changed(before);
      sessionStorage.setItem(store, JSON.stringify(after.map(({ cutId }) => cutId)));
      return after;
    });
  const drop = (cutId: string) => change((before) => before.filter((each) => each.cutId !== cutId));
  const look = (cutId: string) =>
    api.cutOf(appid, sid, cutId).then(
      (cut) =>
        change((before) =>
          before.some((each) => each.cutId === cutId)
            ? before.map((each) => (each.cutId === cutId ? cut : each))
            : [...before, cut],
        ),
      // It is kept for an hour.
      (failure) => failure.status === 404 && drop(cutId),
    );
  useEffect(() => {
    for (const cutId of idsIn(sessionStorage.getItem(store))) void look(cutId);
  }, [store]);
  const open = cuts.filter(({ state }) => state === 'queued' || state === 'running').map(({ cutId }) => cutId);
  const asked = open.join(' ');
  // `asked` is the list as text.
  useEffect(() => {
    if (open.length === 0) return;
    const timer = setInterval(() => {
      for (const cutId of open) void look(cutId);
    }, LOOK_MS);
    return () => clearInterval(timer);
  }, [asked]);
  return {
    ...{ cuts, error },
    async begin(request: CutRequest) {
      setError(undefined);
      try {
        const cut = await api.cut(appid, sid, request);
        change((before) => [cut, ...before]);
      } catch (failure) {
        setError(messageOf(failure));
      }
    },
    async remove(cutId: string) {
      setError(undefined);
      try {
        await api.removeCut(appid, sid, cutId);
        drop(cutId);
      } catch (failure) {
        setError(messageOf(failure));
      }
    },
  };
}

function restOf(form: FormData): Pick<CutRequest, 'uid' | 'keys'> {
  const uid = String(form.get('uid') ?? '');
  return { ...(uid && { uid }), ...keysIn(form) };
}

function idsIn(text: string | null): string[] {
  try {
    const ids: unknown = JSON.parse(text ?? '[]');
    return Array.isArray(ids) ? ids.filter((each) => typeof each === 'string') : [];
  } catch {
    return [];
  }
}

function tenths(s: number): number {
  return Math.round(s * 10) / 10;
}
