/** How long the files of a recording are kept, its legal hold, and deleting them now. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Report, type Retention } from './api.ts';
import { Failure } from './badges.tsx';
import { counted, size, when } from './format.ts';
import { messageOf } from './hooks.ts';
import { keysIn, StoreKeys } from './store-keys.tsx';
import './keeping.css';

/** How often it is looked how far a deletion is. */
const LOOK_MS = 1_000;
const RULES = { recording: 'as its start says', app: 'as its app is set', call: 'as somebody asked' } as const;

type Props = {
  appid: string;
  report: Report;
  /** The store must be opened again to delete from it. */
  needsKeys: boolean;
  /** Files were deleted, or another rule holds. */
  onChanged(): void;
};

export function Keeping({ appid, report, needsKeys, onChanged }: Props) {
  const { sid, phase } = report;
  const [told, setTold] = useState<Retention | null>(report.retention);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  useEffect(() => setTold(report.retention), [report.retention]);
  const isUnderWay =
    told !== null && told.legalHold === null && isDue(told) && told.state !== 'refused' && told.state !== 'left';
  useEffect(() => {
    if (!isUnderWay) return;
    const look = () =>
      void api.retention(appid, sid).then(
        (now) => {
          setTold(now);
          if (now.state === 'deleted') onChanged();
        },
        () => {},
      );
    const timer = setInterval(look, LOOK_MS);
    return () => clearInterval(timer);
  }, [isUnderWay, appid, sid]);
  if (told === null) return null;
  const ask = async (call: () => Promise<Retention>) => {
    setBusy(true);
    setError(undefined);
    try {
      setTold(await call());
      onChanged();
    } catch (failure) {
      setError(messageOf(failure));
    }
    setBusy(false);
  };
  const isDeleted = told.state === 'deleted';
  return (
    <section class="card" aria-labelledby="keeping">
      <h2 id="keeping">Keeping</h2>
      <p>{sentenceOf(told)}</p>
      {told.legalHold && (
        <p>
          <b>Under a legal hold</b> since {when(told.legalHold.sinceMs)}, by {told.legalHold.by}
          {told.legalHold.reason === null ? '' : `: ${told.legalHold.reason}`}. Nothing is deleted.
        </p>
      )}
      {told.away && <p>{awaySentenceOf(told.away)}</p>}
      <Failure text={told.error ?? undefined} />
      {!isDeleted && (
        <>
          <Days {...{ appid, sid, told, needsKeys, busy, ask }} />
          <Hold {...{ appid, sid, told, busy, ask }} />
          {phase === 'ended' && told.legalHold === null && <DeleteNow {...{ appid, sid, needsKeys, busy, ask }} />}
        </>
      )}
      <Failure text={error} />
      {told.history.length > 0 && (
        <ul class="acts" aria-label="What was done">
          {told.history.map(({ atMs, act, by, details }) => (
            <li key={`${atMs} ${act}`}>
              <span class="sub">{when(atMs)}</span> {ACTS[act]}
              {by === null ? '' : ` by ${by}`}
              {details === null ? '' : `: ${details}`}
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

type Asking = { appid: string; sid: string; busy: boolean; ask(call: () => Promise<Retention>): Promise<void> };

function Days({ appid, sid, told, needsKeys, busy, ask }: Asking & { told: Retention; needsKeys: boolean }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    void ask(() => api.setRetention(appid, sid, { days: Number(form.get('days')), ...keysIn(form) }));
  };
  return (
    <form class="cut" onSubmit={submit}>
      <label class="days">
        Days to keep, 0 for ever
        <input name="days" type="number" min={0} max={36_500} required defaultValue={String(told.days ?? 0)} />
      </label>
      {needsKeys && <StoreKeys required={false} />}
      <button type="submit" disabled={busy}>
        Set
      </button>
    </form>
  );
}

function Hold({ appid, sid, told, busy, ask }: Asking & { told: Retention }) {
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const reason = String(new FormData(event.currentTarget as HTMLFormElement).get('reason') ?? '').trim();
    void ask(() => api.holdRecording(appid, sid, reason === '' ? {} : { reason }));
  };
  if (told.legalHold)
    return (
      <p>
        <button type="button" disabled={busy} onClick={() => void ask(() => api.releaseRecording(appid, sid))}>
          Lift the legal hold
        </button>
      </p>
    );
  return (
    <form class="cut" onSubmit={submit}>
      <label class="reason">
        Reason for a legal hold
        <input name="reason" maxLength={500} autocomplete="off" />
      </label>
      <button type="submit" disabled={busy}>
        Put under a legal hold
      </button>
    </form>
  );
}

function DeleteNow({ appid, sid, needsKeys, busy, ask }: Asking & { needsKeys: boolean }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    dialog.current?.close();
    void ask(() => api.deleteFiles(appid, sid, keysIn(form)));
  };
  return (
    <>
      <p>
        <button type="button" class="danger" disabled={busy} onClick={() => dialog.current?.showModal()}>
          Delete the files…
        </button>
      </p>
      <dialog ref={dialog} aria-labelledby="deleting">
        <form onSubmit={submit}>
          <h2 id="deleting">Delete all files of this recording?</h2>
          <p>They are gone for good, wherever they lie. What is known of the recording stays.</p>
          {needsKeys && <StoreKeys required={false} />}
          <div class="actions">
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button type="submit" class="danger">
              Delete for good
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}

function isDue({ dueMs, deletedMs }: Retention): boolean {
  return deletedMs === null && dueMs !== null && dueMs <= Date.now();
}

const ACTS: Record<Retention['history'][number]['act'], string> = {
  retention: 'Days were set',
  held: 'Put under a legal hold',
  released: 'The legal hold was lifted',
  deleting: 'Its deletion began',
  failed: 'Files could not be deleted, and it is tried again',
  refused: 'The store does not let files be deleted',
  left: 'Its files were deleted, but for those of a server that is gone',
  deleted: 'Its files were deleted',
};

function sentenceOf(told: Retention): string {
  const { days, rule, dueMs, deletedMs, state, files, bytes } = told;
  if (deletedMs !== null)
    return `Its files were deleted on ${when(deletedMs)}: ${counted(files, 'file')}, ${size(bytes)}.`;
  if (state === 'left')
    return `Its files were deleted where they could be reached: ${counted(files, 'file')}, ${size(bytes)}.`;
  if (state === 'deleting') return `Its files are being deleted: ${counted(files, 'file')} so far, ${size(bytes)}.`;
  if (isDue(told)) return 'Its files are to be deleted now.';
  const why = rule === null ? '' : `, ${RULES[rule]}`;
  if (days === null) return `Its files are kept for ever${why}.`;
  const until = dueMs === null ? '' : `, until ${when(dueMs)}`;
  return `Its files are kept for ${counted(days, 'day')} after its end${why}${until}.`;
}

/** Where files are that nobody else reaches. */
function awaySentenceOf({ server, seenMs, untilMs, files, bytes }: NonNullable<Retention['away']>): string {
  const seen = seenMs === null ? '' : `, and was last seen on ${when(seenMs)}`;
  const has = `The server ${server} is gone${seen}; ${counted(files, 'file')} (${size(bytes)}) may lie with it alone`;
  const until =
    untilMs === null ? '' : ` It is waited for until ${when(untilMs)}; then the others delete what they reach.`;
  return `${has}, and it deletes them when it is back.${until}`;
}
