/** Tokens that open one recording for a while. */
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { WatchTokens } from './watch-tokens.ts';

const [APP, SID] = ['a'.repeat(32), 'b'.repeat(32)];
const [KEY, OTHER] = ['1'.repeat(64), '2'.repeat(64)];
const made = (clock: ManualClock, ...keys: string[]) => new WatchTokens({ keys, clock, lifeS: 600 });
const refused = (code: string) => expect.objectContaining({ code });

test('a token opens its own recording until its time is over', () => {
  const clock = new ManualClock();
  const tokens = made(clock, KEY);
  const { token, expiresMs } = tokens.mint(APP, SID);
  expect(expiresMs).toBe(clock.nowMs() + 600_000);
  tokens.check(APP, SID, token);
  for (const [app, sid] of [
    ['c'.repeat(32), SID],
    [APP, 'c'.repeat(32)],
  ] as const)
    expect(() => tokens.check(app, sid, token)).toThrow(refused('watch-token-invalid'));
  clock.advance(599_999);
  tokens.check(APP, SID, token);
  clock.advance(1);
  expect(() => tokens.check(APP, SID, token)).toThrow(refused('watch-token-over'));
});

test('a token that was changed opens nothing, in none of its characters', () => {
  const tokens = made(new ManualClock(), KEY);
  const { token } = tokens.mint(APP, SID, 60);
  for (let at = 0; at < token.length - 1; at++) {
    const changed = `${token.slice(0, at)}${token[at] === '1' ? '2' : '1'}${token.slice(at + 1)}`;
    expect(() => tokens.check(APP, SID, changed), changed).toThrow(refused('watch-token-invalid'));
  }
  for (const wrong of [undefined, '', '.', token.slice(1), `${token}A`, [token], 7, `zzzzzzzzz.${'A'.repeat(22)}`])
    expect(() => tokens.check(APP, SID, wrong)).toThrow(refused('watch-token-invalid'));
});

test('keys are changed one after another', () => {
  const clock = new ManualClock();
  const { token } = made(clock, KEY).mint(APP, SID);
  made(clock, OTHER, KEY).check(APP, SID, token);
  expect(() => made(clock, OTHER).check(APP, SID, token)).toThrow(refused('watch-token-invalid'));
});
