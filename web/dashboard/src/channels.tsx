/** Channels: who is where, and what of theirs comes. */
import { api, type Listed, type Participant, type Track } from './api.ts';
import { Failure, State } from './badges.tsx';
import { percent, rate, span } from './format.ts';
import { linkTo, useLoaded, useNow } from './hooks.ts';
import { StartButton } from './start.tsx';
import { Thumbnails } from './thumbnails.tsx';

const LOOK_MS = 3_000;
/** More are listed by name alone, so that looking does not take many calls. */
const MOST_SHOWN = 12;

type Channel = { cname: string; people: Participant[] };

export function Channels({ appid }: { appid: string }) {
  const load = async () => {
    const [{ channels, thumbnails }, { recordings }] = await Promise.all([
      api.channels(appid),
      api.recordings(appid, { state: 'running', limit: '200' }),
    ]);
    const names = channels.map(({ cname }) => cname);
    const shown: Channel[] = [];
    for (const cname of names.slice(0, MOST_SHOWN)) shown.push({ cname, people: await api.participants(appid, cname) });
    return { shown, recordings, thumbnails, others: names.slice(MOST_SHOWN) };
  };
  const { value, error } = useLoaded(load, [appid], LOOK_MS);
  return (
    <>
      <div class="head">
        <h1>Channels</h1>
        <StartButton appid={appid} />
      </div>
      <Failure text={error} />
      {value?.shown.length === 0 && (
        <div class="card empty">
          <p>Nobody publishes.</p>
          <p class="hint">
            Publishers come in by WHIP; <a href="/publish">the publish page</a> is one.
          </p>
        </div>
      )}
      {value?.shown.map(({ cname, people }) => (
        <ChannelCard
          key={cname}
          appid={appid}
          cname={cname}
          people={people}
          recordings={value.recordings.filter((each) => each.cname === cname)}
          // A node of an earlier version has them, and does not say so.
          hasThumbnails={value.thumbnails !== false}
        />
      ))}
      {value && value.others.length > 0 && (
        <p class="hint">
          And {value.others.length} more: {value.others.slice(0, 50).join(', ')}
        </p>
      )}
    </>
  );
}

type CardProps = Channel & { appid: string; recordings: Listed[]; hasThumbnails: boolean };
function ChannelCard({ appid, cname, people, recordings, hasThumbnails }: CardProps) {
  const now = useNow();
  const publishers = people.filter(({ recorder }) => !recorder);
  return (
    <section class="card" aria-label={`Channel ${cname}`}>
      <div class="head">
        <h2 class="name">{cname}</h2>
        <span class="sub">
          {publishers.length} {publishers.length === 1 ? 'publisher' : 'publishers'}
        </span>
        {recordings.map((each) => (
          <a key={each.sid} href={linkTo(appid, 'recordings', each.sid)} aria-label={`Recording by uid ${each.uid}`}>
            <State recording={each} />
          </a>
        ))}
        <StartButton appid={appid} cname={cname} />
      </div>
      {hasThumbnails && <Thumbnails appid={appid} cname={cname} publishers={publishers} />}
      {publishers.length > 0 && (
        <table class="list">
          <thead>
            <tr>
              <th scope="col">uid</th>
              <th scope="col">There for</th>
              <th scope="col">Stream</th>
              <th scope="col" class="number">
                Bitrate
              </th>
              <th scope="col" class="number">
                Lost
              </th>
              <th scope="col" class="number">
                Jitter
              </th>
              <th scope="col">Level</th>
            </tr>
          </thead>
          <tbody>
            {publishers.flatMap(({ uid, joinedAtMs, tracks }) =>
              tracks.map((track, index) => (
                <tr key={`${uid} ${track.kind} ${index}`}>
                  <th scope="row" data-label="uid" class="name">
                    {uid}
                  </th>
                  <td data-label="There for">{span(now - joinedAtMs)}</td>
                  <td data-label="Stream">
                    {track.kind === 'audio' ? 'Sound' : 'Picture'} <code>{track.codec}</code>
                    {track.layers && <span class="sub">{track.layers.length} layers</span>}
                    {!track.receiving && <span class="badge warn">nothing comes</span>}
                  </td>
                  <td data-label="Bitrate" class="number">
                    {rate(track.bitrateKbps)}
                  </td>
                  <td data-label="Lost" class="number">
                    {percent(track.lost / Math.max(1, track.lost + track.packets))}
                  </td>
                  <td data-label="Jitter" class="number">
                    {track.jitterMs.toFixed(0)} ms
                  </td>
                  <td data-label="Level">
                    <Level track={track} />
                  </td>
                </tr>
              )),
            )}
          </tbody>
        </table>
      )}
    </section>
  );
}

const SILENT_DBOV = -60;
function Level({ track: { kind, audioLevelDbov } }: { track: Track }) {
  if (kind !== 'audio' || audioLevelDbov === undefined) return <span class="faint">–</span>;
  const share = Math.max(0, 1 - audioLevelDbov / SILENT_DBOV);
  return <meter min={0} max={1} value={share} aria-label={`${audioLevelDbov} dBov`} title={`${audioLevelDbov} dBov`} />;
}
