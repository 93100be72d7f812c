/**
 * A feed that is read on another node than its channel's home, over a real connection that can be cut. The clock of
 * each node is its own, and both stand still unless a test moves them.
 */
import { readdirSync } from 'node:fs';
import type { AddressInfo, Socket } from 'node:net';
import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { opus, VIDEO_SSRC, vp8 } from '../../../../test/support/chromium-packets.ts';
import type { FakePeer } from '../../../../test/support/fake-peer.ts';
import { ManualClock } from '../../../../test/support/manual-clock.ts';
import { TcpProxy } from '../../../../test/support/tcp-proxy.ts';
import {
  closeStage,
  codeOf,
  connectRecorder,
  clock as homeClock,
  openStage,
  RECORDER,
  report,
  rooms,
  stage,
} from '../../../../test/support/whip-stage.ts';
import { makeCertificates } from '../../../app/cli/moving/certificates.ts';
import { encodeFeedEvent, encodeFeedFrame } from '../../../contract/line/feed.ts';
import { encodePictureLossIndication } from '../../../stages/rtp/rtcp.ts';
import { buildHttp } from '../../server.ts';
import { Changes } from '../changes.ts';
import { NodeLinks, type NodeTls } from '../links.ts';
import { nodeApi, refusalOf } from '../node-api.ts';
import { Signatures } from '../signature.ts';
import { AwayFeed } from './away-feed.ts';
import { feedRoutes, takeStreams } from './feed-routes.ts';
import { UNHEARD_MS, UNREAD_MS } from './feed-wire.ts';
import { HomeFeeds } from './home-feeds.ts';

const KEY = 'k'.repeat(32);
const WHO = { ...RECORDER, videoStreamType: 0 as const };
const log = pino({ level: 'silent' });
/** How much later it is by the clock of the recorder's node, milliseconds. */
const AHEAD_MS = 1_000_000;

let ownClock: ManualClock;
let given: HomeFeeds;
let endings: (() => unknown)[];
let breaks: number;

beforeEach(() => {
  openStage();
  ownClock = new ManualClock();
  ownClock.advance(homeClock.monoUs() / 1000 + AHEAD_MS);
  given = new HomeFeeds({ rooms, clock: homeClock, log });
  endings = [];
  breaks = 0;
});
afterEach(async () => {
  for (const ending of endings.reverse()) await ending();
  closeStage();
});

function pass(ms: number): void {
  homeClock.advance(ms);
  ownClock.advance(ms);
}

/** The home's listener for nodes, behind a cable. */
async function serve(tls?: NodeTls) {
  const http = buildHttp({ log, tls: tls && { cert: tls.cert, key: tls.key, clientCa: tls.ca } });
  const fleet = { self: 'home', isHere: async () => true };
  const guard = {
    ...{ fleet, signatures: new Signatures([KEY]), databaseMs: () => Date.now() },
    ...{ changes: new Changes(), clock: homeClock },
  };
  takeStreams(http, given, (request) => refusalOf(guard, request));
  nodeApi(http, guard, async (routes) => void routes.register(feedRoutes(given)));
  await http.listen({ host: '127.0.0.1', port: 0 });
  const cable = await TcpProxy.open((http.server.address() as AddressInfo).port);
  endings.push(
    () => http.close(),
    () => given.close(),
    () => cable.close(),
  );
  const nodeUrl = `${tls ? 'https' : 'http'}://localhost:${cable.port}`;
  return { cable, node: { id: 'home', name: 'home', wire: 2, nodeUrl } };
}

type Node = Awaited<ReturnType<typeof serve>>['node'];
async function open(home: Node, { tls, key = KEY }: { tls?: NodeTls | undefined; key?: string } = {}) {
  const links = new NodeLinks({ keys: [key], databaseMs: () => Date.now(), tls });
  endings.push(() => links.close());
  const feedDir = stage.folder;
  const feed = await AwayFeed.open({ who: WHO, home, links, feedDir, clock: ownClock, log, onBroken: () => breaks++ });
  endings.push(() => feed.end());
  return feed;
}

