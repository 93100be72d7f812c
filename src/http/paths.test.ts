import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { APP, BASE, buildApi, call, closeApi, start, stopBody } from '../../test/support/rest-api.ts';
import { toPlainUrl } from './paths.ts';

describe('the plain form of an address', () => {
  test.each([
    ['/v1/apps/a/cloud_recording/acquire', undefined],
    ['/v1/apps/a/cloud_recording/acquire/', '/v1/apps/a/cloud_recording/acquire'],
    ['//v1//apps///a/cloud_recording//acquire//', '/v1/apps/a/cloud_recording/acquire'],
    ['//na//v1/apps/a/cloud_recording/acquire', '/na/v1/apps/a/cloud_recording/acquire'],
    ['/v2/ncs/ip/', '/v2/ncs/ip'],
    ['/v1/apps/a/aircheck/events/?after=//3/', '/v1/apps/a/aircheck/events?after=//3/'],
    ['/v1/resourceid//r//sid//s/mode/mix/query/', '/v1/resourceid/r/sid/s/mode/mix/query'],
    ['/v1/resourceid/r/sid//mode/mix/query', undefined],
    ['/v1/resourceid/r/sid///mode/mix/query', '/v1/resourceid/r/sid//mode/mix/query'],
    ['/v1/resourceid/r/sid/mode/mix/query', '/v1/resourceid/r/sid//mode/mix/query'],
    ['/v1/resourceid//sid//mode/mix/query', undefined],
    ['/v1/resourceid//mode/mix/start', undefined],
    ['/v1/apps/__proto__/constructor/acquire/', '/v1/apps/__proto__/constructor/acquire'],
    // Not of this API.
    ['/whip/a//7/', undefined],
    ['/docs/', undefined],
    ['//v1x/', undefined],
    ['/', undefined],
    ['', undefined],
    ['*', undefined],
  ])('%s', (given, plain) => {
    expect(toPlainUrl(given)).toBe(plain ?? given);
  });
});

describe('calls with slashes too many', () => {
  beforeEach(() => buildApi());
  afterEach(closeApi);

  test('are answered as those without', async () => {
    const { path } = await start();
    for (const write of [
      (url: string) => `${url}/`,
      (url: string) => `/${url}`,
      (url: string) => url.replaceAll('/', '//'),
    ]) {
      expect((await call('GET', write(path('query')))).body).toMatchObject({ serverResponse: { status: 2 } });
      const update = stopBody({ streamSubscribe: { audioUidList: { subscribeAudioUids: ['1'] } } });
      expect((await call('POST', write(path('update')), update)).status).toBe(200);
      expect((await call('POST', write(path('updateLayout')), stopBody())).status).toBe(200);
      expect((await call('POST', write(`/eu${BASE}/acquire`), stopBody())).status).toBe(200);
      expect((await call('GET', write(`/v1/apps/${APP}/aircheck/channels/c`))).status).toBe(200);
      expect((await call('GET', write('/v1/ncs/ip'))).status).toBe(200);
    }
  });

  test('are told the same when they are refused', async () => {
    const noRoute = { status: 404, body: { message: 'no Route matched with those values' } };
    expect(await call('POST', `${BASE}//acquired/`, stopBody())).toMatchObject(noRoute);
    expect(await call('POST', '//v1//', stopBody())).toMatchObject(noRoute);
    const headers = { authorization: '' };
    expect((await call('POST', `${BASE}//acquire/`, stopBody(), headers)).body).toEqual({ message: 'Unauthorized' });
  });
});
