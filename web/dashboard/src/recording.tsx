/** One recording: its picture, what happened in it, its files, its events, and what was asked for. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { api, type Calls, type Files, type Listed, type MixReply, type Report, watchChanges } from './api.ts';
import { Failure, Mark, modeName, State } from './badges.tsx';
import { Code } from './code.tsx';
import { Cuts } from './cut.tsx';
import { Events } from './events.tsx';
import { FileList } from './files.tsx';
import { counted, size, span, when } from './format.ts';
import { linkTo, messageOf, useLoaded, useNow } from './hooks.ts';
import { Keeping } from './keeping.tsx';
import { RunningLayout } from './layout/running-layout.tsx';
import { useLiveAddress } from './live.ts';
import { Mixes } from './mix.tsx';
import { Player, type PlayerHandle, playable } from './player.tsx';
import { Removals } from './removal.tsx';
import type { Chosen } from './stretch.tsx';
import { Timeline } from './timeline.tsx';

/** How often what is still growing is read again. */
const GROWING_MS = 5_000;

export function RecordingPage({ appid, sid }: { appid: string; sid: string }) {
  const [listed, setListed] = useState<Listed>();
  const isOver = listed?.phase === 'ended';
  const every = isOver ? undefined : GROWING_MS;
  const report = useLoaded<Report>(() => api.report(appid, sid), [appid, sid], every);
  const files = useLoaded<Files>(() => api.files(appid, sid), [appid, sid], every);
  const calls = useLoaded<Calls>(() => api.calls(appid, sid), [appid, sid]);
  const isLive = report.value !== undefined && !isOver && report.value.phase !== 'uploading';
  const live = useLiveAddress(appid, sid, isLive && report.value?.mode !== 'individual');
  const player = useRef<PlayerHandle>(null);
  const [atS, setAtS] = useState(0);
  const [chosen, setChosen] = useState<Chosen>();
  /** How often somebody was removed: events are told anew then. */
  const [removed, setRemoved] = useState(0);
  const [mixes, setMixes] = useState<MixReply[]>([]);
  useEffect(() => {
    setMixes([]);
    // A list of one: it has what the report has not.
    const load = () =>
      void api.recordings(appid, { search: sid, limit: '1' }).then(
        ({ recordings }) => {
          const [found] = recordings;
          if (found?.sid === sid) setListed(found);
        },
        () => {},
      );
    return watchChanges(appid, {
      onRecording: (changed) => changed.sid === sid && setListed(changed),
      onConnected: load,
      mixes: { sid, onMixes: setMixes },
    });
  }, [appid, sid]);

  const known = report.value;
  if (!known) return report.error ? <Failure text={report.error} /> : <p aria-busy="true" class="faint" />;
  const quality = known.quality;
  const found = files.value;
  return (
    <>
      <p class="crumb">
        <a href={linkTo(appid, 'recordings')}>Recordings</a>
      </p>
      <div class="head">
        <h1 class="name">{known.cname}</h1>
        <State recording={listed ?? { ...known, onhold: false }} />
        <StopButton appid={appid} recording={listed} onStopped={report.reload} />
      </div>
      <Facts report={known} listed={listed} />
      <Failure text={known.healthy ? undefined : (known.ending ?? 'It failed.')} />
      {found && (
        <Player ref={player} appid={appid} sid={sid} files={found} isLive={isLive} live={live} onTime={setAtS} />
      )}
      {quality && (
        <Timeline
          report={quality}
          atS={atS}
          seek={live || playable(found).length > 0 ? (s) => player.current?.seek(s) : undefined}
          {...{ chosen, onChosen: setChosen }}
        />
      )}
      {found && (
        <Cuts
          appid={appid}
          report={known}
          atS={atS}
          needsKeys={isOver && !found.served}
          {...{ chosen, onChosen: setChosen }}
        />
      )}
      {found && (
        <Mixes
          appid={appid}
          report={known}
          atS={atS}
          needsKeys={isOver && !found.served}
          {...{ mixes, onMixes: setMixes, chosen, onChosen: setChosen }}
        />
      )}
      {listed?.mode === 'mix' && listed.phase === 'recording' && calls.value && (
        <RunningLayout appid={appid} recording={listed} calls={calls.value} onChanged={calls.reload} />
      )}
      {found && <FileList {...{ appid, sid, isOver }} files={found} needsKeys={isOver && !found.served} />}
      {found && (
        <Keeping
          appid={appid}
          report={known}
          needsKeys={!found.served}
          onChanged={() => {
            report.reload();
            files.reload();
          }}
        />
      )}
      {known.mode === 'individual' && known.phase === 'ended' && (
        <Removals
          appid={appid}
          report={known}
          onChanged={() => {
            report.reload();
            files.reload();
            setRemoved((before) => before + 1);
          }}
        />
      )}
      <Events key={removed} appid={appid} sid={sid} every={every} />
      <Requests calls={calls.value} warnings={known.warnings} />
    </>
  );
}

function Facts({ report, listed }: { report: Report; listed: Listed | undefined }) {
  const now = useNow();
  const { phase, startedMs, endedMs } = report;
  const runs = phase === 'new' || phase === 'recording' || phase === 'stopping';
  const length = runs ? span(now - startedMs) : listed?.lengthMs == null ? '–' : span(listed.lengthMs);
  const facts: [string, preact.ComponentChildren][] = [
    ['Mode', modeName(report.mode)],
    ['Length', length],
    ['Size', listed ? `${size(listed.bytes)} in ${counted(listed.files, 'file')}` : '–'],
    ['Quality', <Mark key="mark" mark={listed?.mark ?? null} />],
    ['Started', when(startedMs)],
    ['Ended', when(endedMs)],
    ['Recorder’s uid', report.uid],
    ['sid', <code key="sid">{report.sid}</code>],
  ];
  return (
    <dl class="facts">
      {facts.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function StopButton({
  appid,
  recording,
  onStopped,
}: {
  appid: string;
  recording: Listed | undefined;
  onStopped(): void;
}) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<string>();
  if (!recording || (recording.phase !== 'new' && recording.phase !== 'recording')) return null;
  const stop = async () => {
    setBusy(true);
    try {
      await api.stop(appid, recording);
      onStopped();
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <>
      <button type="button" class="danger" disabled={busy} onClick={stop}>
        Stop
      </button>
      <Failure text={error} />
    </>
  );
}

function Requests({ calls = [], warnings }: { calls: Calls | undefined; warnings: Report['warnings'] }) {
  return (
    <section class="card" aria-labelledby="request">
      <h2 id="request">Request</h2>
      {warnings.length > 0 && (
        <ul class="warnings">
          {warnings.map(({ path, message }) => (
            <li key={path + message}>
              <code>{path}</code> {message}
            </li>
          ))}
        </ul>
      )}
      {calls.length === 0 && <p class="hint">It was not kept.</p>}
      {calls.map(({ call, atMs, body }, index) => (
        <details key={atMs + call} open={index === 0 && calls.length === 1}>
          <summary>
            {call} <span class="sub">{when(atMs)}</span>
          </summary>
          <Code label={`Body of ${call}`} value={body} />
        </details>
      ))}
    </section>
  );
}
