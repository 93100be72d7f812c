import { afterEach, beforeEach, expect, test } from 'vitest';
import { APP, BASE, basic, buildApi, call, closeApi, OTHER_APP } from '../../test/support/rest-api.ts';
import type { BacklogEntry } from '../contract/rest/backlog.ts';

const SID = 'a'.repeat(32);
const entry: BacklogEntry = {
  ...{ sid: SID, where: 'backup', files: 2, bytes: 5, sinceMs: 1, attempts: 3, lastError: 'away', nextTryMs: null },
  waitsFor: null,
};
let retried: string[];
beforeEach(() => {
  retried = [];
  buildApi({
    api: {
      backlog: {
        list: async (appid) => (appid === APP ? [entry] : []),
        retry: async (appid, sid) => {
          retried.push(sid);
          return appid === APP && sid === SID;
        },
      },
    },
  });
});
afterEach(closeApi);

const at = (appid: string, path = '') =>
  `${BASE.replace(APP, appid).replace('cloud_recording', 'aircheck')}/backlog${path}`;

test('an app’s backlog is told to its customers alone', async () => {
  expect(await call('GET', at(APP))).toMatchObject({ status: 200, body: { backlog: [entry] } });
  expect(await call('GET', at(OTHER_APP))).toMatchObject({ status: 200, body: { backlog: [] } });
  expect((await call('GET', at(APP), undefined, { authorization: basic('limited:x') })).status).toBe(400);
});

test('a recording in the backup store is tried at once, and any other is unknown', async () => {
  expect(await call('POST', at(APP, `/${SID}/retry`))).toMatchObject({ status: 200, body: { sid: SID } });
  expect((await call('POST', at(APP, '/other/retry'))).status).toBe(404);
  expect(retried).toEqual([SID, 'other']);
});
