/** Where a publisher that has lost its server tries next. */
import { describe, expect, test } from 'vitest';
import { Turns } from '../../web/publish/turns.js';

const [A, B, C] = ['http://a.example:8080', 'http://b.example:8080', 'http://c.example:8080'] as const;
const PAGE = `${A}/publish?autojoin=1`;
const BALANCER = 'http://fleet.example';

/** Where so many attempts go, and how long each may take, where these addresses answer, and say no. */
function attempts(turns: Turns, count: number, answering: readonly string[]) {
  return Array.from({ length: count }, () => {
    const next = turns.next();
    turns.failed(answering.some((each) => next.address.startsWith(each)));
    return next;
  });
}

const addressesOf = (all: readonly { address: string }[]) => all.map(({ address }) => address);

describe('while another answers', () => {
  test('the lost one is left out, and tried again after 20 attempts', () => {
    const tried = addressesOf(attempts(new Turns([A, B, C], A, A), 44, [B, C]));
    expect(tried.slice(0, 6)).toEqual([B, C, B, C, B, C]);
    expect(tried.flatMap((address, i) => (address === A ? [i] : []))).toEqual([20, 41]);
  });

  test('so is one that was lost at its own address, come to by way of another', () => {
    const tried = addressesOf(attempts(new Turns([A, B, C], BALANCER, C), 20, [A, B, BALANCER]));
    expect(tried.slice(0, 4)).toEqual([A, B, BALANCER, A]);
    expect(tried).not.toContain(C);
  });

  test('so is one that was not lost and answers nothing', () => {
    const tried = addressesOf(attempts(new Turns([A, B, C], A, A), 10, [C]));
    expect(tried).toEqual([B, C, C, C, C, C, C, C, C, C]);
  });

  test('one that answers again is no longer left out', () => {
    const turns = new Turns([A, B], A, A);
    expect(addressesOf(attempts(turns, 21, [A, B])).at(-1)).toBe(A);
    expect(addressesOf(attempts(turns, 4, [A, B]))).toEqual([B, A, B, A]);
  });
});

describe('while nobody answers', () => {
  test('all are tried in turn, the lost one last, with more and more time for an answer', () => {
    expect(attempts(new Turns([A, B], PAGE, A), 8, [])).toEqual([
      { address: B, limitMs: 1000 },
      { address: PAGE, limitMs: 1000 },
      { address: B, limitMs: 2000 },
      { address: PAGE, limitMs: 2000 },
      { address: B, limitMs: 4000 },
      { address: PAGE, limitMs: 4000 },
      { address: B, limitMs: 4000 },
      { address: PAGE, limitMs: 4000 },
    ]);
  });

  test('a server alone is asked again and again', () => {
    expect(addressesOf(attempts(new Turns([], A, A), 3, []))).toEqual([A, A, A]);
    expect(addressesOf(attempts(new Turns([], A, A), 3, [A]))).toEqual([A, A, A]);
  });

  test('the lost one has its turn again as soon as the others fall silent', () => {
    const turns = new Turns([A, B], A, A);
    attempts(turns, 3, [B]);
    expect(addressesOf(attempts(turns, 3, []))).toEqual([B, A, B]);
  });
});

test('an answer gives an address its first second again', () => {
  const turns = new Turns([A], A, A);
  attempts(turns, 2, []);
  expect(turns.next()).toEqual({ address: A, limitMs: 4000 });
  turns.failed(true);
  expect(turns.next()).toEqual({ address: A, limitMs: 1000 });
});
