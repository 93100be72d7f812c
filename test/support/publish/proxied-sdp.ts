/**
 * Offers and answers of a publisher that has to send through a proxy, and by no other way.
 */

/** Where to send instead of to the server. */
export type Via = { address: string; port: number };

const CANDIDATE_LINE = /^a=candidate:.*\r?\n/gm;

/** The server is left to learn from the packets where the publisher is, or it would find the way past the proxy. */
export function withoutCandidates(offer: string): string {
  return offer.replace(CANDIDATE_LINE, '');
}

/** The answer with one candidate, the proxy, in place of its own. */
export function sentTo(via: Via, answer: string): string {
  let given = false;
  return answer.replace(CANDIDATE_LINE, (line) => {
    if (given) return '';
    given = true;
    const [foundation, component, protocol, priority] = line.split(' ');
    return `${[foundation, component, protocol, priority, via.address, via.port].join(' ')} typ host\r\n`;
  });
}
