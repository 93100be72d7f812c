import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { request } from 'undici';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { FleetScene, KEY, type SceneOptions } from '../../../test/support/fleet-scene.ts';
import { APP, basic, STORAGE } from '../../../test/support/rest-api.ts';
import type { Plan } from '../../contract/line/plan.ts';
import { problem } from '../../contract/problems.ts';
import { moved } from '../../session/hold.ts';
import { overloaded } from '../../session/overload.ts';
import { requireAcquaintance } from './acquaintance.ts';
import { bodyDigest, PLACED_HEADER, sign } from './signature.ts';

const SID = '5'.repeat(32);
const RESOURCE = 'resource-1';
const TASK = `/v1/apps/${APP}/cloud_recording/resourceid/${RESOURCE}/sid/${SID}/mode/mix`;
const NAMES = { cname: 'ch1', uid: '9' };

let scene: FleetScene;
const open = async (options: SceneOptions = {}) => {
  await scene?.close();
  scene = await FleetScene.open(['a', 'b', 'c'], options);
};
beforeEach(() => open());
afterEach(() => scene.close());

async function call(at: string, method: string, path: string, body?: string | Buffer, headers = {}) {
  const answer = await fetch(scene.node(at).url + path, {
    method,
    headers: { authorization: basic('id:se:cret'), 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : new Uint8Array(body) }),
  });
  return { status: answer.status, text: await answer.text(), headers: answer.headers };
}
const askedOf = (...ids: string[]) => ids.map((id) => scene.node(id).asked.map((each) => each.call));

describe('a call', () => {
  test('is answered by the node that owns the task, whichever it comes to, byte for byte', async () => {
    scene.places.tasks.set(SID, 'b');
    const answers = [];
    for (const at of ['a', 'b', 'c']) answers.push(await call(at, 'GET', `${TASK}/query`));
    for (const { status, text, headers } of answers) {
      expect([status, text]).toEqual([200, '{"by":"b","call":"query"}']);
      expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    }
    expect(askedOf('a', 'b', 'c')).toEqual([[], ['query', 'query', 'query'], []]);
  });

  test('has one id on both nodes, and its credentials stay where it came in', async () => {
    scene.places.tasks.set(SID, 'b');
    const { headers } = await call('a', 'GET', `${TASK}/query`);
    const [carried] = scene.node('b').carried;
    expect(headers.get('x-request-id')).toBe(carried!['x-request-id']);
    expect(headers.get('x-request-id')).toMatch(/^[0-9a-f-]{36}$/);
    expect(carried).not.toHaveProperty('authorization');
  });

  test('of a player is answered there too, and its token judged where it came in', async () => {
    scene.places.tasks.set(SID, 'b');
    scene.node('b').answer = (asked) => (asked === 'playlist' ? '#EXTM3U\n' : undefined);
    const own = `/v1/apps/${APP}/aircheck/recordings/${SID}`;
    const { url } = JSON.parse((await call('a', 'POST', `${own}/watch`)).text);
    const answer = await call('c', 'GET', `${url}&_HLS_msn=1`, undefined, { authorization: '' });
    expect([answer.status, answer.text]).toEqual([200, '#EXTM3U\n']);
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(answer.headers.get('content-type')).toBe('application/vnd.apple.mpegurl');
    expect((await call('c', 'GET', `${url}x`)).status).toBe(401);
    expect(askedOf('a', 'b', 'c')).toEqual([[], ['users', 'playlist'], []]);
  });

  test('keeps its body as it was sent, packed or not', async () => {
    scene.places.tasks.set(SID, 'b');
    const body = `{ "cname":"ch1", "uid":"9",  "clientRequest": {"number": 1.0e2, "ü": "\\u00fc"} }`;
    await call('a', 'POST', `${TASK}/update`, body);
    await call('a', 'POST', `${TASK}/update`, gzipSync(body), { 'content-encoding': 'gzip' });
    const given = scene.node('b').asked.map((each) => each.given[1]);
    expect(given).toEqual([JSON.parse(body), JSON.parse(body)]);
  });

  test('brings errors and warnings of the other node as they are', async () => {
    scene.places.tasks.set(SID, 'b');
    scene.node('b').answer = () => {
      throw problem('no-worker', undefined, { details: NAMES });
    };
    const body = JSON.stringify({ ...NAMES, clientRequest: { unknown: 1 } });
    const [there, here] = [
      await call('a', 'POST', `${TASK}/stop`, body),
      await call('b', 'POST', `${TASK}/stop`, body),
    ];
    expect([there.status, there.text]).toEqual([404, here.text]);
    expect(there.headers.get('x-aircheck-warnings')).toBe(here.headers.get('x-aircheck-warnings'));
    expect(there.headers.get('x-aircheck-warnings')).toBe('1');
  });

  test('whose recording moves while it is asked is answered by the node that it moved to', async () => {
    const moves = (from: string, to: string) => {
      scene.places.tasks.set(SID, from);
      scene.node(from).answer = () => {
        scene.places.tasks.set(SID, to);
        throw moved(SID);
      };
    };
    const body = JSON.stringify({ ...NAMES, clientRequest: {} });
    moves('a', 'b');
    expect(await call('a', 'POST', `${TASK}/stop`, body)).toMatchObject({
      status: 200,
      text: '{"by":"b","call":"stop"}',
    });
    moves('b', 'c');
    expect(await call('a', 'GET', `${TASK}/query`)).toMatchObject({ status: 200, text: '{"by":"c","call":"query"}' });
  });

  test('is checked where it comes in: nothing wrong crosses', async () => {
    scene.places.tasks.set(SID, 'b');
    expect((await call('a', 'GET', `${TASK}/query`, undefined, { authorization: basic('id:wrong') })).status).toBe(401);
    expect((await call('a', 'POST', `${TASK}/update`, '{')).status).toBe(400);
    expect(scene.node('b').carried).toEqual([]);
  });

  test('of a task that nobody has is answered where it comes in', async () => {
    await call('a', 'GET', `${TASK}/query`);
    expect(askedOf('a', 'b', 'c')).toEqual([['query'], [], []]);
  });
});