/** What it says of a moment of the home, by the clock of the recorder's node. */
const at = (homeMs: number) => `@${homeMs + AHEAD_MS}`;
/** Until the connection between the nodes has broken, and is made again. */
async function untilAgain(lines: readonly string[], line: string): Promise<void> {
  while (!lines.includes(line)) {
    pass(100);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Resolves once the sender of track 2 was asked for a key frame by the recorder. */
async function askForKeyFrame(peer: FakePeer, recorder: Socket): Promise<void> {
  // One that was asked for and has not come is not asked for twice.
  peer.options.onDatagram(vp8(100, true));
  pass(1_000);
  const { keyFrameRequests } = peer;
  const asked = new Promise<void>((resolve) => {
    const send = peer.send.bind(peer);
    peer.send = (datagram) => {
      send(datagram);
      if (peer.keyFrameRequests > keyFrameRequests) resolve();
    };
  });
  recorder.write(encodeFeedFrame('rtcp', 2, 0, encodePictureLossIndication(1, 0)));
  await asked;
}

test('the home’s time is known well where the home was slow to open the feed', async () => {
  const { node } = await serve();
  const links = new NodeLinks({ keys: [KEY], databaseMs: () => Date.now(), tls: undefined });
  endings.push(() => links.close());
  // All of it is on the way back.
  const tookMs = [60, 30, 1, 60];
  const slow: Pick<NodeLinks, 'send' | 'upgrade'> = {
    async send(...request) {
      const answer = await links.send(...request);
      pass(tookMs.shift() ?? 0);
      return answer;
    },
    upgrade: (...request) => links.upgrade(...request),
  };
  const own = { feedDir: stage.folder, clock: ownClock, log, onBroken: () => breaks++ };
  const feed = await AwayFeed.open({ who: WHO, home: node, links: slow, ...own });
  endings.push(() => feed.end());
  expect(tookMs).toEqual([60]);
  expect(Math.abs(feed.toHome(ownClock.monoUs()) - homeClock.monoUs())).toBeLessThanOrEqual(500);
});

describe('a recorder on another node', () => {
  test('is given what one at home is given, by its own clock, and is heard', async () => {
    const { node } = await serve();
    const one = await stage.publish('1');
    one.peer.options.onDatagram(vp8(1, true));
    one.peer.options.onDatagram(report(VIDEO_SSRC));
    pass(10);
    const feed = await open(node);
    expect(feed.openedMonoUs).toBe((5010 + AHEAD_MS) * 1000);
    pass(200);
    one.peer.options.onDatagram(vp8(2, false));
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    one.peer.options.onDatagram(opus(7));
    pass(10);
    await recorder.untilLine(`rtp 1 #7 ${at(5210)}`);
    expect(recorder.lines).toEqual([
      ...['hello', 'userJoined 1', 'trackStarted 1 1 audio', 'trackStarted 1 2 video'],
      ...[`rtcp 2 ${at(5000)}`, `rtp 2 #1 ${at(5000)}`, `rtp 2 #2 ${at(5210)}`, 'caughtUp', `rtp 1 #7 ${at(5210)}`],
    ]);
    await askForKeyFrame(one.peer, recorder.socket);
  });

  test('loses nothing and gets nothing twice while its connection is cut, however long', async () => {
    const { node, cable } = await serve();
    const { peer } = await stage.publish('1');
    const feed = await open(node);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    const sent: string[] = [];
    const send = (count: number) => {
      for (let n = 0; n < count; n++) {
        peer.options.onDatagram(opus(sent.length));
        sent.push(`rtp 1 #${sent.length} ${at(homeClock.monoUs() / 1000)}`);
        pass(10);
      }
    };
    send(5);
    await recorder.untilLine(sent.at(-1)!);
    for (const cutMs of [UNHEARD_MS * 2, 20_000]) {
      cable.cut();
      send(10);
      pass(cutMs);
      send(10);
      cable.mend();
      await untilAgain(recorder.lines, sent.at(-1)!);
      send(5);
      await untilAgain(recorder.lines, sent.at(-1)!);
    }
    expect(recorder.lines.filter((line) => line.startsWith('rtp'))).toEqual(sent);
    expect(breaks).toBeGreaterThanOrEqual(2);
  });

  test('that begins again is given what was not safe, and nothing that was', async () => {
    const { node } = await serve();
    const { peer } = await stage.publish('1');
    const feed = await open(node);
    const first = await connectRecorder(feed.path);
    await first.untilLine('caughtUp');
    for (let n = 1; n <= 20; n++) {
      pass(100);
      peer.options.onDatagram(opus(n));
    }
    pass(10);
    await first.untilLine(`rtp 1 #20 ${at(7000)}`);
    const safeUs = (6700 + AHEAD_MS) * 1000;
    first.socket.write(encodeFeedEvent({ type: 'safe', arrivalUs: safeUs }, 0));
    // Nothing tells when the home has heard it: what it does next shows that it has.
    await askForKeyFrame(peer, first.socket);
    first.socket.destroy();
    const second = await connectRecorder(feed.path, 2);
    await second.untilLine('caughtUp');
    const again = second.lines.filter((line) => line.startsWith('rtp 1'));
    // Sound from half a second before.
    expect(again[0]).toBe(`rtp 1 #12 ${at(6200)}`);
    expect(again).toEqual(first.lines.filter((line) => again.includes(line)));
    expect(again.at(-1)).toBe(`rtp 1 #20 ${at(7000)}`);
  });

  test('is told when the feed is gone, and its end frees the uid at home', async () => {
    const { node } = await serve();
    const feed = await open(node);
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    given.adopt(WHO.sid)!.close();
    while (!feed.isOver) {
      pass(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await recorder.untilEnd();
    const next = await open(node);
    next.close();
    while (given.size > 0) await new Promise((resolve) => setImmediate(resolve));
    (await rooms.openFeed(RECORDER)).close();
    expect(readdirSync(stage.folder)).toEqual([]);
  });
});

describe('a feed that is kept', () => {
  test('goes on with another node when its first one is gone, which is not let in any more', async () => {
    const { node } = await serve();
    const { peer } = await stage.publish('1');
    const first = await open(node);
    const lost = await connectRecorder(first.path);
    await lost.untilLine('caughtUp');
    peer.options.onDatagram(opus(1));
    pass(10);
    await lost.untilLine(`rtp 1 #1 ${at(5000)}`);
    const second = await open(node);
    const recorder = await connectRecorder(second.path, 2);
    await recorder.untilLine(`rtp 1 #1 ${at(5000)}`);
    while (!first.isOver) {
      pass(100);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await lost.untilEnd();
    // The first gives up what it has no more: the second does not notice.
    first.close();
    peer.options.onDatagram(opus(2));
    pass(10);
    await recorder.untilLine(`rtp 1 #2 ${at(homeClock.monoUs() / 1000 - 10)}`);
  });

  test('goes on with a recorder at home', async () => {
    const { node } = await serve();
    const { peer } = await stage.publish('1');
    const feed = await open(node);
    const away = await connectRecorder(feed.path);
    await away.untilLine('caughtUp');
    peer.options.onDatagram(opus(1));
    pass(10);
    await away.untilLine(`rtp 1 #1 ${at(5000)}`);
    const adopted = given.adopt(WHO.sid)!;
    const recorder = await connectRecorder(adopted.path, 2);
    await recorder.untilLine('rtp 1 #1 @5000');
    adopted.close();
    await recorder.untilEnd();
  });

  test('is given up when nobody has read it for a minute', async () => {
    const { node } = await serve();
    await open(node);
    pass(UNREAD_MS);
    expect(given.size).toBe(1);
    pass(1_000);
    expect(given.size).toBe(0);
    (await rooms.openFeed(RECORDER)).close();
  });

  test('is refused where a user has the uid, in the words of the home', async () => {
    const { node } = await serve();
    await stage.publish(RECORDER.uid);
    expect(await codeOf(open(node))).toBe('uid-taken');
  });

  test('is not asked for at a home of a version that has none for others', async () => {
    const { node } = await serve();
    expect(await codeOf(open({ ...node, wire: 1 }))).toBe('feed-unavailable');
  });
});

describe('nobody reads a feed', () => {
  test('without the key of the fleet', async () => {
    const { node } = await serve();
    expect(await codeOf(open(node, { key: 'x'.repeat(32) }))).toBe('node-unreachable');
    const stranger = new NodeLinks({ keys: ['x'.repeat(32)], databaseMs: () => Date.now(), tls: undefined });
    endings.push(() => stranger.close());
    await open(node);
    const url = `/v1/aircheck/feeds/${WHO.sid}/${'0'.repeat(32)}/${'1'.repeat(32)}?received=0`;
    expect(await stranger.upgrade(node, { url, protocol: 'aircheck-feed' }, 1_000)).toMatchObject({ status: 401 });
  });

  test('without a certificate of the fleet, and who has one reads it over TLS', async () => {
    const tlsOf = async (): Promise<NodeTls> => {
      const made = await makeCertificates({ hosts: ['localhost'], nowMs: Date.now(), days: 1, ofClient: true });
      return { ca: Buffer.from(made.ca), cert: Buffer.from(made.cert), key: Buffer.from(made.key) };
    };
    const [tls, others] = [await tlsOf(), await tlsOf()];
    const { node } = await serve(tls);
    const { peer } = await stage.publish('1');
    const stranger = new NodeLinks({ keys: [KEY], databaseMs: () => Date.now(), tls: { ...others, ca: tls.ca } });
    endings.push(() => stranger.close());
    const feed = await open(node, { tls });
    const url = `/v1/aircheck/feeds/${WHO.sid}/${'0'.repeat(32)}/${'1'.repeat(32)}?received=0`;
    await expect(stranger.upgrade(node, { url, protocol: 'aircheck-feed' }, 1_000)).rejects.toThrow();
    const recorder = await connectRecorder(feed.path);
    await recorder.untilLine('caughtUp');
    peer.options.onDatagram(opus(1));
    pass(10);
    await recorder.untilLine(`rtp 1 #1 ${at(5000)}`);
  });
});
