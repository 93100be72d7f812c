/**
 * CpuShare: whether a page takes more of the CPU than it may, where no control group holds it to that. It cannot be
 * stopped from it then without harm to its sound; but it can be put behind everything else on the machine.
 */
import { type HostUs, US } from '../../../kernel/time.ts';

/** A page that loads, or shows something new, may take more for less than this. */
const PATIENCE_US = 30 * US;

type Reading = { cpuUs: number; atUs: HostUs };

export class CpuShare {
  readonly #cores: number;
  #readings: Reading[] = [];

  constructor(cores: number) {
    this.#cores = cores;
  }

  /** @param cpuUs of all that it ever took. Returns whether it took more than it may throughout the last half minute */
  isExceeded(cpuUs: number, atUs: HostUs): boolean {
    this.#readings.push({ cpuUs, atUs });
    while (this.#readings[1] && this.#readings[1].atUs <= atUs - PATIENCE_US) this.#readings.shift();
    const [first] = this.#readings;
    if (!first || first.atUs > atUs - PATIENCE_US) return false;
    return this.#readings.every((each, n) => {
      const before = this.#readings[n - 1];
      return !before || each.cpuUs - before.cpuUs > this.#cores * (each.atUs - before.atUs);
    });
  }
}