test('acquire goes to the home of its channel, start to that of its resource, a second start to the owner', async () => {
  scene.places.homes.set('ch1', 'b');
  scene.places.resources.set(RESOURCE, { appid: APP, cname: 'ch1' });
  const start = () =>
    call(
      'a',
      'POST',
      `/v1/apps/${APP}/cloud_recording/resourceid/${RESOURCE}/mode/mix/start`,
      JSON.stringify({ ...NAMES, clientRequest: { storageConfig: STORAGE } }),
    );
  await call('a', 'POST', `/v1/apps/${APP}/cloud_recording/acquire`, JSON.stringify({ ...NAMES, clientRequest: {} }));
  await start();
  scene.places.resources.set(RESOURCE, { appid: APP, cname: 'ch1', owner: 'c' });
  await start();
  expect(askedOf('a', 'b', 'c')).toEqual([[], ['acquire', 'start'], ['start']]);
});

describe('a start that the home of its channel is too full for', () => {
  const start = (at: string) =>
    call(
      at,
      'POST',
      `/v1/apps/${APP}/cloud_recording/resourceid/${RESOURCE}/mode/mix/start`,
      JSON.stringify({ ...NAMES, clientRequest: { storageConfig: STORAGE } }),
    );
  const full = (...ids: string[]) => {
    for (const id of ids)
      scene.node(id).answer = () => {
        throw overloaded('full', { mode: 'mix', video: undefined } as unknown as Plan);
      };
  };
  beforeEach(() => {
    scene.places.homes.set('ch1', 'b');
    scene.places.resources.set(RESOURCE, { appid: APP, cname: 'ch1' });
  });

  test.each(['a', 'b', 'c'])('is made by another, wherever it comes in: at %s', async (at) => {
    full('a', 'b');
    expect(await start(at)).toMatchObject({ status: 200, text: '{"by":"c","call":"start"}' });
    // The home asked the first of two that are as free, which was full, and then the next.
    expect(askedOf('a', 'b', 'c')).toEqual([['start'], ['start'], ['start']]);
  });

  test('is made by the next where a node with room has another key', async () => {
    await open({ keysOf: (id) => [id === 'a' ? 'another key that is long enough, too' : KEY] });
    scene.places.homes.set('ch1', 'b');
    scene.places.resources.set(RESOURCE, { appid: APP, cname: 'ch1' });
    full('b');
    expect(await start('b')).toMatchObject({ status: 200, text: '{"by":"c","call":"start"}' });
  });

  test('is refused where no node has room', async () => {
    full('a', 'b', 'c');
    const { status, text } = await start('c');
    expect([status, JSON.parse(text).code]).toEqual([500, 502]);
    expect(askedOf('a', 'b', 'c')).toEqual([['start'], ['start'], ['start']]);
  });

  test('is not sent on by whoever says that it is placed and is no node', async () => {
    full('b');
    const answer = await call(
      'c',
      'POST',
      `/v1/apps/${APP}/cloud_recording/resourceid/${RESOURCE}/mode/mix/start`,
      JSON.stringify({ ...NAMES, clientRequest: { storageConfig: STORAGE } }),
      { [PLACED_HEADER]: 'b' },
    );
    expect(answer.text).toBe('{"by":"a","call":"start"}');
    expect(scene.node('b').carried[0]).not.toHaveProperty(PLACED_HEADER);
  });
});

