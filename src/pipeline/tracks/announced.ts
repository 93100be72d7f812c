/**
 * Announced: what a sender says besides its pictures (colours, orientation), and from which picture on. Packets come in
 * any order and pictures are decoded a second later, so each announcement is kept with its RTP time until a later one
 * holds.
 */

/** How many announcements are kept, at most one a frame: more than frames can be waiting. */
const MAX_KEPT = 4096;
/**
 * How many announcements are kept from before the last one asked for: pictures are not always sent in the order in
 * which they are shown.
 */
const KEPT_BEFORE = 16;

export class Announced<T> {
  /** Ordered by RTP time. */
  #kept: { rtpTime: number; value: T }[] = [];

  /** `value` holds for the picture of `rtpTime` (unwrapped, in ticks) and all after it until another is announced. */
  note(rtpTime: number, value: T): void {
    const at = this.#kept.findLastIndex((said) => said.rtpTime <= rtpTime);
    const again = this.#kept[at]?.rtpTime === rtpTime;
    this.#kept.splice(again ? at : at + 1, again ? 1 : 0, { rtpTime, value });
    if (this.#kept.length > MAX_KEPT) this.#kept.shift();
  }

  /**
   * What holds for the picture of `rtpTime`; undefined when nothing was announced yet. What lies far before it is
   * forgotten.
   */
  at(rtpTime: number): T | undefined {
    let inForce = 0;
    while (inForce + 1 < this.#kept.length && this.#kept[inForce + 1]!.rtpTime <= rtpTime) inForce++;
    const said = this.#kept[inForce];
    if (inForce > KEPT_BEFORE) this.#kept.splice(0, inForce - KEPT_BEFORE);
    return said && said.rtpTime <= rtpTime ? said.value : undefined;
  }
}
