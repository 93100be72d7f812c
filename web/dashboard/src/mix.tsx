/** Mixes: composites that are made later of a recording of single users, how far they are, and what they show. */
import { useState } from 'preact/hooks';
import { api, type MixReply, type MixRequest, type Report } from './api.ts';
import { Failure } from './badges.tsx';
import { exact, size, when } from './format.ts';
import { messageOf } from './hooks.ts';
import { type Composite, CompositeDesign, CompositeFields, MEDIUM } from './layout/composite-fields.tsx';
import { keysIn, StoreKeys } from './store-keys.tsx';
import { type Chosen, Moment } from './stretch.tsx';
import './mix.css';

/** Where a stretch begins when nothing is chosen yet, and how long it is. */
const FIRST_S = 10;

type Props = {
  appid: string;
  report: Report;
  /** Where the player is. */
  atS: number;
  /** The store must be opened again for its slices. */
  needsKeys: boolean;
  /** Those that there are, the newest first, as the server tells of them. */
  mixes: MixReply[];
  /** They are others now; the server will tell of the same. */
  onMixes(change: (mixes: MixReply[]) => MixReply[]): void;
  chosen: Chosen | undefined;
  onChosen(chosen: Chosen | undefined): void;
};

export function Mixes(props: Props) {
  const { mode, quality, phase } = props.report;
  if (mode !== 'individual' || quality === null || quality.filesFromMs === null) return null;
  const isOver = phase === 'ended' || phase === 'uploading';
  return (
    <section class="card" aria-labelledby="mix">
      <h2 id="mix">Mix</h2>
      {isOver ? (
        <Over {...props} quality={quality} zeroS={quality.filesFromMs / 1000} />
      ) : (
        <p class="hint">Once the recording has ended, one picture and one sound can be made of its users.</p>
      )}
    </section>
  );
}

type OverProps = Props & {
  quality: NonNullable<Report['quality']>;
  /** Where the first picture or sound is, seconds of the recording. */
  zeroS: number;
};

function Over({ appid, report, quality, zeroS, atS, needsKeys, mixes, onMixes, chosen, onChosen }: OverProps) {
  const { sid } = report;
  const [isOpen, setIsOpen] = useState(false);
  const [composite, setComposite] = useState<Composite>(MEDIUM);
  const [left, setLeft] = useState<ReadonlySet<string>>(new Set());
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  const people = quality.participants.filter(({ tracks }) => tracks.length > 0);
  const users = people.map(({ uid }) => uid).filter((uid) => !left.has(uid));
  const change = async (call: () => Promise<(mixes: MixReply[]) => MixReply[]>) => {
    setBusy(true);
    setError(undefined);
    try {
      onMixes(await call());
    } catch (failure) {
      setError(messageOf(failure));
    }
    setBusy(false);
  };
  const remove = ({ mixId }: MixReply) =>
    change(async () => {
      await api.removeMix(appid, sid, mixId);
      return (before) => before.filter((each) => each.mixId !== mixId);
    });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const request: MixRequest = {
      users,
      ...(chosen && { from: Math.max(0, chosen.fromS + zeroS), to: chosen.toS + zeroS }),
      // As it is designed, which is checked as the server does it.
      transcodingConfig: { ...composite.canvas, ...composite.layout } as MixRequest['transcodingConfig'],
      ...keysIn(form),
    };
    void change(async () => {
      const made = await api.mix(appid, sid, request);
      // The server may have told of it already, and of more.
      return (before) => (before.some(({ mixId }) => mixId === made.mixId) ? before : [made, ...before]);
    });
  };
  const isReady = users.length > 0 && composite.layout !== undefined && (!chosen || chosen.toS > chosen.fromS);
  return (
    <>
      <div class="head">
        <p class="hint">One picture and one sound of its users, as an MP4.</p>
        <button type="button" aria-expanded={isOpen} onClick={() => setIsOpen(!isOpen)}>
          {isOpen ? 'Close' : 'Make a mix'}
        </button>
      </div>
      {isOpen && (
        <form class="mix" onSubmit={submit}>
          <fieldset class="users">
            <legend>Users</legend>
            {people.map(({ uid, presence }) => (
              <label class="check" key={uid}>
                <input
                  type="checkbox"
                  checked={!left.has(uid)}
                  onChange={({ currentTarget }) => setLeft(changed(left, uid, !currentTarget.checked))}
                />
                <b class="name">{uid}</b>
                <span class="sub">{presence.map((stay) => spanOf(stay, zeroS)).join(', ')}</span>
              </label>
            ))}
          </fieldset>
          <CompositeFields
            composite={composite}
            onComposite={setComposite}
            design={() => <CompositeDesign composite={composite} onComposite={setComposite} people={users} />}
          />
          <fieldset class="cut">
            <legend>Stretch</legend>
            {chosen ? (
              <>
                <Moment label="Mix from" s={chosen.fromS} onMoment={(fromS) => onChosen({ ...chosen, fromS })} />
                <Moment label="Mix to" s={chosen.toS} onMoment={(toS) => onChosen({ ...chosen, toS })} />
                <button type="button" onClick={() => onChosen(undefined)}>
                  All of it
                </button>
              </>
            ) : (
              <>
                <span>All of it</span>
                <button
                  type="button"
                  onClick={() =>
                    onChosen({ fromS: Math.round(atS * 10) / 10, toS: Math.round(atS * 10) / 10 + FIRST_S })
                  }
                >
                  Only a stretch
                </button>
              </>
            )}
          </fieldset>
          {needsKeys && <StoreKeys />}
          <div class="actions">
            <button type="submit" class="main" disabled={busy || !isReady}>
              Mix {users.length === 1 ? 'one user' : `${users.length} users`}
            </button>
          </div>
        </form>
      )}
      <Failure text={error} />
      {mixes.length > 0 && (
        <ul class="cuts" aria-label="Mixes">
          {mixes.map((mix) => (
            <One key={mix.mixId} mix={mix} zeroS={zeroS} onRemove={() => remove(mix)} />
          ))}
        </ul>
      )}
    </>
  );
}

