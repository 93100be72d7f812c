/**
 * How much a publisher is told it may send (REMB), from loss alone: a recorder sits where the network is wide and has no
 * latency to protect. The rule is that of draft-ietf-rmcat-gcc-02 §6.
 */
export const MIN_BITRATE_BPS = 150_000;
export const START_BITRATE_BPS = 10_000_000;
export const MAX_BITRATE_BPS = 20_000_000;

export class LossBasedEstimate {
  #bitrateBps = START_BITRATE_BPS;

  get bitrateBps(): number {
    return this.#bitrateBps;
  }

  /** @param lossRatio of the last second, 0..1 */
  onLoss(lossRatio: number): void {
    if (lossRatio > 0.1) this.#bitrateBps *= 1 - 0.5 * lossRatio;
    else if (lossRatio < 0.02) this.#bitrateBps *= 1.08;
    this.#bitrateBps = Math.min(MAX_BITRATE_BPS, Math.max(MIN_BITRATE_BPS, this.#bitrateBps));
  }
}