test('an acquire that names no channel is refused where it comes in', async () => {
  const { status } = await call('a', 'POST', `/v1/apps/${APP}/cloud_recording/acquire`, '{"cname": 5}');
  expect([status, scene.node('b').carried]).toEqual([400, []]);
});

test('who is in a channel is asked of its home, what waits of a recording of whoever has its files', async () => {
  scene.places.homes.set('ch1', 'b');
  scene.places.files.set(SID, 'c');
  const channel = await call('a', 'GET', `/v1/apps/${APP}/aircheck/channels/ch1`);
  expect(JSON.parse(channel.text)).toEqual({ cname: 'ch1', participants: [{ at: 'b', cname: 'ch1' }] });
  await call('a', 'POST', `/v1/apps/${APP}/aircheck/backlog/${SID}/retry`);
  expect(scene.node('c').carried).toHaveLength(1);
});

test('a mix is made by whoever has the files, told of by any node, and brought and called off where it is made', async () => {
  scene.places.files.set(SID, 'c');
  const mixId = '7'.repeat(32);
  scene.places.mixes.set(mixId, 'b');
  const mixes = `/v1/apps/${APP}/aircheck/recordings/${SID}/mixes`;
  expect((await call('a', 'POST', mixes, '{"users":["7"]}')).status).toBe(201);
  await call('a', 'GET', mixes);
  await call('a', 'GET', `${mixes}/${mixId}`);
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-fleet-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'x.mp4');
  writeFileSync(path, '0123456789');
  scene.node('b').answer = (asked) => (asked === 'file' ? { path, bytes: 10, name: 'x.mp4' } : {});
  const part = await call('a', 'GET', `${mixes}/${mixId}/file`, undefined, { range: 'bytes=2-4' });
  expect([part.status, part.text, part.headers.get('content-range')]).toEqual([206, '234', 'bytes 2-4/10']);
  expect(part.headers.get('content-disposition')).toBe('attachment; filename="x.mp4"');
  expect((await call('a', 'DELETE', `${mixes}/${mixId}`)).status).toBe(204);
  expect(askedOf('a', 'b', 'c')).toEqual([['list', 'of'], ['file', 'remove'], ['begin']]);
});

test('a link to a file is made by the node that has the recording, with the keys that were given', async () => {
  scene.places.tasks.set(SID, 'b');
  const path = `/v1/apps/${APP}/aircheck/recordings/${SID}/files/x.mp4/link`;
  const answer = await call('a', 'POST', path, '{"keys":{"accessKey":"a","secretKey":"s"}}');
  expect([answer.status, JSON.parse(answer.text)]).toMatchObject([200, { by: 'b' }]);
  const [asked] = scene.node('b').asked;
  expect(asked).toMatchObject({
    call: 'link',
    given: [APP, SID, 'x.mp4', { keys: { accessKey: 'a', secretKey: 's' } }],
  });
  expect(scene.node('a').asked).toEqual([]);
});

test('a thumbnail is brought from the channel’s home, unless the one who asks has it', async () => {
  scene.places.homes.set('a room', 'b');
  const path = `/v1/apps/${APP}/aircheck/channels/a%20room/thumbnails/7`;
  const answer = await call('a', 'GET', path);
  expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([200, 'b a room 7', '"b"']);
  expect(answer.headers.get('content-type')).toBe('image/jpeg');
  expect(answer.headers.get('cache-control')).toBe('private, no-store');
  const known = await call('a', 'GET', path, undefined, { 'if-none-match': '"b"' });
  expect([known.status, known.text, known.headers.get('etag')]).toEqual([304, '', '"b"']);
  expect((await call('a', 'GET', path, undefined, { authorization: basic('id:wrong') })).status).toBe(401);
  expect(scene.node('b').carried).toHaveLength(2);
});

