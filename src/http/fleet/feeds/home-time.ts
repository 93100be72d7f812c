/**
 * HomeTime: relates the monotonic clock of a channel's home to this node's. Both run on their own, so the relation is
 * asked for again and again, and moves with them.
 */
import type { HostUs } from '../../../kernel/time.ts';

export class HomeTime {
  /** The home's clock less this one's, and the least that was ever believed. */
  #offsetUs: number | undefined;
  #leastUs = Number.POSITIVE_INFINITY;

  /**
   * The home's clock showed `toldUs` at some moment between two of this node's. What is believed already and can be so
   * stays: an answer that was long on its way changes nothing.
   */
  steer(toldUs: HostUs, askedUs: HostUs, answeredUs: HostUs): void {
    const [least, most] = [toldUs - answeredUs, toldUs - askedUs];
    this.#offsetUs = Math.min(Math.max(this.#offsetUs ?? (least + most) / 2, least), most);
    this.#leastUs = Math.min(this.#leastUs, this.#offsetUs);
  }

  /** A moment of the home by this node's clock; 0 for one from before this machine's clock began. */
  toOwn(homeUs: HostUs): HostUs {
    return Math.max(0, Math.round(homeUs - (this.#offsetUs ?? 0)));
  }

  /** A moment of this node by the home's clock. */
  toHome(ownUs: HostUs): HostUs {
    return ownUs + (this.#offsetUs ?? 0);
  }

  /**
   * A moment of this node by the home's clock, as early as it may be: everything that was told to have come in later
   * did.
   */
  toHomeAtMost(ownUs: HostUs): HostUs {
    const offsetUs = Number.isFinite(this.#leastUs) ? this.#leastUs : 0;
    return Math.max(0, Math.floor(ownUs + offsetUs) - 1);
  }
}
