/**
 * The cases: one plan each for what networks and people do, and what its recording must come to.
 */
import type { Impairment } from '../support/impair/impairment.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import type { Plan, Role } from './plan.ts';

/** Goals that a case has beside those that all have: nothing that is not to be there, and no wrong picture. */
export type Goals = {
  score?: number;
  /** The median offset at most, milliseconds. */
  medianMs?: number;
  /** Share of flashes, and of beeps, that must be there, 0 to 1. */
  there?: number;
  /** The longest a picture may stand still though it is sent, seconds. */
  frozenS?: number;
};

export type Case = { meaning: string; plan: Plan; goals: Goals };

const SECONDS = 20;

/** Two participants, one with H.264 and one with VP8, behind networks of the same kind. */
function everyoneBehind(impairments: Pick<Role, 'toServer' | 'toPublisher'>, seconds = SECONDS): Plan {
  return {
    seconds,
    seed: 2024,
    roles: [
      { uid: '1', participant: RED, codec: 'h264', ...impairments },
      { uid: '2', participant: GREEN, codec: 'vp8', ...impairments },
    ],
  };
}
const bothWays = (impairment: Impairment) => ({ toServer: impairment, toPublisher: impairment });

/** The plan of `loss-5`, of any length. */
export const lossPlan = (loss: number, seconds = SECONDS): Plan => everyoneBehind(bothWays({ loss }), seconds);

export const CASES: Record<string, Case> = {
  clean: {
    meaning: 'nothing is impaired',
    plan: everyoneBehind({}),
    goals: { score: 98, medianMs: 20, there: 1, frozenS: 1 },
  },
  'loss-2': {
    meaning: '2 % of packets are lost, both ways',
    plan: lossPlan(0.02),
    goals: { there: 0.98, frozenS: 1 },
  },
  'loss-5': {
    meaning: '5 % of packets are lost, both ways',
    plan: lossPlan(0.05),
    goals: { there: 0.98, frozenS: 1 },
  },
  'loss-10': {
    meaning: '10 % of packets are lost, both ways',
    plan: lossPlan(0.1),
    goals: { there: 0.95, frozenS: 1 },
  },
  bursts: {
    meaning: 'about 3 % of packets are lost in bursts of 5 on average, both ways',
    plan: everyoneBehind(bothWays({ bursts: { begin: 0.006, end: 0.2 } })),
    goals: { frozenS: 1 },
  },
  jitter: {
    meaning: 'each packet is delayed by 0 to 50 ms, and so out of order, both ways',
    plan: everyoneBehind(bothWays({ jitterMs: 50 })),
    goals: { there: 1, frozenS: 1 },
  },
  reorder: {
    meaning: '5 % of packets come 30 ms after their turn',
    plan: everyoneBehind(bothWays({ reorder: { share: 0.05, byMs: 30 } })),
    goals: { there: 1, frozenS: 1 },
  },
  duplication: {
    meaning: '10 % of packets come twice',
    plan: everyoneBehind(bothWays({ duplicate: 0.1 })),
    goals: {},
  },
  delay: {
    meaning: 'everything is 300 ms late, both ways',
    plan: everyoneBehind(bothWays({ delayMs: 300 })),
    goals: {},
  },
  rate: {
    meaning: 'each participant has a bottleneck of 500 kbit/s with a queue of half a second',
    plan: everyoneBehind({ toServer: { rate: { kbps: 500, maxQueueMs: 500 } } }),
    goals: {},
  },
  blackout: {
    meaning: 'nothing gets through for 5 s, either way, and then all does',
    plan: everyoneBehind(bothWays({ blackouts: [{ fromS: 7, toS: 12 }] })),
    goals: { frozenS: 1 },
  },
  rejoin: {
    meaning: 'one leaves for 6 s and comes back',
    plan: withEvents(
      [],
      [
        { atS: 6, does: 'leave' },
        { atS: 12, does: 'rejoin' },
      ],
    ),
    goals: {},
  },
  mute: {
    meaning: 'one switches its microphone off for 7 s, the other its camera',
    plan: withEvents(
      [
        { atS: 5, does: 'muteAudio' },
        { atS: 12, does: 'unmuteAudio' },
      ],
      [
        { atS: 6, does: 'muteVideo' },
        { atS: 13, does: 'unmuteVideo' },
      ],
    ),
    goals: {},
  },
};

function withEvents(...events: NonNullable<Role['events']>[]): Plan {
  const plan = everyoneBehind({});
  return { ...plan, roles: plan.roles.map((role, i) => ({ ...role, events: events[i] ?? [] })) };
}
