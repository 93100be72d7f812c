/** Recordings: the list with its filters, which changes while it is looked at. */
import { useEffect, useState } from 'preact/hooks';
import { api, type Listed, watchChanges } from './api.ts';
import { Failure, Mark, modeName, State } from './badges.tsx';
import { size, span, when } from './format.ts';
import { linkTo, messageOf, useNow } from './hooks.ts';
import { StartButton } from './start.tsx';

type Filter = { search: string; mode: string; state: string; from: string; until: string };
const NONE: Filter = { search: '', mode: '', state: '', from: '', until: '' };
const PAGE = '50';

export function Recordings({ appid }: { appid: string }) {
  const [filter, setFilter] = useState(NONE);
  const [list, setList] = useState<Listed[]>();
  const [next, setNext] = useState<string | null>(null);
  const [error, setError] = useState<string>();
  const query = queryOf(filter);
  const asked = JSON.stringify(query);

  // `asked` is the query as text.
  useEffect(() => {
    let isOver = false;
    const load = () =>
      api.recordings(appid, query).then(
        (page) => {
          if (isOver) return;
          setList(page.recordings);
          setNext(page.next);
          setError(undefined);
        },
        (failure) => !isOver && setError(messageOf(failure)),
      );
    const timer = setTimeout(load, 200);
    const isFiltered = Object.keys(query).length > 1;
    const end = watchChanges(appid, {
      onRecording: (recording) => setList((before) => before && withChange(before, recording, isFiltered)),
      onConnected: load,
    });
    return () => {
      isOver = true;
      clearTimeout(timer);
      end();
    };
  }, [appid, asked]);

  const loadMore = async () => {
    if (next === null) return;
    try {
      const page = await api.recordings(appid, { ...query, before: next });
      setList((before = []) => [...before, ...page.recordings]);
      setNext(page.next);
    } catch (failure) {
      setError(messageOf(failure));
    }
  };
  const change = (name: keyof Filter) => (event: { currentTarget: HTMLInputElement | HTMLSelectElement }) => {
    const { value } = event.currentTarget;
    setFilter((before) => ({ ...before, [name]: value }));
  };

  return (
    <>
      <div class="head">
        <h1>Recordings</h1>
        <StartButton appid={appid} />
      </div>
      <search>
        <form class="filters" onSubmit={(event) => event.preventDefault()}>
          <label class="wide">
            Search
            <input
              type="search"
              value={filter.search}
              onInput={change('search')}
              placeholder="Channel, uid or sid"
              maxLength={200}
            />
          </label>
          <label>
            State
            <select value={filter.state} onChange={change('state')}>
              <option value="">All</option>
              <option value="running">Recording</option>
              <option value="uploading">Storing</option>
              <option value="ended">Ended</option>
              <option value="failed">Failed</option>
            </select>
          </label>
          <label>
            Mode
            <select value={filter.mode} onChange={change('mode')}>
              <option value="">All</option>
              <option value="mix">Composite</option>
              <option value="individual">Individual</option>
              <option value="web">Web page</option>
            </select>
          </label>
          <label>
            From
            <input type="date" value={filter.from} onInput={change('from')} />
          </label>
          <label>
            To
            <input type="date" value={filter.until} onInput={change('until')} />
          </label>
        </form>
      </search>
      <Failure text={error} />
      {list && <Table appid={appid} list={list} />}
      {next !== null && (
        <button type="button" class="more" onClick={loadMore}>
          Show more
        </button>
      )}
    </>
  );
}

function Table({ appid, list }: { appid: string; list: Listed[] }) {
  const now = useNow();
  if (list.length === 0)
    return (
      <div class="card empty">
        <p>No recordings here.</p>
        <p class="hint">Those that begin appear by themselves.</p>
      </div>
    );
  return (
    <div class="card flush">
      <table class="list" data-testid="recordings">
        <thead>
          <tr>
            <th scope="col">Channel</th>
            <th scope="col">State</th>
            <th scope="col">Mode</th>
            <th scope="col">Started</th>
            <th scope="col" class="number">
              Length
            </th>
            <th scope="col" class="number">
              Size
            </th>
            <th scope="col">Quality</th>
            <th scope="col">Notes</th>
          </tr>
        </thead>
        <tbody>
          {list.map((each) => (
            <tr key={each.sid}>
              <th scope="row" data-label="Channel">
                <a class="name" href={linkTo(appid, 'recordings', each.sid)}>
                  {each.cname}
                </a>
                <span class="sub">uid {each.uid}</span>
              </th>
              <td data-label="State">
                <State recording={each} />
              </td>
              <td data-label="Mode">{modeName(each.mode)}</td>
              <td data-label="Started">{when(each.startedMs)}</td>
              <td data-label="Length" class="number">
                {lengthOf(each, now)}
              </td>
              <td data-label="Size" class="number">
                {each.files === 0 ? <span class="faint">–</span> : size(each.bytes)}
              </td>
              <td data-label="Quality">
                <Mark mark={each.mark} />
              </td>
              <td data-label="Notes">
                <Notes recording={each} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Notes({ recording }: { recording: Listed }) {
  const { warnings, waiting, uploadedTo, phase, ending, healthy } = recording;
  const notes = [
    ...(warnings > 0 ? [`${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`] : []),
    ...(uploadedTo === 'backuped' ? ['files in the backup store'] : []),
    ...(uploadedTo === 'unknown' ? ['files not proved'] : []),
    ...(waiting > 0 && phase !== 'recording' ? [`${waiting} ${waiting === 1 ? 'file waits' : 'files wait'}`] : []),
    ...(!healthy && ending ? [ending] : []),
  ];
  return notes.length > 0 ? <span class="notes">{notes.join(' · ')}</span> : <span class="faint">–</span>;
}

function lengthOf({ lengthMs, phase, startedMs }: Listed, now: number) {
  if (phase === 'new' || phase === 'recording' || phase === 'stopping') return span(now - startedMs);
  return lengthMs === null ? <span class="faint">–</span> : span(lengthMs);
}

/** One that was not in the list comes on top, unless the filter may not want it. */
function withChange(list: Listed[], changed: Listed, isFiltered: boolean): Listed[] {
  if (list.some(({ sid }) => sid === changed.sid))
    return list.map((each) => (each.sid === changed.sid ? changed : each));
  if (isFiltered || (list[0] && changed.startedMs < list[0].startedMs)) return list;
  return [changed, ...list];
}

function queryOf({ search, mode, state, from, until }: Filter): Record<string, string> {
  const day = (text: string, days: number) => {
    const at = new Date(`${text}T00:00`);
    at.setDate(at.getDate() + days);
    return String(at.getTime());
  };
  return {
    limit: PAGE,
    ...(search.trim() && { search: search.trim() }),
    ...(mode && { mode }),
    ...(state && { state }),
    ...(from && { from: day(from, 0) }),
    ...(until && { until: day(until, 1) }),
  };
}
