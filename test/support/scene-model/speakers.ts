/**
 * Who speaks in a scene, by the rules that the guide tells of (composite.md, "Who speaks"): users who are heard or
 * silent, about equally loud, so that nobody takes over from one who still speaks.
 */
import type { ModelStay } from './scene.ts';

/** Windows of 50 ms. */
const PER_S = 20;
const SPEECH_DB = -50;
const SILENCE_DB = -100;
/** Of made sound: between its beeps, and of a beep of 0.1 s at each full second; root mean squares of sines. */
const [HUM_DB, BEEP_DB] = [-37, -17];
const FALL_DB = 60 / PER_S;
const ATTACK = 0.3 * PER_S;
const RELEASE = 0.5 * PER_S;
const HOLD = 1.5 * PER_S;
/** Longer than any scene. */
const END_S = 90;

/** A user's level, for how long the user has spoken, and has been silent, in windows. */
type Voice = { db: number; spoke: number; silent: number };

const known = new WeakMap<readonly ModelStay[], (atS: number) => readonly string[]>();

/** Tells of each moment who of those present has spoken, the last one first. */
export function spokeOver(stays: readonly ModelStay[]): (atS: number) => readonly string[] {
  const said = known.get(stays) ?? simulated(stays);
  known.set(stays, said);
  return said;
}

function simulated(stays: readonly ModelStay[]): (atS: number) => readonly string[] {
  const order: (readonly string[])[] = [[]];
  const voices = new Map<ModelStay, Voice>();
  let spoke: ModelStay[] = [];
  let sinceTurn = HOLD;
  for (let window = 0; window < END_S * PER_S; window++) {
    const atS = window / PER_S;
    const there = stays.filter(({ fromS, toS }) => fromS <= atS && atS < toS);
    const [speaker] = spoke;
    spoke = spoke.filter((stay) => there.includes(stay));
    for (const stay of there) voices.set(stay, heard(voices.get(stay), stay, atS));
    // Nobody has to stay in the place of somebody who has left.
    sinceTurn = spoke[0] === speaker ? sinceTurn + 1 : HOLD;
    const voice = spoke[0] && voices.get(spoke[0]);
    const isFree = !voice || (voice.silent >= RELEASE && sinceTurn >= HOLD);
    const ready = there.filter((stay) => stay !== spoke[0] && isReady(voices.get(stay)!));
    const [next] = ready.toSorted((a, b) => voices.get(b)!.db - voices.get(a)!.db);
    if (isFree && next) {
      spoke = [next, ...spoke.filter((stay) => stay !== next)];
      sinceTurn = 0;
    }
    order.push(spoke.map(({ uid }) => uid));
  }
  return (atS) => order[Math.max(0, Math.min(order.length - 1, Math.floor(atS * PER_S)))]!;
}

function heard(before: Voice = { db: SILENCE_DB, spoke: 0, silent: 0 }, stay: ModelStay, atS: number): Voice {
  const isSilent = stay.silent?.some(({ fromS, toS }) => fromS <= atS && atS < toS);
  const now = isSilent ? SILENCE_DB : ((atS % 1) * 10 < 1 ? BEEP_DB : HUM_DB) + (stay.louderDb ?? 0);
  const db = Math.max(now, before.db - FALL_DB);
  const spoke = now > SPEECH_DB ? Math.min(ATTACK, before.spoke + 1) : Math.max(0, before.spoke - 0.5);
  return { db, spoke, silent: db > SPEECH_DB ? 0 : before.silent + 1 };
}

function isReady({ db, spoke }: Voice): boolean {
  return spoke >= ATTACK && db > SPEECH_DB;
}
