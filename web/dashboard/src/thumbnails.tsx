/** Thumbnails: what each publisher of a channel shows, as it was some seconds ago. */
import { api, type Participant } from './api.ts';
import { useLoaded } from './hooks.ts';
import './thumbnails.css';

const LOOK_MS = 10_000;
/** Of a large channel so many are shown. */
const MOST_SHOWN = 24;
/** The server may have to wait for a key frame; so many wait at once, so that other calls need not. */
const AT_ONCE = 3;

export function Thumbnails(props: { appid: string; cname: string; publishers: Participant[] }) {
  const { appid, cname, publishers } = props;
  const seen = publishers.filter(({ tracks }) => tracks.some(({ kind }) => kind === 'video')).slice(0, MOST_SHOWN);
  if (seen.length === 0) return null;
  return (
    <ul class="thumbnails" aria-label={`Pictures of ${cname}`}>
      {seen.map(({ uid, tracks }) => (
        <li key={uid}>
          {tracks.some(({ kind, receiving }) => kind === 'video' && receiving) ? (
            <Thumbnail appid={appid} cname={cname} uid={uid} />
          ) : (
            <span class="frame">No picture comes</span>
          )}
          <span class="name">{uid}</span>
        </li>
      ))}
    </ul>
  );
}

function Thumbnail({ appid, cname, uid }: { appid: string; cname: string; uid: string }) {
  const { value } = useLoaded(() => inTurn(() => api.thumbnail(appid, cname, uid)), [appid, cname, uid], LOOK_MS);
  return <span class="frame">{value ? <img src={value} alt={`What ${uid} shows`} /> : 'No picture yet'}</span>;
}

let working = 0;
const waiting: (() => void)[] = [];
async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (working >= AT_ONCE) await new Promise<void>((resolve) => waiting.push(resolve));
  else working++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else working--;
  }
}
