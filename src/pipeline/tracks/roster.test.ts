import { describe, expect, test } from 'vitest';
import type { Subscription } from '../../contract/line/plan.ts';
import { isSubscribed, Roster } from './roster.ts';

const uids = (roster: Roster, atUs: number) => roster.at(atUs).map((u) => u.uid);

describe('Roster', () => {
  test('keeps join order, and gives a place up when its user leaves', () => {
    const roster = new Roster();
    roster.join('1', 0);
    roster.join('2', 10);
    roster.join('3', 20);
    roster.leave('2', 30);
    expect(uids(roster, 5)).toEqual(['1']);
    expect(uids(roster, 29)).toEqual(['1', '2', '3']);
    expect(uids(roster, 30)).toEqual(['1', '3']);
  });

  test('a user who comes back stands last', () => {
    const roster = new Roster();
    roster.join('1', 0);
    roster.join('2', 0);
    roster.leave('1', 10);
    roster.join('1', 20);
    expect(uids(roster, 15)).toEqual(['2']);
    expect(uids(roster, 20)).toEqual(['2', '1']);
  });

  test('a second join of a present user, and the leave of an unknown one, change nothing', () => {
    const roster = new Roster();
    roster.leave('9', 0);
    expect(roster.everJoined).toBe(false);
    roster.join('1', 0);
    roster.join('1', 10);
    expect(uids(roster, 20)).toEqual(['1']);
    expect(roster.present()).toEqual(['1']);
  });

  test('goes on from what another one saved', () => {
    const roster = new Roster();
    roster.join('1', 0);
    roster.join('2', 10);
    roster.leave('1', 20);
    const other = new Roster();
    other.restore(JSON.parse(JSON.stringify(roster.save())));
    for (const each of [roster, other]) each.join('1', 30);
    for (const atUs of [5, 15, 25, 35]) expect(other.at(atUs)).toEqual(roster.at(atUs));
    expect(uids(other, 35)).toEqual(['2', '1']);
    expect(other.everJoined).toBe(true);
  });

  test('forgetting the past keeps those who are there', () => {
    const roster = new Roster();
    roster.join('1', 0);
    roster.join('2', 0);
    roster.leave('1', 10);
    roster.forget(100);
    expect(uids(roster, 100)).toEqual(['2']);
    expect(uids(roster, 5)).toEqual(['2']);
  });
});

describe('isSubscribed', () => {
  test.each<[Subscription, boolean]>([
    [{ kind: 'all' }, true],
    [{ kind: 'none' }, false],
    [{ kind: 'only', uids: ['7'] }, true],
    [{ kind: 'only', uids: ['8'] }, false],
    [{ kind: 'except', uids: ['7'] }, false],
    [{ kind: 'except', uids: [] }, true],
  ])('%j', (subscription, wanted) => {
    expect(isSubscribed(subscription, '7')).toBe(wanted);
  });
});
