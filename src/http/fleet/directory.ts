/** NodeDirectory: the nodes of the fleet that live, at most a second old. */
import type { Clock } from '../../kernel/clock.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { Node, NodeTables } from '../../store/node-tables.ts';

const FRESH_US = 1_000_000;

export class NodeDirectory {
  readonly #tables: Pick<NodeTables, 'live'>;
  readonly #clock: Clock;
  #nodes = new Map<string, Node>();
  #readUs: HostUs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(tables: Pick<NodeTables, 'live'>, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  /** The node with this id; undefined when its lease is over. */
  async find(id: string): Promise<Node | undefined> {
    return (await this.#fresh()).get(id);
  }

  /**
   * How many calls a second come for an app to the nodes other than this, as they told last. Does not wait: what is
   * older than a second is read again for the next who asks.
   */
  callsElsewhere(appid: string, self: string): number {
    void this.#fresh().catch(() => {});
    let calls = 0;
    for (const node of this.#nodes.values()) if (node.id !== self) calls += node.calls.get(appid) ?? 0;
    return calls;
  }

  async all(): Promise<Node[]> {
    return [...(await this.#fresh()).values()];
  }

  async #fresh(): Promise<ReadonlyMap<string, Node>> {
    if (this.#clock.monoUs() - this.#readUs >= FRESH_US) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      // While the database is away, nodes are where they were.
      await this.#reading.catch((error: unknown) => {
        if (this.#nodes.size === 0) throw error;
      });
    }
    return this.#nodes;
  }

  async #read(): Promise<void> {
    const askedUs = this.#clock.monoUs();
    const nodes = await this.#tables.live();
    this.#nodes = new Map(nodes.map((node) => [node.id, node]));
    this.#readUs = askedUs;
  }
}
