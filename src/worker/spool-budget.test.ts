import { describe, expect, test } from 'vitest';
import { endingsOf, type Occupant, type SpoolLimits, type SpoolState, spoolRefusalOf } from './spool-budget.ts';

const GB = 1e9;
const NONE: SpoolLimits = { reserveBytes: 0, totalBytes: 0, recordingBytes: 0, appPercent: 100 };
const occupant = (sid: string, appid: string, bytes: number, isRunning = true): Occupant => {
  return { sid, appid, bytes, isRunning };
};

function stateOf(occupants: Occupant[], over: Partial<SpoolState> = {}): SpoolState {
  const spoolBytes = occupants.reduce((sum, { bytes }) => sum + bytes, 0);
  const disk = { freeBytes: 100 * GB, diskBytes: 100 * GB };
  return { ...disk, spoolBytes, occupants, backupBytes: new Map(), isShared: true, ...over };
}
const sids = (state: SpoolState, limits: Partial<SpoolLimits>) =>
  endingsOf(state, { ...NONE, ...limits }).map(({ sid }) => sid);
const refused = (appid: string, state: SpoolState, limits: Partial<SpoolLimits>) =>
  spoolRefusalOf(appid, state, { ...NONE, ...limits });

describe('what recordings may take of the disk', () => {
  const two = [occupant('a1', 'a', 3 * GB), occupant('a2', 'a', 5 * GB), occupant('b1', 'b', 4 * GB)];

  test('without limits nothing ends and nothing is refused, however full it is', () => {
    expect(sids(stateOf(two, { freeBytes: 0 }), {})).toEqual([]);
    expect(refused('a', stateOf(two, { freeBytes: 0 }), {})).toBeUndefined();
  });

  test('below the reserve the largest of whoever takes most ends, and no more begin', () => {
    const state = stateOf(two, { freeBytes: 1.5 * GB });
    expect(endingsOf(state, { ...NONE, reserveBytes: 2 * GB })).toEqual([
      { sid: 'a2', why: expect.stringMatching(/disk is nearly full/) },
    ]);
    expect(refused('b', state, { reserveBytes: 2 * GB })).toMatch(/1500 MB free.*below 2000 MB \(spoolReserveMb\)/);
    expect(sids(stateOf(two, { freeBytes: 2 * GB }), { reserveBytes: 2 * GB })).toEqual([]);
  });

  test('below half of it all end', () => {
    expect(sids(stateOf(two, { freeBytes: 0.9 * GB }), { reserveBytes: 2 * GB })).toEqual(['a1', 'a2', 'b1']);
  });

  test('what has ended and waits for its store counts, and cannot end again', () => {
    const state = stateOf([occupant('a1', 'a', 9 * GB, false), ...two], { freeBytes: 1.5 * GB });
    expect(sids(state, { reserveBytes: 2 * GB })).toEqual(['a2']);
    const waiting = stateOf([occupant('a1', 'a', 9 * GB, false), occupant('b1', 'b', 1)], { freeBytes: 1.5 * GB });
    expect(sids(waiting, { reserveBytes: 2 * GB })).toEqual(['b1']);
  });

  test('a recording ends at its own budget', () => {
    expect(endingsOf(stateOf(two), { ...NONE, recordingBytes: 4 * GB })).toEqual([
      { sid: 'a2', why: 'the recording takes 5000 MB, and 4000 MB are allowed' },
    ]);
  });

  test('all together have one as well', () => {
    expect(sids(stateOf(two), { totalBytes: 11 * GB })).toEqual(['a2']);
    expect(refused('b', stateOf(two), { totalBytes: 11 * GB })).toMatch(/12000 MB lie on the spool.*spoolTotalMb/);
    expect(sids(stateOf(two), { totalBytes: 12 * GB })).toEqual([]);
  });

  test('an app whose store is away has its share, backup and all, and the others theirs', () => {
    const state = stateOf(two, { backupBytes: new Map([['a', 43 * GB]]) });
    expect(sids(state, { appPercent: 50 })).toEqual(['a2']);
    expect(refused('a', state, { appPercent: 50 })).toMatch(/51000 MB.*50000 MB are allowed \(spoolAppPercent\)/);
    expect(refused('b', state, { appPercent: 50 })).toBeUndefined();
    // Of what all may take, where that is less than the disk.
    expect(refused('b', stateOf(two), { appPercent: 50, totalBytes: 7 * GB })).toBeDefined();
    expect(sids(stateOf(two, { isShared: false }), { appPercent: 1 })).toEqual([]);
  });
});
