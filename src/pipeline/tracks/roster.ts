/**
 * Roster: who is in the channel at which moment of the recording, in join order. It takes the channel's events, and the
 * picture clock asks it. Pure.
 */

import type { RosterState } from '../../contract/line/channel-state.ts';
import type { Subscription } from '../../contract/line/plan.ts';
import type { RecordingUs } from '../../kernel/time.ts';

/** True when a subscription wants this user's stream. */
export function isSubscribed(subscription: Subscription, uid: string): boolean {
  switch (subscription.kind) {
    case 'all':
      return true;
    case 'none':
      return false;
    case 'only':
      return subscription.uids.includes(uid);
    case 'except':
      return !subscription.uids.includes(uid);
  }
}

type Stay = { uid: string; order: number; joinedUs: RecordingUs; leftUs: RecordingUs };

export class Roster {
  #stays: Stay[] = [];
  #order = 0;
  #everJoined = false;

  save(): RosterState {
    const stays = this.#stays.map(({ leftUs, ...stay }) => ({
      ...stay,
      ...(leftUs === Number.POSITIVE_INFINITY ? {} : { leftUs }),
    }));
    return { stays, nextOrder: this.#order };
  }

  /** Goes on from the state of another roster. */
  restore({ stays, nextOrder }: RosterState): void {
    this.#stays = stays.map((stay) => ({ ...stay, leftUs: stay.leftUs ?? Number.POSITIVE_INFINITY }));
    this.#order = nextOrder;
    this.#everJoined = nextOrder > 0;
  }

  /** True once any user was there. */
  get everJoined(): boolean {
    return this.#everJoined;
  }

  /** A user came at `atUs` of the recording. A user who is there already keeps the place in the order. */
  join(uid: string, atUs: RecordingUs): void {
    this.#everJoined = true;
    if (this.#stays.some((s) => s.uid === uid && s.leftUs === Number.POSITIVE_INFINITY)) return;
    this.#stays.push({ uid, order: this.#order++, joinedUs: atUs, leftUs: Number.POSITIVE_INFINITY });
  }

  /** A user left at `atUs`. Unknown users are ignored. */
  leave(uid: string, atUs: RecordingUs): void {
    for (const stay of this.#stays) {
      if (stay.uid === uid && stay.leftUs === Number.POSITIVE_INFINITY) stay.leftUs = Math.max(atUs, stay.joinedUs);
    }
  }

  /** Users there at `atUs`, in join order, with the moment they came. */
  at(atUs: RecordingUs): { uid: string; joinedUs: RecordingUs }[] {
    const there: { uid: string; joinedUs: RecordingUs }[] = [];
    for (const s of this.#stays) if (s.joinedUs <= atUs && atUs < s.leftUs) there.push(s);
    return there;
  }

  /** Users who are there now, as far as has been told. */
  present(): string[] {
    return this.#stays.filter((s) => s.leftUs === Number.POSITIVE_INFINITY).map((s) => s.uid);
  }

  /** Drops stays that ended before `beforeUs`; they are not asked about again. */
  forget(beforeUs: RecordingUs): void {
    if (this.#stays.some((s) => s.leftUs < beforeUs)) this.#stays = this.#stays.filter((s) => s.leftUs >= beforeUs);
  }
}
