/** Events: what recordings told, how far each delivery is, and sending one again. */
import { useState } from 'preact/hooks';
import { api, type EventEntry } from './api.ts';
import { Failure } from './badges.tsx';
import { Code } from './code.tsx';
import { when } from './format.ts';
import { linkTo, messageOf, useLoaded } from './hooks.ts';

const STATES = {
  pending: ['warn', 'Waiting'],
  delivered: ['good', 'Delivered'],
  dead: ['bad', 'Given up'],
  unwanted: ['', 'Not asked for'],
} as const;

export function Events({ appid, sid, every }: { appid: string; sid: string; every: number | undefined }) {
  const { value, error, reload } = useLoaded(() => api.events(appid, { sid, limit: '1000' }), [appid, sid], every);
  return (
    <section class="card" aria-labelledby="events">
      <h2 id="events">Events</h2>
      <Failure text={error} />
      {value?.length === 0 && <p class="faint">None yet.</p>}
      {value && value.length > 0 && <EventTable appid={appid} events={value} reload={reload} />}
    </section>
  );
}

export function EventTable({
  appid,
  events,
  reload,
  named = false,
}: {
  appid: string;
  events: EventEntry[];
  reload(): void;
  named?: boolean;
}) {
  return (
    <div class="scroll">
      <table class="list">
        <thead>
          <tr>
            {named && <th scope="col">Recording</th>}
            <th scope="col">Event</th>
            <th scope="col">When</th>
            <th scope="col">Delivery</th>
            <th scope="col" class="number">
              Attempts
            </th>
            <th scope="col">Last attempt</th>
            <th scope="col">
              <span class="unseen">Send again</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {events.map((event) => (
            <Row key={event.notice.noticeId} appid={appid} event={event} reload={reload} named={named} />
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Row({ appid, event, reload, named }: { appid: string; event: EventEntry; reload(): void; named: boolean }) {
  const { notice, state, attempts, lastAttemptMs, nextAttemptMs, lastError } = event;
  const { eventType, payload, noticeId, sid } = notice;
  const [said, setSaid] = useState<string>();
  const [busy, setBusy] = useState(false);
  const [look, word] = STATES[state];
  const name = String(payload.details['msgName'] ?? '');
  const again = async () => {
    setBusy(true);
    try {
      const { delivered, error } = await api.redeliver(appid, noticeId);
      setSaid(delivered ? 'Delivered.' : (error ?? 'Not delivered.'));
      reload();
    } catch (failure) {
      setSaid(messageOf(failure));
    }
    setBusy(false);
  };
  return (
    <tr>
      {named && (
        <th scope="row" data-label="Recording">
          <a class="name" href={linkTo(appid, 'recordings', sid)}>
            {payload.cname}
          </a>
        </th>
      )}
      <td data-label="Event">
        <details>
          <summary>
            {eventType} <span class="name">{name}</span>
          </summary>
          <Code label={`Details of event ${eventType}`} value={payload.details} />
        </details>
      </td>
      <td data-label="When">{when(payload.sendts)}</td>
      <td data-label="Delivery">
        <span class={`badge ${look}`}>{word}</span>
        {lastError !== undefined && <span class="sub">{lastError}</span>}
      </td>
      <td data-label="Attempts" class="number">
        {attempts}
      </td>
      <td data-label="Last attempt">
        {when(lastAttemptMs)}
        {nextAttemptMs !== undefined && <span class="sub">next {when(nextAttemptMs)}</span>}
      </td>
      <td>
        <button type="button" class="quiet" disabled={busy} onClick={again}>
          Send again
          <span class="unseen"> event {eventType}</span>
        </button>
        <span class="sub" role="status">
          {said}
        </span>
      </td>
    </tr>
  );
}
