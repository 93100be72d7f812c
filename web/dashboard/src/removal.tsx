/** Removing one person from a recording of single users, and the record of who was removed. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Removal, type Removing, type Report } from './api.ts';
import { Failure } from './badges.tsx';
import { counted, size, when } from './format.ts';
import { messageOf, useLoaded } from './hooks.ts';
import { keysIn, StoreKeys } from './store-keys.tsx';
import './removal.css';

/** How often it is looked how far a removal is. */
const LOOK_MS = 1_000;

type Props = {
  appid: string;
  report: Report;
  /** Files are gone, or were made anew. */
  onChanged(): void;
};

export function Removals({ appid, report, onChanged }: Props) {
  const { sid, quality } = report;
  const removals = useLoaded<Removal[]>(() => api.removals(appid, sid), [appid, sid]);
  const [preview, setPreview] = useState<Removing>();
  const [error, setError] = useState<string>();
  const told = removals.value ?? [];
  const isUnderWay = told.some(({ state, error: failed }) => state === 'removing' && failed === null);
  const { reload } = removals;
  useEffect(() => {
    if (!isUnderWay) return;
    const timer = setInterval(reload, LOOK_MS);
    return () => clearInterval(timer);
  }, [isUnderWay, reload]);
  // One may be done before it is looked for the first time.
  const done = told.filter(({ state }) => state === 'removed').length;
  useEffect(() => {
    if (done > 0) onChanged();
  }, [done]);
  const look = async (uid: string) => {
    setError(undefined);
    try {
      setPreview(await api.previewRemoval(appid, sid, uid));
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  return (
    <section class="card" aria-labelledby="removing">
      <h2 id="removing">Remove a person</h2>
      <p class="hint">Their picture, sound and files go for good. Who was removed, and what went, stays known.</p>
      <Choice uids={(quality?.participants ?? []).map(({ uid }) => uid)} onChosen={look} />
      <Failure text={error ?? removals.error} />
      {preview && (
        <Confirmation
          {...{ appid, sid, preview }}
          onClosed={() => setPreview(undefined)}
          onAsked={() => {
            setPreview(undefined);
            reload();
          }}
          onFailed={setError}
        />
      )}
      {told.map((removal) => (
        <Told key={removal.uid} removal={removal} />
      ))}
    </section>
  );
}

/** Those whom the quality report names, and anybody else by number. */
function Choice({ uids, onChosen }: { uids: string[]; onChosen(uid: string): Promise<void> }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    void onChosen(String(new FormData(event.currentTarget as HTMLFormElement).get('person') ?? ''));
  };
  return (
    <form class="cut" onSubmit={submit}>
      <label>
        uid of the person
        <input name="person" list="persons" required pattern="[1-9][0-9]{0,9}" autocomplete="off" inputMode="numeric" />
      </label>
      <datalist id="persons">
        {uids.map((uid) => (
          <option key={uid} value={uid} />
        ))}
      </datalist>
      <button type="submit">See what would go…</button>
    </form>
  );
}

type Confirming = {
  appid: string;
  sid: string;
  preview: Removing;
  onClosed(): void;
  onAsked(): void;
  onFailed(text: string): void;
};

function Confirmation({ appid, sid, preview, onClosed, onAsked, onFailed }: Confirming) {
  const { uid, files, deletedBytes, needsKeys, kept } = preview;
  const dialog = useRef<HTMLDialogElement>(null);
  const [typed, setTyped] = useState('');
  useEffect(() => dialog.current?.showModal(), []);
  const own = files.filter(({ act }) => act === 'delete');
  const shared = files.filter(({ act }) => act === 'rewrite');
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    try {
      await api.removePerson(appid, sid, { uid, ...keysIn(form) });
      onAsked();
    } catch (failure) {
      onFailed(messageOf(failure));
      onClosed();
    }
  };
  return (
    <dialog ref={dialog} aria-labelledby="removal" onClose={onClosed}>
      <form onSubmit={submit}>
        <h2 id="removal">Remove {uid} from this recording?</h2>
        <p>
          {counted(own.length, 'file')}, {size(deletedBytes)}, go for good, with all their versions.
        </p>
        <details>
          <summary>Which</summary>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by key as well */}
          <ul class="acts" aria-label="Files that go" tabIndex={0}>
            {own.map(({ name, bytes }) => (
              <li key={name}>
                <code>{name}</code> <span class="sub">{size(bytes)}</span>
              </li>
            ))}
          </ul>
        </details>
        {shared.length > 0 && (
          <>
            <p>Made anew without the person:</p>
            <ul class="acts">
              {shared.map(({ name }) => (
                <li key={name}>
                  <code>{name}</code>
                </li>
              ))}
            </ul>
          </>
        )}
        <p>What still names the person afterwards:</p>
        <ul class="acts">
          {kept.map((each) => (
            <li key={each}>{each}</li>
          ))}
        </ul>
        {needsKeys && <StoreKeys />}
        <label>
          Type {uid} to confirm
          <input
            name="confirmed"
            autocomplete="off"
            value={typed}
            onInput={(event) => setTyped(event.currentTarget.value)}
          />
        </label>
        <div class="actions">
          <button type="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button type="submit" class="danger" disabled={typed.trim() !== uid}>
            Remove for good
          </button>
        </div>
      </form>
    </dialog>
  );
}

function Told({ removal }: { removal: Removal }) {
  const { uid, askedMs, askedBy, files, servers, error, nextTryMs } = removal;
  const gone = files.filter(({ outcome }) => outcome === 'deleted' || outcome === 'gone');
  const bytes = gone.reduce((sum, file) => sum + file.bytes, 0);
  return (
    <div class="removal">
      <h3>{uid}</h3>
      <p>
        {sentenceOf(removal)} Asked for on {when(askedMs)} by {askedBy}. {counted(gone.length, 'file')} deleted,{' '}
        {size(bytes)}.
      </p>
      {error !== null && (
        <Failure text={nextTryMs === null ? error : `${error}. It is tried again on ${when(nextTryMs)}.`} />
      )}
      <details>
        <summary>What went</summary>
        <ul class="acts" aria-label={`Files of ${uid}`}>
          {files.map(({ name, bytes: before, outcome, newBytes, versions, details }) => (
            <li key={name}>
              <code>{name}</code>{' '}
              <span class="sub">
                {outcome ?? 'still there'}, {size(before)}
                {newBytes === null ? '' : `, now ${size(newBytes)}`}
                {versions === null ? '' : `, ${counted(versions, 'version')}`}
                {details === null ? '' : `: ${details}`}
              </span>
            </li>
          ))}
          {servers.map(({ folder, atMs, files: copies }) => (
            <li key={folder}>
              {copies === 1 ? 'one copy' : `${copies} copies`} on the disk of a server{' '}
              <span class="sub">{when(atMs)}</span>
            </li>
          ))}
        </ul>
      </details>
    </div>
  );
}

function sentenceOf({ state, doneMs }: Removal): string {
  if (state === 'removed') return `Removed${doneMs === null ? '' : ` on ${when(doneMs)}`}.`;
  if (state === 'held') return 'A legal hold keeps what is left.';
  if (state === 'refused') return 'The store does not let files be deleted, and is asked no more.';
  return 'Being removed.';
}