describe('when a node is no more what it was', () => {
  test('a call goes on to the new owner, and the former is not asked again', async () => {
    scene.places.tasks.set(SID, 'b');
    await call('a', 'GET', `${TASK}/query`);
    scene.places.tasks.set(SID, 'c');
    expect((await call('a', 'GET', `${TASK}/query`)).text).toContain('"by":"c"');
    expect((await call('a', 'GET', `${TASK}/query`)).text).toContain('"by":"c"');
    // Once when it was the owner, and once when it said that it is not.
    expect(scene.node('b').carried).toHaveLength(2);
    expect(askedOf('b')).toEqual([['query']]);
  });

  test('a task that came here meanwhile is answered here', async () => {
    scene.places.tasks.set(SID, 'b');
    await call('a', 'GET', `${TASK}/query`);
    scene.places.tasks.set(SID, 'a');
    expect((await call('a', 'GET', `${TASK}/query`)).text).toContain('"by":"a"');
  });

  test('a call waits for whoever takes over from one that is gone', async () => {
    scene.places.tasks.set(SID, 'b');
    await scene.node('b').inside.close();
    scene.dead.add('b');
    const asked = call('a', 'GET', `${TASK}/query`);
    setTimeout(() => scene.places.tasks.set(SID, 'c'), 100);
    expect((await asked).text).toContain('"by":"c"');
  });

  test.each([
    ['GET', `${TASK}/query`, undefined, 504, 62],
    ['POST', `${TASK}/stop`, { ...NAMES, clientRequest: {} }, 504, 62],
    ['POST', `/v1/apps/${APP}/cloud_recording/acquire`, { ...NAMES, clientRequest: {} }, 500, 504],
  ])('%s %s times out, and never says that there is no recording', async (method, path, body, status, code) => {
    await open({ callTimeoutMs: 300 });
    scene.places.tasks.set(SID, 'b');
    scene.places.homes.set('ch1', 'b');
    await scene.node('b').inside.close();
    const answer = await call('a', method, path, body && JSON.stringify(body));
    expect([answer.status, JSON.parse(answer.text).code]).toEqual([status, code]);
  });

  test.each([
    ['GET', `${TASK}/query`, undefined, 504, 62],
    ['POST', `${TASK}/stop`, { ...NAMES, clientRequest: {} }, 504, 62],
    ['POST', `/v1/apps/${APP}/cloud_recording/acquire`, { ...NAMES, clientRequest: {} }, 500, 504],
  ])(
    '%s %s times out when its node has another key, and nobody is told of keys',
    async (method, path, body, status, code) => {
      await open({ callTimeoutMs: 300, keysOf: (id) => [id === 'b' ? 'another key that is long enough, too' : KEY] });
      scene.places.tasks.set(SID, 'b');
      scene.places.homes.set('ch1', 'b');
      const answer = await call('a', method, path, body && JSON.stringify(body));
      expect([answer.status, JSON.parse(answer.text).code]).toEqual([status, code]);
      expect([answer.text, ...answer.headers.keys()].join()).not.toMatch(/signature|refused/);
      expect(askedOf('a', 'b', 'c')).toEqual([[], [], []]);
    },
  );

  test('what may have been done is not done twice: only a question is asked again', async () => {
    scene.places.tasks.set(SID, 'b');
    let broken = 0;
    scene.node('b').answer = () => {
      broken++;
      scene.places.tasks.set(SID, 'c');
      scene.node('b').inside.server.closeAllConnections();
      return new Promise(() => {});
    };
    const body = JSON.stringify({ ...NAMES, clientRequest: {} });
    expect((await call('a', 'POST', `${TASK}/update`, body)).status).toBe(504);
    expect([broken, askedOf('c')]).toEqual([1, [[]]]);
    scene.places.tasks.set(SID, 'b');
    expect((await call('a', 'GET', `${TASK}/query`)).text).toContain('"by":"c"');
  });
});

