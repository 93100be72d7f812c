/** Copies of other nodes' answers, over real connections: they are given while they are as good as asking. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { FleetScene, KEY } from '../../../test/support/fleet-scene.ts';
import { APP, basic } from '../../../test/support/rest-api.ts';
import { problem } from '../../contract/problems.ts';
import { CHANGES_PATH } from './changes.ts';
import { bodyDigest, sign } from './signature.ts';

/** The database's clock stands still, so that a slow machine makes no node unheard. */
const NOW_MS = Date.now();
const SID = '5'.repeat(32);
const TASK = `/v1/apps/${APP}/cloud_recording/resourceid/resource-1/sid/${SID}/mode/mix`;

let scene: FleetScene;
/** How much later it is than that, milliseconds. */
let ahead = 0;
/** What the owner would answer now. */
let state: number;
beforeEach(async () => {
  ahead = 0;
  state = 1;
  scene = await FleetScene.open(['a', 'b'], { databaseMs: () => NOW_MS + ahead });
  scene.places.tasks.set(SID, 'b');
  scene.node('b').answer = (call) => ({ call, state });
});
afterEach(() => scene.close());

async function ask(method: string, call: string, body?: object) {
  const answer = await fetch(`${scene.node('a').url}${TASK}/${call}`, {
    method,
    headers: { authorization: basic('id:se:cret'), 'content-type': 'application/json' },
    ...(body && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}
const query = async () => JSON.parse((await ask('GET', 'query')).text).state as number;
/** How often the owner was asked. */
const asked = () => scene.node('b').asked.filter(({ call }) => call === 'query').length;
/** Asks until an answer comes from a copy. Copies are kept once the owner's changes are heard. */
async function untilCopied(): Promise<void> {
  for (;;) {
    const before = asked();
    await query();
    if (asked() === before) return;
  }
}

test('a second question is answered from a copy, byte for byte, with an id of its own', async () => {
  const first = await ask('GET', 'query');
  await untilCopied();
  const copy = await ask('GET', 'query');
  expect([copy.status, copy.text]).toEqual([200, first.text]);
  expect(copy.headers.get('content-type')).toBe(first.headers.get('content-type'));
  expect(copy.headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
  expect(copy.headers.get('x-request-id')).not.toBe(first.headers.get('x-request-id'));
});

test('a copy is given to nobody without credentials', async () => {
  await untilCopied();
  const { status } = await fetch(`${scene.node('a').url}${TASK}/query`, {
    headers: { authorization: basic('id:wrong') },
  });
  expect(status).toBe(401);
});

test('a change at the owner is seen at once, and a change of another recording costs nothing', async () => {
  await untilCopied();
  const before = asked();
  scene.node('b').changes.tell('6'.repeat(32));
  state = 2;
  scene.node('b').changes.tell(SID);
  await expect.poll(query, { interval: 1 }).toBe(2);
  await untilCopied();
  // One for the change, and none for the other recording.
  expect(asked()).toBe(before + 1);
});

test('who changes something here finds it changed when they ask next', async () => {
  await untilCopied();
  scene.node('b').answer = (call) => {
    // Nothing tells of the change before the answer is out.
    if (call === 'stop') state = 2;
    return { call, state };
  };
  const body = { cname: 'ch1', uid: '9', clientRequest: {} };
  expect((await ask('POST', 'stop', body)).status).toBe(200);
  expect(await query()).toBe(2);
});

test('an answer that a change overtakes is not kept', async () => {
  await untilCopied();
  let go = () => {};
  const gone = new Promise<void>((resolve) => {
    go = resolve;
  });
  scene.node('b').answer = async (call) => {
    const old = { call, state };
    await gone;
    return old;
  };
  scene.node('b').changes.tell(SID);
  const before = asked();
  const late = query();
  await expect.poll(asked, { interval: 1 }).toBeGreaterThan(before);
  state = 2;
  scene.node('b').changes.tell(SID);
  scene.node('b').changes.tell('6'.repeat(32));
  // The change is heard before the answer is.
  await new Promise((resolve) => setImmediate(resolve));
  go();
  expect(await late).toBe(1);
  scene.node('b').answer = (call) => ({ call, state });
  await expect.poll(query, { interval: 1 }).toBe(2);
  await untilCopied();
  expect(await query()).toBe(2);
});

test('a node that is not heard, or was lost, is asked for each answer', async () => {
  await untilCopied();
  // The owner has stood still since, or its words are late.
  const before = asked();
  ahead = 60_000;
  state = 2;
  expect([await query(), asked()]).toEqual([2, before + 1]);
  ahead = 0;
  scene.node('b').inside.server.closeAllConnections();
  state = 3;
  await expect.poll(query, { interval: 1 }).toBe(3);
  state = 4;
  await expect.poll(query, { interval: 1 }).toBe(4);
});

test('errors are not kept', async () => {
  await untilCopied();
  scene.node('b').answer = () => {
    throw problem('no-worker');
  };
  scene.node('b').changes.tell(SID);
  await expect.poll(async () => (await ask('GET', 'query')).status, { interval: 1 }).toBe(404);
  const before = asked();
  await ask('GET', 'query');
  await ask('GET', 'query');
  expect(asked()).toBe(before + 2);
});

test('changes are told to nodes with the key only, and to so many', async () => {
  const { nodeUrl } = scene.node('b');
  const listen = (key: string) => {
    const headers = {
      'aircheck-wire': '1',
      'aircheck-to': 'b',
      'aircheck-body-digest': bodyDigest(undefined),
    };
    const signature = sign({ method: 'GET', url: CHANGES_PATH, headers }, key, NOW_MS);
    return fetch(nodeUrl + CHANGES_PATH, { headers: { ...headers, 'aircheck-signature': signature } });
  };
  expect((await listen('another key that is long enough too')).status).toBe(401);
  const listening = await Promise.all(Array.from({ length: 65 }, () => listen(KEY)));
  expect(listening.map(({ status }) => status).toSorted()).toEqual([...Array.from({ length: 64 }, () => 200), 503]);
  for (const { body } of listening) await body?.cancel();
  await expect.poll(async () => (await listen(KEY)).status).toBe(200);
});
