/** Starting a recording, by the calls of the public API. */
import { useRef, useState } from 'preact/hooks';
import { CHANNEL_NAME_WORDS } from '../../../src/contract/rest/channel-name.ts';
import { api, type StartRequest } from './api.ts';
import { Failure } from './badges.tsx';
import { linkTo, messageOf } from './hooks.ts';
import { type Composite, CompositeDesign, CompositeFields, SMALL } from './layout/composite-fields.tsx';
import { usePeople } from './layout/running-layout.tsx';

export function StartButton({ appid, cname }: { appid: string; cname?: string }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [error, setError] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [place, setPlace] = useState('here');
  const [uid] = useState(freeUid);
  const [mode, setMode] = useState('mix');
  const [channel, setChannel] = useState(cname ?? '');
  const [composite, setComposite] = useState(SMALL);
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      const sid = await api.start(appid, requestOf(new FormData(event.currentTarget as HTMLFormElement), composite));
      dialog.current?.close();
      location.hash = linkTo(appid, 'recordings', sid);
    } catch (failure) {
      const why = messageOf(failure);
      setError(why === 'invalid_channel_name' ? `A channel’s name has ${CHANNEL_NAME_WORDS}` : why);
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
            <CompositeFields
              composite={composite}
              onComposite={setComposite}
              design={() => <Design {...{ appid, cname: channel, composite }} onComposite={setComposite} />}
            />
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

type DesignProps = Omit<Parameters<typeof CompositeDesign>[0], 'people'> & { appid: string; cname: string };

/** Among those who are in the channel. */
function Design({ appid, cname, ...composite }: DesignProps) {
  return <CompositeDesign {...composite} people={usePeople(appid, cname)} />;
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
