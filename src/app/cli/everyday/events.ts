/** `aircheck events`: what recordings told, and whether it was delivered. */
import type { EventFilter, EventsReply } from '../../../client/index.ts';
import { pauseCommand } from '../../../kernel/clock.ts';
import { Fault } from '../../../kernel/fault.ts';
import { EVENT_STATES } from '../../../store/outbox-tables.ts';
import { print } from '../print.ts';
import { type AccessWords, explaining, openAccess } from './access.ts';
import { momentOf, shown } from './words.ts';

export type EventsWords = AccessWords & {
  sid?: string;
  state?: string;
  limit: number;
  follow?: boolean;
  again?: string;
};

type Event = EventsReply['events'][number];
const STEP_MS = 1_000;

export async function events(words: EventsWords): Promise<void> {
  const { client, patience } = openAccess(words);
  if (words.again !== undefined) {
    const { delivered, error } = await explaining(() => client.redeliver(words.again ?? ''));
    if (!delivered)
      throw new Fault('not-delivered', `the receiver did not take it: ${error}`, { blame: 'destination' });
    print(words.json ? JSON.stringify({ delivered }) : `${words.again} is delivered`);
    return;
  }
  const filter: EventFilter = {
    ...(words.sid !== undefined && { sid: words.sid }),
    ...(words.state !== undefined && { state: stateOf(words.state) }),
  };
  // The newest are what is looked for; positions only lead forward.
  const newest: Event[] = [];
  let after = 0;
  const tell = (event: Event) => print(words.json ? JSON.stringify(event) : lineOf(event));
  await explaining(async () => {
    for await (const event of client.allEvents({ ...filter, limit: 1000 })) {
      newest.push(event);
      if (newest.length > words.limit) newest.shift();
      after = event.position;
    }
    for (const event of newest) tell(event);
    if (newest.length === 0 && !words.follow) process.stderr.write('aircheck: there are no such events\n');
    while (words.follow) {
      await pauseCommand(STEP_MS);
      const reply = await patience.keepAsking(() => client.events({ ...filter, after }));
      for (const event of reply.events) tell(event);
      after = reply.next;
    }
  });
}

function stateOf(text: string): Event['state'] {
  const state = EVENT_STATES.find((known) => known === text);
  if (state) return state;
  throw new Fault('state-unknown', `--state is ${text}; it is one of ${EVENT_STATES.join(', ')}`, { blame: 'caller' });
}

/** One line: when, which recording, what, and what became of it. */
function lineOf({ state, attempts, lastError, notice }: Event): string {
  const { sid, eventType, payload, noticeId } = notice;
  const { msgName, ...details } = payload.details;
  const more = Object.keys(details).length === 0 ? '' : ` ${shown(JSON.stringify(details))}`;
  const tries = state === 'delivered' && attempts === 1 ? '' : ` after ${attempts} ${attempts === 1 ? 'try' : 'tries'}`;
  const delivery = state === 'unwanted' ? '' : `  ${state}${attempts === 0 ? '' : tries}`;
  const why = state === 'delivered' || lastError === undefined ? '' : `\n    ${shown(lastError)}`;
  return `${momentOf(payload.sendts)}  ${sid}  ${eventType} ${msgName}${more}${delivery}  ${noticeId}${why}`;
}
