/**
 * Show: what is recorded while harm is done. One channel, its people by a plan, and several recordings of it at once,
 * each with its own harm: that is how many kills fit into little time.
 */

import type { Layout, Plan, Role } from '../media/plan.ts';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';

/** Done to the recorder of one recording; seconds from the start call of the first recording. */
export type Harm = {
  atS: number;
  /**
   * SIGKILL, or SIGSTOP: a process that is there and does nothing. `share`: nothing by itself, but the recorder is that
   * of another recording too, to which harm is done right after.
   */
  does: 'kill' | 'hang' | 'share';
};

export type Take = {
  mode: 'mix' | 'individual';
  harm: readonly Harm[];
  /** Changes of the layout, of composites. */
  layouts?: readonly { atS: number; layout: Layout }[];
  /** Stopped before the show's end, without waiting for its files. */
  stopAtS?: number;
  /** How many processes that work on it are killed from its stop call on, as they come. */
  killsFromStop?: number;
  /** Does not live to be stopped: three runs are lost within a minute, or the server is ended in order. */
  ends?: 'lost' | 'shutdown';
  /** Its calls may be answered 504 (contract §2.1) where the database does not answer. */
  mayTimeOut?: true;
};

/** A time in which nothing of anyone could be received, in wall time. */
export type Outage = { fromS: number; toS: number };

export type Show = {
  plan: Plan;
  takes: readonly Take[];
  /**
   * Done to the server and what it stands on.
   * @param at resolves at a time of the show, seconds from the first recording's start call
   */
  meanwhile?: (at: (atS: number) => Promise<void>) => Promise<readonly Outage[]>;
};

/** Small pictures: the machine is to be busy with takeovers, not with pixels. */
export const PICTURE = { width: 320, height: 180, fps: 15, bitrateKbps: 150 };
export const CANVAS = { width: 320, height: 180, fps: 15 };

const role = (uid: string, participant: Role['participant'], codec: Role['codec'], more: Partial<Role> = {}): Role => ({
  uid,
  participant,
  codec,
  picture: PICTURE,
  ...more,
});

/** Two who stay, one with VP8 and one with H.264, and a third who comes and leaves. */
export function livelyPlan(seconds: number, seed: number): Plan {
  return {
    seconds,
    seed,
    canvas: CANVAS,
    roles: [
      role('1', RED, 'vp8'),
      role('2', GREEN, 'h264'),
      role('3', BLUE, 'vp8', {
        absent: true,
        events: [
          { atS: seconds * 0.3, does: 'join' },
          { atS: seconds * 0.7, does: 'leave' },
        ],
      }),
    ],
  };
}

/** Two who stay. @param comeBackAtS when they publish anew, one after the other, as after the server was gone */
export function steadyPlan(seconds: number, seed: number, comeBackAtS?: number): Plan {
  const events = (after: number) =>
    comeBackAtS === undefined ? [] : [{ atS: comeBackAtS + after, does: 'replace' as const }];
  return {
    seconds,
    seed,
    canvas: CANVAS,
    roles: [role('1', RED, 'vp8', { events: events(0) }), role('2', GREEN, 'h264', { events: events(1) })],
  };
}

/**
 * A recording of each mode for each row of harm.
 * @param seconds length of the show, where composites change their layout in its middle
 */
export function takesOf(rows: readonly (readonly Harm[])[], seconds?: number, more: Partial<Take> = {}): Take[] {
  const layouts: Take['layouts'] = seconds === undefined ? [] : [{ atS: seconds / 2, layout: 'floating' }];
  return rows.flatMap((harm): Take[] => [
    { mode: 'mix', harm, layouts, ...more },
    { mode: 'individual', harm, ...more },
  ]);
}

export function kill(atS: number): Harm {
  return { atS, does: 'kill' };
}

/** The same moment for a recording whose recorder is killed with that of another. */
export function killBeside(atS: number): Harm {
  return { atS: atS - 0.3, does: 'share' };
}
