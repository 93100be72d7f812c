/** The files of a recording: what they are, where they lie, and their downloads. */
import { api, type Files } from './api.ts';
import { size, when } from './format.ts';

const STATES: Record<Files['files'][number]['state'], string> = {
  waiting: 'waits for its store',
  stored: 'stored',
  accepted: 'stored, not proved',
  backup: 'in the backup store',
  lost: 'lost',
  gaveUp: 'stays in the backup store',
  deleted: 'deleted',
};

export function FileList({ appid, sid, files }: { appid: string; sid: string; files: Files }) {
  const slices = files.files.filter(({ kind }) => kind === 'slice');
  const others = files.files.filter(({ kind }) => kind !== 'slice');
  const table = (some: Files['files']) => <Table appid={appid} sid={sid} files={files} some={some} />;
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
      {files.files.length === 0 && <p class="faint">None yet.</p>}
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

function Table({ appid, sid, files, some }: { appid: string; sid: string; files: Files; some: Files['files'] }) {
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
