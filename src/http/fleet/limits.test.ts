import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  acquire,
  BASE,
  buildApi,
  call,
  closeApi,
  recordings,
  start,
  startBody,
  startPath,
  world,
} from '../../../test/support/rest-api.ts';

// An app may run three recordings here.
beforeEach(() => buildApi());
afterEach(closeApi);

const names = { cname: 'ch2', uid: '2' };
const acquireOther = () => call('POST', `${BASE}/acquire`, { ...names, clientRequest: {} });

describe('recordings of an app on other nodes', () => {
  test('count when one is acquired', async () => {
    await start();
    world.store.elsewhere = 1;
    expect((await acquireOther()).status).toBe(200);
    world.store.elsewhere = 2;
    expect((await acquireOther()).body).toMatchObject({ code: 406 });
  });

  test('count once more when one is started, in the very moment in which it is added', async () => {
    await start();
    const resourceId = await acquire({}, names);
    world.store.elsewhere = 2;
    const body = { ...startBody(), ...names };
    expect((await call('POST', startPath(resourceId), body)).body).toMatchObject({ ...names, code: 406 });
    // It was refused, and does not count any more.
    world.store.elsewhere = 1;
    expect((await call('POST', startPath(resourceId), body)).status).toBe(200);
  });
});

test('a draining server refuses what is new, answers for what it has, and takes new things again', async () => {
  const running = await start();
  const resourceId = await acquire({}, names);
  const body = { ...startBody(), ...names };
  recordings.drain(true);
  expect((await acquireOther()).body).toMatchObject({ code: 501 });
  expect((await call('POST', startPath(resourceId), body)).body).toMatchObject({ code: 502 });
  expect((await call('GET', running.path('query'))).status).toBe(200);
  recordings.drain(false);
  expect((await call('POST', startPath(resourceId), body)).status).toBe(200);
});
