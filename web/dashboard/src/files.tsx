/** The files of a recording: what they are, where they lie, and their downloads. */
import { useRef, useState } from 'preact/hooks';
import { api, type FileLinkRequest, type Files } from './api.ts';
import { Failure } from './badges.tsx';
import { size, when } from './format.ts';
import { messageOf } from './hooks.ts';

const STATES: Record<Files['files'][number]['state'], string> = {
  waiting: 'waits for its store',
  stored: 'stored',
  accepted: 'stored, not proved',
  backup: 'in the backup store',
  lost: 'lost',
  gaveUp: 'stays in the backup store',
  deleted: 'deleted',
};

type FileListProps = {
  appid: string;
  sid: string;
  files: Files;
  isOver: boolean;
  /** Whether the server has forgotten the keys of the store. */
  needsKeys: boolean;
};

export function FileList({ appid, sid, files, isOver, needsKeys }: FileListProps) {
  const form = useRef<HTMLFormElement>(null);
  const [error, setError] = useState<string>();
  const isLinked = files.place !== null && !files.served;
  const download = async (name: string) => {
    setError(undefined);
    if (form.current && !form.current.reportValidity()) return;
    try {
      const { url } = await api.fileLink(appid, sid, name, form.current ? keysIn(form.current) : {});
      // The store tells the browser to save it: this page stays.
      location.assign(url);
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  const slices = files.files.filter(({ kind }) => kind === 'slice');
  const others = files.files.filter(({ kind }) => kind !== 'slice');
  const table = (some: Files['files']) => (
    <Table appid={appid} sid={sid} files={files} some={some} onDownload={isLinked ? download : undefined} />
  );
  return (
    <section class="card" aria-labelledby="files">
      <h2 id="files">Files</h2>
      <p class="hint">
        {files.place === null
          ? 'Where they lie was not kept.'
          : files.served
            ? `In folder ${files.place.bucket} of this server.`
            : `In bucket ${files.place.bucket} of store vendor ${files.place.vendor}, region ${files.place.region}.`}
      </p>
      {isLinked && needsKeys && files.files.length > 0 && (
        <form ref={form} class="cut" onSubmit={(event) => event.preventDefault()}>
          <label>
            accessKey of the store, to download
            <input name="accessKey" required autocomplete="off" spellcheck={false} />
          </label>
          <label>
            secretKey
            <input name="secretKey" type="password" required autocomplete="off" />
          </label>
        </form>
      )}
      <Failure text={error} />
      {files.files.length === 0 && <p class="faint">{isOver ? 'None.' : 'None yet.'}</p>}
      {others.length > 0 && table(others)}
      {slices.length > 0 && (
        <details>
          <summary>
            {slices.length} {slices.length === 1 ? 'slice' : 'slices'}
            <span class="sub"> {size(slices.reduce((sum, { bytes }) => sum + bytes, 0))}</span>
          </summary>
          {table(slices)}
        </details>
      )}
      {files.more > 0 && <p class="hint">And {files.more} more.</p>}
    </section>
  );
}

function keysIn(form: HTMLFormElement): FileLinkRequest {
  const data = new FormData(form);
  const text = (name: string) => String(data.get(name) ?? '').trim();
  return { keys: { accessKey: text('accessKey'), secretKey: text('secretKey') } };
}

type TableProps = {
  appid: string;
  sid: string;
  files: Files;
  some: Files['files'];
  /** Undefined where the store gives no links. */
  onDownload: ((name: string) => void) | undefined;
};

function Table({ appid, sid, files, some, onDownload }: TableProps) {
  return (
    <div class="scroll">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">State</th>
            <th scope="col">SHA-256</th>
          </tr>
        </thead>
        <tbody>
          {some.map(({ name, bytes, state, sha256, key, deletedMs }) => (
            <tr key={name}>
              <th scope="row" data-label="Name">
                {files.served && (state === 'stored' || state === 'accepted') ? (
                  <a class="name" href={`${api.fileUrl(appid, sid, name)}?download`} download={name} title={key}>
                    {name}
                  </a>
                ) : onDownload && (state === 'stored' || state === 'accepted') ? (
                  <button type="button" class="quiet name" title={key} onClick={() => onDownload(name)}>
                    {name}
                  </button>
                ) : (
                  <span class="name" title={key}>
                    {name}
                  </span>
                )}
              </th>
              <td data-label="Size" class="number">
                {size(bytes)}
              </td>
              <td data-label="State">
                {STATES[state]}
                {deletedMs !== null && <span class="sub"> {when(deletedMs)}</span>}
              </td>
              <td data-label="SHA-256">{sha256 ? <code title={sha256}>{sha256.slice(0, 12)}…</code> : '–'}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