describe('the listener for nodes', () => {
  const url = `${TASK}/query`;
  const headersFor = (to: string, wire = '1', body?: Buffer) => ({
    'aircheck-to': to,
    'aircheck-wire': wire,
    'aircheck-body-digest': bodyDigest(body),
  });
  async function ask(headers: Record<string, string>, key: string | undefined, path = url) {
    const signature =
      key === undefined ? {} : { 'aircheck-signature': sign({ method: 'GET', url, headers }, key, Date.now()) };
    // Not by fetch, which sends a request that is answered 421 once more.
    const answer = await request(scene.node('b').nodeUrl + path, { headers: { ...headers, ...signature } });
    return { status: answer.statusCode, text: await answer.body.text(), signature };
  }
  beforeEach(() => void scene.places.tasks.set(SID, 'b'));

  test('answers whoever has the key', async () => {
    expect((await ask(headersFor('b'), KEY)).status).toBe(200);
  });

  test('refuses what is not signed, signed with another key, or signed for another path', async () => {
    for (const answer of [
      await ask(headersFor('b'), undefined),
      await ask(headersFor('b'), 'another key that is long enough, too'),
      await ask(headersFor('b'), KEY, `${url}?x=1`),
    ])
      expect(answer.status).toBe(401);
    expect(askedOf('b')).toEqual([[]]);
  });

  test('refuses a request that it has answered before', async () => {
    const headers = headersFor('b');
    const { signature } = await ask(headers, KEY);
    const again = await fetch(scene.node('b').nodeUrl + url, { headers: { ...headers, ...signature } });
    expect(again.status).toBe(401);
    expect(askedOf('b')).toEqual([['query']]);
  });

  test('refuses a body that is not the one that was signed', async () => {
    const headers = { ...headersFor('b', '1', Buffer.from('{}')), 'content-type': 'application/json' };
    const path = `${TASK}/update`;
    const signature = sign({ method: 'POST', url: path, headers }, KEY, Date.now());
    const answer = await fetch(scene.node('b').nodeUrl + path, {
      method: 'POST',
      headers: { ...headers, 'aircheck-signature': signature },
      body: JSON.stringify({ ...NAMES, clientRequest: {} }),
    });
    expect([answer.status, askedOf('b')]).toEqual([401, [[]]]);
  });

  test('says which protocols it speaks', async () => {
    const { status, text } = await ask(headersFor('b', '99'), KEY);
    expect([status, text]).toEqual([400, expect.stringMatching(/speak protocols 1 to 2 .*asked in 99/)]);
  });

  test('answers 421 to what is for another node, or belongs to one, and carries nothing on', async () => {
    expect((await ask(headersFor('a'), KEY)).status).toBe(421);
    scene.places.tasks.set(SID, 'c');
    expect((await ask(headersFor('b'), KEY)).status).toBe(421);
    expect([askedOf('b'), scene.node('c').carried]).toEqual([[[]], []]);
  });
});

test('while the key is changed, nodes with the new one and the old one understand each other', async () => {
  const [old, next] = ['o'.repeat(32), 'n'.repeat(32)];
  await open({ keysOf: (id) => (id === 'a' ? [next!, old!] : [old!, next!]) });
  for (const [owner, at] of [
    ['b', 'a'],
    ['a', 'b'],
  ] as const) {
    scene.places.tasks.set(SID, owner);
    expect((await call(at, 'GET', `${TASK}/query`)).text).toContain(`"by":"${owner}"`);
  }
});

test('clocks of nodes do not matter, only the database’s', async () => {
  await open({ databaseMs: () => 1_000_000_000_000 });
  scene.places.tasks.set(SID, 'b');
  expect((await call('a', 'GET', `${TASK}/query`)).status).toBe(200);
});

describe('a node that starts', () => {
  const starts = (id: string) => requireAcquaintance(scene.node(id).links, scene.others(id));
  const withKeys = (wrong: string[]) =>
    open({ keysOf: (id) => [wrong.includes(id) ? 'another key that is long enough, too' : KEY] });

  test('with the key of no other is refused in words', async () => {
    await withKeys(['a']);
    await expect(starts('a')).rejects.toThrow(/not that of the fleet: b \(http.*\), c \(http.*AIRCHECK_FLEET_KEY/);
  });

  test('is let in where one other has its key, or nobody answers, or there is no other', async () => {
    await withKeys(['a']);
    await starts('b');
    for (const id of ['b', 'c']) await scene.node(id).inside.close();
    await starts('a');
    for (const id of ['b', 'c']) scene.dead.add(id);
    await starts('a');
  });
});
