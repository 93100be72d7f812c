/** Starting a recording, by the calls of the public API. */
import { useRef, useState } from 'preact/hooks';
import { api, type StartRequest } from './api.ts';
import { Failure } from './badges.tsx';
import { linkTo, messageOf } from './hooks.ts';
import type { LayoutRequest } from './layout/layout-request.ts';
import { LazyDesigner } from './layout/lazy-designer.tsx';
import { usePeople } from './layout/running-layout.tsx';

/** Canvases of a composite, with what they take. */
const CANVASES = [
  { width: 640, height: 360, fps: 15, bitrate: 600 },
  { width: 1280, height: 720, fps: 30, bitrate: 2000 },
  { width: 1920, height: 1080, fps: 30, bitrate: 4000 },
  { width: 360, height: 640, fps: 15, bitrate: 600 },
  { width: 720, height: 1280, fps: 30, bitrate: 2000 },
] as const;
type Composite = { canvas: (typeof CANVASES)[number]; layout: LayoutRequest | undefined };
const FIRST: Composite = { canvas: CANVASES[0], layout: { mixedVideoLayout: 1 } };

export function StartButton({ appid, cname }: { appid: string; cname?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [place, setPlace] = useState('here');
  const [uid] = useState(freeUid);
  const [mode, setMode] = useState('mix');
  const [channel, setChannel] = useState(cname ?? '');
  const [composite, setComposite] = useState(FIRST);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const sid = await api.start(appid, requestOf(new FormData(event.currentTarget as HTMLFormElement), composite));
      dialog.current?.close();
      location.hash = linkTo(appid, 'recordings', sid);
    } catch (failure) {
      setError(messageOf(failure));
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class={cname === undefined ? 'main' : ''} onClick={() => dialog.current?.showModal()}>
        {cname === undefined ? 'Start a recording' : 'Record'}
        {cname !== undefined && <span class="unseen"> {cname}</span>}
      </button>
      <dialog ref={dialog} aria-label="Start a recording">
        <form onSubmit={submit}>
          <h2>Start a recording</h2>
          <div class="two">
            <label>
              Channel
              <input
                name="cname"
                required
                value={channel}
                onInput={({ currentTarget }) => setChannel(currentTarget.value)}
                autocapitalize="off"
                spellcheck={false}
              />
            </label>
            <label>
              Recorder’s uid
              <input name="uid" required defaultValue={uid} inputMode="numeric" pattern="[1-9][0-9]{0,9}" />
            </label>
          </div>
          <label>
            Mode
            <select name="mode" value={mode} onChange={({ currentTarget }) => setMode(currentTarget.value)}>
              <option value="mix">Composite: everybody in one picture</option>
              <option value="individual">Individual: everybody alone</option>
            </select>
          </label>
          {mode === 'mix' && (
            <CompositeFields appid={appid} cname={channel} composite={composite} onComposite={setComposite} />
          )}
          <label class="check">
            <input type="checkbox" name="mp4" checked /> MP4 beside HLS
          </label>
          <label>
            Where to
            <select name="place" value={place} onChange={({ currentTarget }) => setPlace(currentTarget.value)}>
              <option value="here">A folder of this server</option>
              <option value="store">Another store</option>
            </select>
          </label>
          {place === 'here' ? (
            <label>
              Folder
              <input name="bucket" required defaultValue="recordings" pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,62}" />
            </label>
          ) : (
            <label>
              storageConfig
              <textarea
                name="storage"
                rows={5}
                required
                spellcheck={false}
                placeholder={'{"vendor": 1, "region": 0, "bucket": "…", "accessKey": "…", "secretKey": "…"}'}
              />
            </label>
          )}
          <label>
            Token
            <input name="token" autocomplete="off" spellcheck={false} placeholder="Where the app has a certificate" />
          </label>
          <Failure text={error} />
          <div class="actions">
            <button type="button" onClick={() => dialog.current?.close()}>
              Cancel
            </button>
            <button type="submit" class="main" disabled={busy || (mode === 'mix' && !composite.layout)}>
              Start
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}

type FieldsProps = { appid: string; cname: string; composite: Composite; onComposite(composite: Composite): void };

function CompositeFields({ appid, cname, composite, onComposite }: FieldsProps) {
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
          if (!open && !composite.layout) onComposite({ ...composite, layout: FIRST.layout });
        }}
      >
        <summary>Layout</summary>
        {isOpen && <Design appid={appid} cname={cname} composite={composite} onComposite={onComposite} />}
      </details>
    </>
  );
}

function Design({ appid, cname, composite, onComposite }: FieldsProps) {
  const people = usePeople(appid, cname);
  return (
    <LazyDesigner
      canvas={composite.canvas}
      people={people}
      first={composite.layout ?? { mixedVideoLayout: 1 }}
      onLayout={(layout) => onComposite({ ...composite, layout })}
    />
  );
}

/** One that no participant has by chance. */
function freeUid(): string {
  return String(900_000_000 + Math.floor(Math.random() * 99_999_999));
}

function requestOf(form: FormData, { canvas, layout }: Composite): StartRequest {
  const text = (name: string) => String(form.get(name) ?? '').trim();
  const mode = text('mode') === 'individual' ? 'individual' : 'mix';
  const here = { vendor: 1000, region: 0, bucket: text('bucket'), accessKey: '', secretKey: '' };
  const formats = ['hls', ...(form.has('mp4') ? ['mp4'] : [])];
  const streams =
    mode === 'individual'
      ? { subscribeUidGroup: 5, streamTypes: 2 }
      : { transcodingConfig: { ...canvas, ...(layout ?? {}) } };
  return {
    // Names may begin and end with spaces (contract §0.4).
    cname: String(form.get('cname')),
    uid: text('uid'),
    mode,
    clientRequest: {
      ...(text('token') && { token: text('token') }),
      recordingConfig: { channelType: 1, maxIdleTime: 300, ...streams },
      recordingFileConfig: { avFileType: formats },
      storageConfig: text('place') === 'store' ? readStorage(text('storage')) : here,
    },
  };
}

function readStorage(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error('storageConfig is not JSON.');
  }
}
