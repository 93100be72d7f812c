/**
 * Health: servers, disk, recordings that lack something, files that wait for their store, and webhooks that did not
 * arrive.
 */
import { useState } from 'preact/hooks';
import { api, type BacklogEntry, type Listed, type NodesReply, type Session } from './api.ts';
import { Failure, Mark, State } from './badges.tsx';
import { EventTable } from './events.tsx';
import { percent, size, when } from './format.ts';
import { linkTo, messageOf, useLoaded } from './hooks.ts';

const LOOK_MS = 5_000;
/** Of so many, the newest, those are shown that lack something. */
const LAST = '200';

export function Health({ appid, session }: { appid: string; session: Session }) {
  const backlog = useLoaded(() => api.backlog(appid), [appid], LOOK_MS);
  const dead = useLoaded(() => api.events(appid, { state: 'dead', limit: '100' }), [appid], LOOK_MS * 2);
  return (
    <>
      <div class="head">
        <h1>Health</h1>
        <span class="sub">Aircheck {session.version}</span>
      </div>
      {session.operator ? <Server /> : null}
      <Lacking appid={appid} />
      <section class="card" aria-labelledby="backlog">
        <h2 id="backlog">Files that wait for their store</h2>
        <Failure text={backlog.error} />
        {backlog.value?.length === 0 && <p class="fine">None.</p>}
        {backlog.value && backlog.value.length > 0 && (
          <Backlog appid={appid} entries={backlog.value} reload={backlog.reload} />
        )}
      </section>
      <section class="card" aria-labelledby="dead">
        <h2 id="dead">Events that were given up</h2>
        <Failure text={dead.error} />
        {dead.value?.length === 0 && <p class="fine">None.</p>}
        {dead.value && dead.value.length > 0 && (
          <EventTable appid={appid} events={dead.value} reload={dead.reload} named />
        )}
      </section>
    </>
  );
}

