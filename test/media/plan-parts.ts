/**
 * What the cases' plans are made of: who takes part behind which network, and what happens to them when.
 */
import type { Impairment } from '../support/impair/impairment.ts';
import { GREEN, PARTICIPANTS, RED } from '../support/media/participants.ts';
import type { ClockStep } from '../support/publish/publisher.ts';
import type { Plan, Role } from './plan.ts';

const SECONDS = 20;

/** Two participants, one with H.264 and one with VP8, behind networks of the same kind. */
export function everyoneBehind(impairments: Pick<Role, 'toServer' | 'toPublisher'>, seconds = SECONDS): Plan {
  return {
    seconds,
    seed: 2024,
    roles: [
      { uid: '1', participant: RED, codec: 'h264', ...impairments },
      { uid: '2', participant: GREEN, codec: 'vp8', ...impairments },
    ],
  };
}
/** Two undisturbed participants, each with what is special about it. */
export function two(first: Partial<Role>, second: Partial<Role>, seconds = SECONDS): Plan {
  const [red, green] = everyoneBehind({}).roles as [Role, Role];
  return {
    seconds,
    seed: 2024,
    roles: [
      { ...red, ...first },
      { ...green, ...second },
    ],
  };
}
/** The same network in both directions. */
export const bothWays = (impairment: Impairment) => ({ toServer: impairment, toPublisher: impairment });

/** The plan of `loss-5`, of any length. */
export const lossPlan = (loss: number, seconds = SECONDS): Plan => everyoneBehind(bothWays({ loss }), seconds);

/** Some of everything but bad networks, within seconds. */
export const medleyPlan = (seconds: number): Plan =>
  two(
    { sends: { skewPpm: { camera: 500, microphone: -500 } }, events: sizes([4, 640, 360]) },
    { sends: { dtx: true }, events: [{ atS: 6, does: 'restart' }] },
    seconds,
  );

/** The camera goes on in another size at each of these times, without a new track. */
export function sizes(...changes: [atS: number, width: number, height: number][]): NonNullable<Role['events']> {
  return changes.map(([atS, width, height]) => ({ atS, does: 'show', scene: { width, height } }));
}

/** Capture of one kind stops and goes on, so many seconds later. */
export function stalls(kind: 'Audio' | 'Video', ...spans: [atS: number, forS: number][]): NonNullable<Role['events']> {
  return spans.flatMap(([atS, forS]) => [
    { atS, does: `mute${kind}` as const },
    { atS: atS + forS, does: `unmute${kind}` as const },
  ]);
}

/** A clock is put forward, or back. */
export function steps(atS: number, clock: ClockStep['clock'], byS: number): NonNullable<Role['events']>[number] {
  return { atS, does: 'stepClock', clock, byS };
}

/** The larger layer of a simulcast is nothing but padding for a while. */
export function padded(atS: number, forS: number): NonNullable<Role['events']> {
  return [
    { atS, does: 'padUpperLayer' },
    { atS: atS + forS, does: 'fillUpperLayer' },
  ];
}

/** Someone whose clocks run fast or slow. */
export function skewed(
  uid: string,
  participant: Role['participant'],
  codec: Role['codec'],
  skewPpm: NonNullable<NonNullable<Role['sends']>['skewPpm']>,
): Role {
  return { uid, participant, codec, sends: { skewPpm } };
}

/**
 * Two who are there and others who join at `atS`: each has a pitch of its own; six colours come round again and again.
 */
export function crowd(count: number, atS: number): Role[] {
  const sends = { level: 0.2 };
  return Array.from({ length: count }, (_, i) => {
    const { colour } = PARTICIPANTS[i % PARTICIPANTS.length] as (typeof PARTICIPANTS)[number];
    const participant = { name: `N${i + 1}`, colour, toneHz: 440 + 110 * i };
    const codec = i % 2 === 0 ? 'h264' : 'vp8';
    if (i < 2) return { uid: String(i + 1), participant, codec, sends };
    return {
      uid: String(i + 1),
      participant,
      codec,
      absent: true,
      picture: { width: 160, height: 90, fps: 15, bitrateKbps: 100 },
      sends: { ...sends, loop: true },
      events: [{ atS, does: 'join' }],
    };
  });
}