function One({ mix, zeroS, onRemove }: { mix: MixReply; zeroS: number; onRemove(): void }) {
  const times = `${exact(Math.max(0, mix.from - zeroS))} to ${exact(mix.to - zeroS)}`;
  const name = `Mix of ${mix.users.join(', ')} from ${times}`;
  const isOpen = isUnderWay(mix);
  return (
    <li aria-label={name}>
      <div class="head">
        <b>{times}</b>
        <span class="sub name">{mix.users.join(', ')}</span>
        {mix.bytes !== null && <span class="sub">{size(mix.bytes)}</span>}
        {mix.file !== null && (
          <a href={mix.file} download>
            Download
          </a>
        )}
        {mix.expiresMs !== null && mix.state === 'done' && <span class="sub">kept until {when(mix.expiresMs)}</span>}
        <button type="button" class="quiet" onClick={onRemove}>
          {isOpen ? 'Cancel' : 'Remove'}
          <span class="unseen"> the {name.replace('Mix', 'mix')}</span>
        </button>
      </div>
      {isOpen && (
        <p class="making">
          <progress max={1} value={mix.progress} aria-label={name} />
          <span class="sub">
            {mix.state === 'queued' ? 'waits for its turn' : `${Math.floor(100 * mix.progress)} %`}
            {mix.error !== null && `, begun anew: ${mix.error}`}
          </span>
        </p>
      )}
      {!isOpen && <Failure text={mix.error ?? undefined} />}
      {mix.warnings.map((warning) => (
        <p class="hint" key={warning}>
          {warning}
        </p>
      ))}
      {mix.file !== null && (
        // biome-ignore lint/a11y/useMediaCaption: recordings have no captions
        <video controls playsInline preload="metadata" src={mix.file} aria-label={name} />
      )}
    </li>
  );
}

function isUnderWay({ state }: MixReply): boolean {
  return state === 'queued' || state === 'running';
}

function spanOf({ joinedMs, leftMs }: { joinedMs: number; leftMs: number | null }, zeroS: number): string {
  const shown = (ms: number) => exact(Math.max(0, ms / 1000 - zeroS));
  return `${shown(joinedMs)} to ${leftMs === null ? 'the end' : shown(leftMs)}`;
}

function changed(set: ReadonlySet<string>, uid: string, isIn: boolean): Set<string> {
  const next = new Set(set);
  if (isIn) next.add(uid);
  else next.delete(uid);
  return next;
}
