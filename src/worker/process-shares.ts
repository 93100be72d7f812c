/**
 * ProcessShares: what a recorder process takes of its machine, shared out among the runs in it: CPU time by the packets
 * that each has taken since it was last shared out, memory evenly.
 */

/** CPU time since the process's start in microseconds, user and system; memory now and at most. */
export type ProcessUsage = { cpuUs: number; rssBytes: number; peakRssBytes: number };
type Share = ProcessUsage & { packets: () => number; counted: number };

export class ProcessShares {
  readonly #usage: () => ProcessUsage;
  readonly #shares = new Map<string, Share>();
  #sharedOutUs = 0;
  #runs = 0;

  /** @param usage measures the process */
  constructor(usage: () => ProcessUsage) {
    this.#usage = usage;
  }

  /** A run has begun. @param packets how many it has taken so far */
  add(sid: string, packets: () => number): void {
    this.#shareOut();
    this.#runs++;
    this.#shares.set(sid, { cpuUs: 0, rssBytes: 0, peakRssBytes: 0, packets, counted: 0 });
  }

  /** A run has ended; what it took stays its own. */
  remove(sid: string): void {
    this.#shareOut();
    this.#shares.delete(sid);
  }

  /** What a run has taken so far. All that the process has, as long as no other run was ever in it. */
  of(sid: string): ProcessUsage {
    if (this.#runs === 1) return this.#usage();
    this.#shareOut();
    const { cpuUs = 0, rssBytes = 0, peakRssBytes = 0 } = this.#shares.get(sid) ?? {};
    return { cpuUs, rssBytes, peakRssBytes };
  }

  #shareOut(): void {
    const shares = [...this.#shares.values()];
    // What the start of the process took is the first run's.
    if (shares.length === 0) return;
    const { cpuUs, rssBytes } = this.#usage();
    const spentUs = cpuUs - this.#sharedOutUs;
    this.#sharedOutUs = cpuUs;
    // A run that takes no packets has some work too.
    const weights = shares.map((share) => {
      const packets = share.packets();
      const weight = 1 + packets - share.counted;
      share.counted = packets;
      return weight;
    });
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    for (const [i, share] of shares.entries()) {
      share.cpuUs += (spentUs * (weights[i] ?? 0)) / total;
      share.rssBytes = rssBytes / shares.length;
      share.peakRssBytes = Math.max(share.peakRssBytes, share.rssBytes);
    }
  }
}
