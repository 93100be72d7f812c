/**
 * A recording of a channel on hold, as its caller sees it: beyond the contract, and beside what the contract has.
 */
import { beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import {
  type Answer,
  acquire,
  buildApi,
  call,
  start,
  startBody,
  startPath,
  stopBody,
  world,
} from '../../test/support/rest-api.ts';

beforeEach(() => buildApi());

type Started = Awaited<ReturnType<typeof start>>;
const update = ({ path }: Started, clientRequest: object): Promise<Answer> =>
  call('POST', path('update'), stopBody(clientRequest));
const hold = (recording: Started, onhold: unknown) => update(recording, { aircheck: { onhold } });
const query = async ({ path }: Started) => (await call('GET', path('query'))).body;
const told = () =>
  world.store.notices.filter(({ eventType }) => eventType === 9001).map(({ payload }) => payload.details);

describe('a recording of a channel', () => {
  test('is put on hold and goes on by update, each from the moment of the call and told once', async () => {
    const recording = await start();
    const { resourceId, sid } = recording;
    for (const [onhold, ms] of [
      [true, 5000],
      [true, 1000],
      [false, 2000],
    ] as const) {
      world.clock.advance(ms);
      const { status, body } = await hold(recording, onhold);
      expect({ status, body }).toEqual({ status: 200, body: { cname: 'ch1', uid: '527841', resourceId, sid } });
    }
    expect(recording.recorder.changes).toEqual([
      { type: 'changeHold', atMonoUs: 5_000_000, onhold: true },
      { type: 'changeHold', atMonoUs: 6_000_000, onhold: true },
      { type: 'changeHold', atMonoUs: 8_000_000, onhold: false },
    ]);
    await settle();
    expect(told()).toEqual([
      { msgName: 'aircheck_hold_changed', onhold: true, utcMs: expect.any(Number) },
      { msgName: 'aircheck_hold_changed', onhold: false, utcMs: expect.any(Number) },
    ]);
    expect((told()[1]!['utcMs'] as number) - (told()[0]!['utcMs'] as number)).toBe(3000);
  });

  test('says so in query beside what the contract has, once it was said', async () => {
    const recording = await start();
    const before = await query(recording);
    expect(before).not.toHaveProperty('aircheck');
    await hold(recording, true);
    expect(await query(recording)).toEqual({ ...before, aircheck: { onhold: true } });
    await hold(recording, false);
    expect(await query(recording)).toEqual({ ...before, aircheck: { onhold: false } });
  });

  test.each(['mix', 'individual'])('begins on hold in mode %s where start says so', async (mode) => {
    const resourceId = await acquire();
    const body = startBody({
      aircheck: { onhold: true },
      ...(mode === 'individual' && { recordingConfig: { subscribeUidGroup: 0 } }),
    });
    const started = await call('POST', startPath(resourceId, mode), body);
    expect([started.status, started.headers['x-aircheck-warnings']]).toEqual([200, undefined]);
    await settle();
    expect(world.recorders.at(-1)!.start.plan).toMatchObject({ mode, onhold: true });
    expect(told()).toEqual([]);
  });

  test('a recorder that is launched anew begins on hold', async () => {
    const recording = await start();
    recording.recorder.tell({ type: 'ready' });
    recording.recorder.tell({ type: 'joined' });
    await hold(recording, true);
    // Long enough ago to be part of the plan, and no change any more.
    world.clock.advance(100_000);
    recording.recorder.exit('killed');
    await settle();
    expect(world.recorders.at(-1)).not.toBe(recording.recorder);
    expect(world.recorders.at(-1)!.start).toMatchObject({ plan: { onhold: true }, changes: [] });
    expect(await query(recording)).toMatchObject({ aircheck: { onhold: true } });
  });

  test('what is no yes or no is refused, and an extension that says nothing changes nothing', async () => {
    const recording = await start();
    const refusal = {
      code: 2,
      reason: 'update: onhold type mismatch or missing under aircheck! aircheck.onhold must be true or false',
    };
    expect(await hold(recording, 'yes')).toMatchObject({ status: 400, body: refusal });
    expect((await update(recording, { aircheck: {} })).status).toBe(200);
    expect(recording.recorder.changes).toEqual([]);
    const misplaced = await update(recording, { onhold: true });
    expect([misplaced.status, misplaced.headers['x-aircheck-warnings']]).toEqual([200, '1']);
  });
});
