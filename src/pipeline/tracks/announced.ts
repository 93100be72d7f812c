/**
 * Announced: what a sender says beside its pictures (colours, orientation), and from which of them on. Packets come in
 * any order and pictures are decoded a second later, so each saying is kept with its RTP time until a later one is in
 * force.
 */

/** Sayings kept, one a frame at most: more than frames can be waiting. */
const MAX_KEPT = 4096;
/** Sayings kept of before the last that was asked for: pictures are not always sent in the order they are shown in. */
const KEPT_BEFORE = 16;

export class Announced<T> {
  /** By RTP time. */
  #kept: { rtpTime: number; value: T }[] = [];

  /** `value` holds for the picture of `rtpTime` (unwrapped, in ticks) and all after it until another is announced. */
  note(rtpTime: number, value: T): void {
    const at = this.#kept.findLastIndex((said) => said.rtpTime <= rtpTime);
    const again = this.#kept[at]?.rtpTime === rtpTime;
    this.#kept.splice(again ? at : at + 1, again ? 1 : 0, { rtpTime, value });
    if (this.#kept.length > MAX_KEPT) this.#kept.shift();
  }

  /**
   * What holds for the picture of `rtpTime`; undefined when nothing was said yet. What lies far before is forgotten.
   */
  at(rtpTime: number): T | undefined {
    let inForce = 0;
    while (inForce + 1 < this.#kept.length && this.#kept[inForce + 1]!.rtpTime <= rtpTime) inForce++;
    const said = this.#kept[inForce];
    if (inForce > KEPT_BEFORE) this.#kept.splice(0, inForce - KEPT_BEFORE);
    return said && said.rtpTime <= rtpTime ? said.value : undefined;
  }
}