/** What the machine, the network or a store took from recordings; why is in the timeline of each. */
function Lacking({ appid }: { appid: string }) {
  const { value, error } = useLoaded(
    async () => (await api.recordings(appid, { limit: LAST })).recordings.filter(isLacking),
    [appid],
    LOOK_MS * 2,
  );
  return (
    <section class="card" aria-labelledby="lacking">
      <h2 id="lacking">Recordings that failed or lack something</h2>
      <Failure text={error} />
      {value?.length === 0 && <p class="fine">None of the last {LAST}.</p>}
      {value && value.length > 0 && (
        <div class="scroll">
          <table class="list">
            <thead>
              <tr>
                <th scope="col">Channel</th>
                <th scope="col">State</th>
                <th scope="col">Quality</th>
                <th scope="col">Started</th>
                <th scope="col">Why</th>
              </tr>
            </thead>
            <tbody>
              {value.map((each) => (
                <tr key={each.sid}>
                  <th scope="row" data-label="Channel">
                    <a class="name" href={linkTo(appid, 'recordings', each.sid)}>
                      {each.cname}
                    </a>
                  </th>
                  <td data-label="State">
                    <State recording={each} />
                  </td>
                  <td data-label="Quality">
                    <Mark mark={each.mark} />
                  </td>
                  <td data-label="Started">{when(each.startedMs)}</td>
                  <td data-label="Why">{each.healthy ? 'its timeline says' : (each.ending ?? 'it failed')}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function isLacking({ healthy, mark }: Listed): boolean {
  return !healthy || mark === 'fair' || mark === 'poor';
}

function Server() {
  const { value, error } = useLoaded(() => api.nodes(), [], LOOK_MS);
  return (
    <>
      <section class="card" aria-labelledby="nodes">
        <h2 id="nodes">Servers</h2>
        <Failure text={error} />
        {value && <Nodes nodes={value.nodes} self={value.self} />}
      </section>
      {value?.disk && <Disk disk={value.disk} />}
    </>
  );
}

function Disk({ disk: { bytes, freeBytes, sizeBytes } }: { disk: NonNullable<NodesReply['disk']> }) {
  const used = sizeBytes > 0 ? 1 - freeBytes / sizeBytes : 0;
  return (
    <section class="card" aria-labelledby="disk">
      <h2 id="disk">Disk of the spool</h2>
      <meter
        class="long"
        min={0}
        max={1}
        low={0.8}
        high={0.92}
        optimum={0}
        value={used}
        aria-label={`${percent(used)} used`}
      />
      <p>
        {size(freeBytes)} of {size(sizeBytes)} free; recordings take {size(bytes)}.
      </p>
    </section>
  );
}

function Nodes({ nodes, self }: { nodes: NodesReply['nodes']; self: string }) {
  return (
    <div class="scroll">
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">State</th>
            <th scope="col" class="number">
              Recordings
            </th>
            <th scope="col" class="number">
              Publishers
            </th>
            <th scope="col">Cores</th>
            <th scope="col">Memory</th>
            <th scope="col">Version</th>
          </tr>
        </thead>
        <tbody>
          {nodes.map(({ id, name, state, recordings, publishers, load, capacity, version }) => (
            <tr key={id}>
              <th scope="row" data-label="Name">
                <span class="name">{name}</span>
                {id === self && <span class="sub">this one</span>}
              </th>
              <td data-label="State">
                <span class={`badge ${state === 'live' ? 'good' : state === 'gone' ? 'bad' : 'warn'}`}>{state}</span>
              </td>
              <td data-label="Recordings" class="number">
                {recordings}
              </td>
              <td data-label="Publishers" class="number">
                {publishers}
              </td>
              <td data-label="Cores">
                <Share
                  of={load.cores}
                  all={capacity.cores}
                  text={`${load.cores.toFixed(1)} of ${capacity.cores.toFixed(1)}`}
                />
              </td>
              <td data-label="Memory">
                <Share of={load.bytes} all={capacity.bytes} text={`${size(load.bytes)} of ${size(capacity.bytes)}`} />
              </td>
              <td data-label="Version">{version}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Share({ of, all, text }: { of: number; all: number; text: string }) {
  return (
    <>
      <meter min={0} max={1} low={0.7} high={0.9} optimum={0} value={all > 0 ? of / all : 0} aria-label={text} />
      <span class="sub">{text}</span>
    </>
  );
}

function Backlog({ appid, entries, reload }: { appid: string; entries: BacklogEntry[]; reload(): void }) {
  const [error, setError] = useState<string>();
  const retry = (sid: string) => {
    setError(undefined);
    api.retry(appid, sid).then(reload, (failure) => setError(messageOf(failure)));
  };
  return (
    <div class="scroll">
      <Failure text={error} />
      <table class="list">
        <thead>
          <tr>
            <th scope="col">Recording</th>
            <th scope="col">Where</th>
            <th scope="col" class="number">
              Files
            </th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">Since</th>
            <th scope="col">Why</th>
            <th scope="col">
              <span class="unseen">Try now</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {entries.map(({ sid, where, files, bytes, sinceMs, lastError, waitsFor }) => (
            <tr key={`${sid} ${where} ${waitsFor}`}>
              <th scope="row" data-label="Recording">
                <a href={linkTo(appid, 'recordings', sid)}>
                  <code>{sid.slice(0, 12)}…</code>
                </a>
              </th>
              <td data-label="Where">
                {where === 'spool' ? 'on the spool' : 'in the backup store'}
                {waitsFor === null ? '' : ` of ${waitsFor}`}
              </td>
              <td data-label="Files" class="number">
                {files}
              </td>
              <td data-label="Size" class="number">
                {size(bytes)}
              </td>
              <td data-label="Since">{when(sinceMs)}</td>
              <td data-label="Why">
                {waitsFor === null ? (lastError ?? '–') : `${waitsFor} was gone, and stores them when it is back`}
              </td>
              <td>
                <button type="button" class="quiet" onClick={() => retry(sid)}>
                  Try now
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
