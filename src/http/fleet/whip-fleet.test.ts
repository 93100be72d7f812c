import { afterEach, describe, expect, test } from 'vitest';
import { FleetScene, type SceneOptions } from '../../../test/support/fleet-scene.ts';
import { APP } from '../../../test/support/rest-api.ts';
import { buildRtcToken } from '../../channel/whip/token.ts';
import { isAdmitted, issueTicket } from './ticket.ts';

const CERTIFICATE = 'c'.repeat(32);
const KEY = 'k'.repeat(32);
const token = buildRtcToken({ appId: APP, certificate: CERTIFICATE, cname: 'my room#', uid: '7', lifeS: 60 });
const PATH = `/whip/${APP}/my%20room%23?uid=7&x=1`;
const OFFER = 'v=0\r\no=offer\r\n';

let scene: FleetScene;
afterEach(() => scene.close());

async function open(options: SceneOptions = {}) {
  scene = await FleetScene.open(['a', 'b'], { certificate: CERTIFICATE, ...options });
  scene.places.homes.set('my room#', 'b');
}
const post = (
  url: string,
  headers: object = { authorization: `Bearer ${token}` },
  redirect: 'manual' | 'follow' = 'manual',
) => fetch(url, { method: 'POST', redirect, headers: { 'content-type': 'application/sdp', ...headers }, body: OFFER });
const publishedAt = (id: string) => scene.node(id).published;

describe('a publisher who comes to another node than the channel’s home', () => {
  test('is sent there, and let in without its token, which browsers do not bring along', async () => {
    await open();
    const sent = await post(scene.node('a').url + PATH);
    expect(sent.status).toBe(307);
    const location = sent.headers.get('location')!;
    expect(location.startsWith(`${scene.node('b').url}${PATH}&ticket=`)).toBe(true);
    expect(sent.headers.get('access-control-allow-origin')).toBe('*');
    expect(sent.headers.get('cache-control')).toBe('no-store');
    const answer = await post(location, {});
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toBe('/whip/sessions/session-of-b.b');
    expect(answer.headers.get('aircheck-nodes')).toBe(`${scene.node('a').url} ${scene.node('b').url}`);
    expect(answer.headers.get('access-control-expose-headers')).toContain('aircheck-nodes');
    expect(publishedAt('b')).toEqual([{ appid: APP, cname: 'my room#', uid: '7', offer: OFFER }]);
    expect(publishedAt('a')).toEqual([]);
  });

  test('is not let in for another user or channel by what it was given', async () => {
    await open();
    const location = (await post(scene.node('a').url + PATH)).headers.get('location')!;
    expect((await post(location.replace('uid=7', 'uid=8'), {})).status).toBe(401);
    expect((await post(location.replace('my%20room%23', 'other'), {})).status).toBe(401);
    expect(publishedAt('b')).toEqual([]);
  });

  test('is refused where it comes in when its token is no good', async () => {
    await open();
    expect((await post(scene.node('a').url + PATH, {})).status).toBe(401);
  });

  test('is told to try again where the home takes this node for none, and not that its token is no good', async () => {
    const keysOf = (id: string) => [id === 'a' ? KEY : 'another key that is long enough, too'];
    await open({ whipElsewhere: 'proxy', keysOf });
    const answer = await post(scene.node('a').url + PATH);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(publishedAt('b')).toEqual([]);
  });

  test.each(['redirect', 'proxy'] as const)('is told to try again while the home is not heard of (%s)', async (how) => {
    await open({ whipElsewhere: how });
    scene.seenMsAgo.set('b', 2_500);
    const answer = await post(scene.node('a').url + PATH);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
    expect(publishedAt('b')).toEqual([]);
    scene.seenMsAgo.set('b', 1_500);
    expect((await post(scene.node('a').url + PATH)).status).toBe(how === 'redirect' ? 307 : 201);
  });

  test('is sent on when the home has moved meanwhile', async () => {
    await open();
    const location = (await post(scene.node('a').url + PATH)).headers.get('location')!;
    scene.places.homes.set('my room#', 'a');
    const again = await post(location, {});
    expect(again.status).toBe(307);
    const next = again.headers.get('location')!;
    expect(next.match(/ticket=/g)).toHaveLength(1);
    expect((await post(next, {})).status).toBe(201);
    expect(publishedAt('a')).toHaveLength(1);
  });

  test('has its offer carried there where redirects are switched off', async () => {
    await open({ whipElsewhere: 'proxy' });
    const answer = await post(scene.node('a').url + PATH);
    expect([answer.status, answer.headers.get('content-type')]).toEqual([201, 'application/sdp']);
    expect(await answer.text()).toBe('v=0\r\n');
    expect(answer.headers.get('location')).toBe('/whip/sessions/session-of-b.b');
    expect(answer.headers.get('etag')).toBe('"e"');
    expect(answer.headers.get('access-control-allow-origin')).toBe('*');
    expect(publishedAt('b')).toHaveLength(1);
  });

  test('is answered 503 when its home cannot be reached, as one that may come again', async () => {
    await open({ whipElsewhere: 'proxy' });
    await scene.node('b').inside.close();
    const answer = await post(scene.node('a').url + PATH);
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '1']);
  });
});

test('a session is reached through any node', async () => {
  await open();
  for (const at of ['a', 'b']) {
    const url = `${scene.node(at).url}/whip/sessions/session-of-b.b`;
    expect((await fetch(url, { method: 'DELETE' })).status).toBe(200);
    const headers = { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '"e"' };
    expect((await fetch(url, { method: 'PATCH', headers, body: 'a=x' })).status).toBe(204);
    scene.node('b').sentAway = at === 'a' ? 'session-of-b' : undefined;
    expect(await (await fetch(`${url}/stays`)).json()).toEqual({ stays: at !== 'a' });
  }
  expect([scene.node('a').left, scene.node('b').left]).toEqual([[], ['session-of-b', 'session-of-b']]);
});

test('a session of a node that is gone is no session', async () => {
  await open();
  const answer = await fetch(`${scene.node('a').url}/whip/sessions/session.gone`, { method: 'DELETE' });
  expect(answer.status).toBe(404);
});

describe('a ticket', () => {
  const who = { appid: APP, cname: 'room', uid: '7' };
  test('is good for half a minute, of any key that is accepted', () => {
    const ticket = issueTicket(who, KEY, 1_790_000_000_000);
    expect(isAdmitted(who, ticket, ['o'.repeat(32), KEY], 1_790_000_029_000)).toBe(true);
    expect(isAdmitted(who, ticket, [KEY], 1_790_000_031_000)).toBe(false);
    expect(isAdmitted(who, ticket, ['o'.repeat(32)], 1_790_000_000_000)).toBe(false);
  });

  test.each(['', 'x', `${'9'.repeat(13)}.${'0'.repeat(64)}`])('that nobody issued is none: %s', (ticket) => {
    expect(isAdmitted(who, ticket, [KEY], 1_790_000_000_000)).toBe(false);
  });
});
