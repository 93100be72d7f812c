// @ts-check
// Turns: where a publisher that has lost its server tries next, and how long it waits there for an answer. Nodes that
// live say at once that they cannot take it yet, and soon that they can; one that is gone says nothing.

/** The first attempt at an address may take so long: a machine without power answers nothing, a slow network late. */
const FIRST_ATTEMPT_MS = 1000;
/** Each one that follows on such without an answer may take twice as long, up to this. */
export const ATTEMPT_MS = 4000;
/** Between two attempts. */
export const AGAIN_MS = 250;
/**
 * How many attempts leave out an address that did not answer while others do; they take 5 s or more, by when another
 * node has mostly taken over. Those others may be wrong, so that it is not left out for ever.
 */
const LEFT_OUT_FOR = 20;

export class Turns {
  /** @type {readonly string[]} */
  #addresses;
  /**
   * The addresses that did not answer when they were last tried: how often in a row, and which attempt that was.
   * @type {Map<string, { times: number, attempt: number }>}
   */
  #silent = new Map();
  /**
   * The addresses that did.
   * @type {Set<string>}
   */
  #heard = new Set();
  #attempt = 0;
  /** The place of the current attempt among the addresses. */
  #at = -1;

  /**
   * @param {readonly string[]} nodes the addresses of all nodes that take publishers
   * @param {string} base where the publisher began: at one of them, or at what stands before all of them
   * @param {string} lost where it published last
   */
  constructor(nodes, base, lost) {
    const byOrigin = new Map([...nodes, base].map((address) => [new URL(address).origin, address]));
    const { origin } = new URL(lost);
    const gone = byOrigin.get(origin);
    byOrigin.delete(origin);
    // Others first: they know whether the lost one is still the one to go to.
    this.#addresses = gone === undefined ? [...byOrigin.values()] : [...byOrigin.values(), gone];
    if (gone !== undefined) this.#silent.set(gone, { times: 0, attempt: 0 });
  }

  /** The next attempt. Whoever did not answer is left out for a while when others do. */
  next() {
    this.#attempt++;
    do this.#at = (this.#at + 1) % this.#addresses.length;
    while (this.#isLeftOut());
    const times = this.#silent.get(this.#address)?.times ?? 0;
    return { address: this.#address, limitMs: Math.min(FIRST_ATTEMPT_MS * 2 ** times, ATTEMPT_MS) };
  }

  /**
   * Must be told of each attempt that has failed.
   * @param {boolean} isAnswered whether there was an answer, whatever it was
   */
  failed(isAnswered) {
    const address = this.#address;
    if (isAnswered) {
      this.#silent.delete(address);
      this.#heard.add(address);
    } else {
      const times = (this.#silent.get(address)?.times ?? 0) + 1;
      this.#silent.set(address, { times, attempt: this.#attempt });
      this.#heard.delete(address);
    }
  }

  get #address() {
    return /** @type {string} */ (this.#addresses[this.#at]);
  }

  #isLeftOut() {
    const silent = this.#silent.get(this.#address);
    return silent !== undefined && this.#heard.size > 0 && this.#attempt - silent.attempt <= LEFT_OUT_FOR;
  }
}
