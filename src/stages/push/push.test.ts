/**
 * A push against a server in this process. Time stands still but where a test moves it; bytes cross real sockets.
 */
import type { LookupAddress } from 'node:dns';
import { isIPv6 } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { RtmpServer } from '../../../test/support/rtmp-server.ts';
import { makeCertificates } from '../../app/cli/moving/certificates.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { MESSAGE } from './chunks.ts';
import { Push, type PushOptions } from './push.ts';

const SETS = Buffer.from('0000000167640028ac0000000168ee3cb0', 'hex');
const STREAMS = {
  video: { width: 640, height: 360, fps: 30, bitrateKbps: 500, extradata: SETS },
  audio: { sampleRate: 48_000, channels: 2, bitrateKbps: 64, extradata: Buffer.from('1190', 'hex') },
};
const KEY = 'secret-key';

let clock: ManualClock;
let server: RtmpServer;
let push: Push | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  server = await new RtmpServer().listen();
});
afterEach(async () => {
  const closing = push?.close();
  clock.advance(2_000);
  await closing;
  push = undefined;
  await server.close();
});

function begin(over: Partial<PushOptions> = {}, url = `rtmp://127.0.0.1:${server.port}/live/${KEY}`): Push {
  push = new Push({
    ...{ target: { id: 'a', url }, streams: STREAMS, clock, permits: () => true, onhold: false, onChanged: () => {} },
    ...over,
  });
  return push;
}

/** Lets sockets do their work until something is so. */
async function until(isSo: () => boolean): Promise<void> {
  const giveUpMs = performance.now() + 5_000;
  while (!isSo()) {
    if (performance.now() > giveUpMs) throw new Error(`it never came to that: ${JSON.stringify(push?.state)}`);
    await turn();
  }
}
/** Lets sockets do their work for so many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let n = 0; n < count; n++) await turn();
}
const untilStatus = (status: string) => until(() => push?.state.status === status);

function picture(ms: number, keyFrame = false, bytes = 4, shownLaterMs = 0): EncodedSample {
  const data = Buffer.concat([Buffer.of(0, 0, 0, 1, keyFrame ? 0x65 : 0x41), Buffer.alloc(bytes, 1)]);
  return { kind: 'video', dtsUs: ms * 1000, ptsUs: (ms + shownLaterMs) * 1000, durationUs: 0, keyFrame, data };
}
function sound(ms: number): EncodedSample {
  return { kind: 'audio', dtsUs: ms * 1000, ptsUs: ms * 1000, durationUs: 0, keyFrame: true, data: Buffer.of(9) };
}
const media = (type: number) => server.media.filter((message) => message.type === type);

describe('publishing', () => {
  test('begins with the headers and with a picture that needs none before it, at time zero', async () => {
    const push = begin();
    expect(push.state.status).toBe('connecting');
    await untilStatus('publishing');
    for (const sample of [sound(980), picture(990), picture(1000, true, 4, 66), sound(990), sound(1001), picture(1033)])
      push.write(sample);
    await until(() => media(MESSAGE.video).length === 3);
    expect(server.commands.map(([name]) => name)).toEqual([
      'connect',
      'releaseStream',
      'FCPublish',
      'createStream',
      'publish',
    ]);
    expect(server.commands[0]?.[1]).toMatchObject({ app: 'live', tcUrl: `rtmp://127.0.0.1:${server.port}/live` });
    expect(server.commands.at(-1)).toEqual(['publish', null, KEY, 'live']);
    const [header, key, next] = media(MESSAGE.video);
    expect(header?.payload.toString('hex')).toBe('1700000000' + '0164002' + '8ffe1000567640028ac' + '01000468ee3cb0');
    expect(key?.timestamp).toBe(0);
    // A key frame, its data, shown 66 ms later; one unit behind its length.
    expect(key?.payload.toString('hex')).toBe('1701000042' + '00000005' + '6501010101');
    expect(next).toMatchObject({ timestamp: 33 });
    expect(media(MESSAGE.audio).map(({ timestamp, payload }) => [timestamp, payload.toString('hex')])).toEqual([
      [0, 'af001190'],
      [1, 'af0109'],
    ]);
    expect(push.state).toMatchObject({ connections: 1, sentBytes: 9 + 9 + 1, droppedBytes: 1 + 9 + 1 });
  });

  test('ends in order', async () => {
    const push = begin();
    await untilStatus('publishing');
    await push.close();
    await until(() => server.commands.some(([name]) => name === 'deleteStream'));
    expect(server.commands.at(-1)).toEqual(['deleteStream', null, 7]);
    expect(push.state.status).toBe('disconnected');
    clock.advance(60_000);
    expect(server.connections).toBe(1);
  });

  test('answers a ping, and confirms what came when it is told to', async () => {
    begin();
    await untilStatus('publishing');
    server.send(MESSAGE.userControl, Buffer.from([0, 6, 1, 2, 3, 4]));
    server.send(MESSAGE.windowAckSize, Buffer.from([0, 0, 0, 10]));
    const control: number[] = [];
    server.onControl = (message) => control.push(message.type);
    await until(() => control.includes(MESSAGE.userControl) && control.includes(MESSAGE.acknowledgement));
  });
});

describe('a server that', () => {
  test('goes away is connected to again, later each time, and from the next key frame on', async () => {
    const statuses: string[] = [];
    const push = begin({ onChanged: () => statuses.push(push.state.status) });
    await untilStatus('publishing');
    push.write(picture(0, true));
    await until(() => media(MESSAGE.video).length === 2);
    server.drop();
    await untilStatus('disconnected');
    expect(push.state.why).toMatch(/closed the connection|ECONNRESET/);
    clock.advance(900);
    expect(server.connections).toBe(1);
    clock.advance(100);
    await untilStatus('publishing');
    push.write(picture(5_000));
    push.write(picture(6_000, true));
    await until(() => media(MESSAGE.video).length === 4);
    // Each connection begins at zero.
    expect(media(MESSAGE.video).at(-1)?.timestamp).toBe(0);
    expect(push.state.connections).toBe(2);
    expect(statuses).toEqual(['publishing', 'disconnected', 'publishing']);
    server.drop();
    await untilStatus('disconnected');
    clock.advance(1_900);
    await turn();
    expect(server.connections).toBe(2);
    clock.advance(100);
    await untilStatus('publishing');
  });

  test('refuses the stream says why, without its key', async () => {
    server.answer = 'refuses';
    server.refusal.description = `stream ${KEY} is published already`;
    const push = begin();
    await untilStatus('disconnected');
    expect(push.state.why).toBe('the server ended it (NetStream.Publish.BadName: stream *** is published already)');
    server.answer = 'takes';
    clock.advance(1_000);
    await untilStatus('publishing');
  });

  test('never answers is given up', async () => {
    server.answer = 'never answers';
    const push = begin();
    await until(() => server.commands.length === 1);
    clock.advance(9_999);
    expect(push.state.status).toBe('connecting');
    clock.advance(1);
    expect(push.state).toMatchObject({ status: 'disconnected', why: 'the server did not take the stream within 10 s' });
  });

  test('says a key that is in other words too has it left out there as well, but not in what we say', async () => {
    server.answer = 'refuses';
    server.refusal.description = 'k is taken by rtmp://h/live/k';
    begin({}, `rtmp://127.0.0.1:${server.port}/live/k`);
    await untilStatus('disconnected');
    expect(push?.state.why).toBe(
      'the server ended it (NetStream.Publish.BadName: *** is ta***en by rtmp://h/live/***)',
    );
  });

  test('reads nothing holds up nobody: what it has no room for is left out, and it is given up', async () => {
    const push = begin();
    await untilStatus('publishing');
    server.pause(true);
    const MB = 1_000_000;
    push.write(picture(0, true, MB));
    for (let n = 1; n < 24; n++) push.write(picture(n * 33, false, MB));
    const { droppedBytes, sentBytes } = push.state;
    // Some megabytes are with the system, two wait here.
    expect(sentBytes).toBeLessThan(12 * MB);
    expect(droppedBytes).toBeGreaterThan(12 * MB);
    // The system may take more at first; that is seen within a second.
    await turns(100);
    for (let n = 0; n < 12; n++) clock.advance(1_000);
    expect(push.state).toMatchObject({ status: 'disconnected', why: 'the server has taken nothing for 10 s' });
  });

  test('was slow for a while goes on with a key frame', async () => {
    const push = begin();
    await untilStatus('publishing');
    server.pause(true);
    push.write(picture(0, true, 1_000_000));
    for (let n = 1; n < 16; n++) push.write(picture(n, false, 1_000_000));
    server.pause(false);
    const before = push.state.sentBytes;
    await until(() => media(MESSAGE.video).reduce((sum, { payload }) => sum + payload.length, 0) >= before);
    push.write(picture(50));
    push.write(sound(50));
    push.write(picture(60, true));
    push.write(sound(61));
    await until(() => media(MESSAGE.audio).length === 2);
    const last = media(MESSAGE.video).at(-1);
    expect(last).toMatchObject({ timestamp: 60 });
    expect(media(MESSAGE.audio).at(-1)).toMatchObject({ timestamp: 61 });
  });

  test('confirms nothing any more is given up, although the system still takes all', async () => {
    const push = begin();
    await untilStatus('publishing');
    push.write(picture(0, true));
    for (const bytes of [1, 2, 3]) {
      push.write(picture(bytes, false, 140_000));
      server.send(MESSAGE.acknowledgement, Buffer.from([0, bytes * 2, 0, 0]));
    }
    await until(() => push.state.sentBytes > 400_000);
    await turn();
    await turn();
    for (let n = 0; n < 10; n++) {
      clock.advance(1_000);
      push.write(picture(10 + n, false, 140_000));
      await turn();
    }
    expect(push.state.status).toBe('publishing');
    clock.advance(2_000);
    expect(push.state).toMatchObject({ status: 'disconnected', why: 'the server has taken nothing for 10 s' });
  });

  test.each(['127.0.0.1', '::1'])('falls silent before it confirms a thing is given up (%s)', async (host) => {
    await server.close();
    server = await new RtmpServer().listen(host);
    const push = begin({}, `rtmp://${isIPv6(host) ? `[${host}]` : host}:${server.port}/live/${KEY}`);
    await untilStatus('publishing');
    server.pause(true);
    // More than the server's system takes for it, and less than ours does.
    for (const keyFrame of [true, false]) push.write(picture(0, keyFrame, 700_000));
    for (let n = 1; n <= 10; n++) {
      await turns(20);
      clock.advance(1_000);
      push.write(picture(n * 1_000));
    }
    expect(push.state).toMatchObject({ status: 'publishing', droppedBytes: 0 });
    // Its system may have taken a little more after the first looks.
    for (let s = 0; s < 3; s++) {
      await turns(20);
      clock.advance(1_000);
    }
    expect(push.state).toMatchObject({ status: 'disconnected', why: 'the server has taken nothing for 10 s' });
  });

  test('takes what it is sent, little by little, and confirms nothing, is not given up', async () => {
    const push = begin();
    await untilStatus('publishing');
    server.pause(true);
    for (const keyFrame of [true, false]) push.write(picture(0, keyFrame, 700_000));
    for (let s = 0; s < 40; s++) {
      if (s % 8 === 7) {
        server.pause(false);
        await turns(3);
        server.pause(true);
        push.write(picture(s * 1_000, false, 300_000));
      }
      await turns(20);
      clock.advance(1_000);
    }
    expect(push.state.status).toBe('publishing');
    server.pause(false);
  });

  test('is sent nothing for long is not given up', async () => {
    const push = begin();
    await untilStatus('publishing');
    push.write(picture(0, true));
    await until(() => media(MESSAGE.video).length === 2);
    for (let s = 0; s < 40; s++) clock.advance(1_000);
    expect(push.state.status).toBe('publishing');
  });

  test('does not speak RTMP is no server of it', async () => {
    server.greeting = 'HTTP/1.1 400 Bad Request\r\n';
    begin();
    await untilStatus('disconnected');
    expect(push?.state.why).toBe('the server does not speak RTMP');
  });
});

describe('over TLS', () => {
  const WAS = getCACertificates('default');
  let secure: RtmpServer;
  let ca: string;

  beforeAll(async () => {
    const made = await makeCertificates({ hosts: ['live.test'], nowMs: Date.now(), days: 1 });
    ca = made.ca;
    secure = await new RtmpServer({ key: made.key, cert: made.cert }).listen();
  });
  afterAll(async () => {
    setDefaultCACertificates(WAS);
    await secure.close();
  });
  const resolve = async () => [{ address: '127.0.0.1', family: 4 }];
  const address = (host: string) => `rtmps://${host}:${secure.port}/live/${KEY}`;

  test('a server must show that it is the one', async () => {
    begin({ resolve }, address('live.test'));
    await untilStatus('disconnected');
    expect(push?.state.why).toMatch(/certificate/);
    await push?.close();
    setDefaultCACertificates([...WAS, ca]);
    begin({ resolve }, address('other.test'));
    await untilStatus('disconnected');
    expect(push?.state.why).toMatch(/does not match certificate/);
    await push?.close();
    expect(secure.commands).toEqual([]);
    begin({ resolve }, address('live.test'));
    await untilStatus('publishing');
    push?.write(picture(0, true));
    await until(() => secure.media.length === 4);
  });
});

describe('on hold', () => {
  test('nothing is connected to before its end', async () => {
    const push = begin({ onhold: true });
    clock.advance(60_000);
    await turn();
    expect([push.state.status, server.connections]).toEqual(['onhold', 0]);
    push.hold(false);
    expect(push.state.status).toBe('connecting');
    await untilStatus('publishing');
  });

  test('a connection stays, and goes on', async () => {
    const push = begin();
    await untilStatus('publishing');
    push.write(picture(0, true));
    await until(() => media(MESSAGE.video).length === 2);
    push.hold(true);
    expect(push.state.status).toBe('onhold');
    clock.advance(600_000);
    push.hold(false);
    expect(push.state.status).toBe('publishing');
    push.write(picture(33));
    await until(() => media(MESSAGE.video).at(-1)?.timestamp === 33);
    expect(server.connections).toBe(1);
  });
});

describe('where it leads', () => {
  const leadsTo = (...addresses: string[]) => {
    const found: LookupAddress[] = addresses.map((address) => ({ address, family: 4 }));
    return async () => found;
  };

  test('is judged at each connection, and a refused address is never connected to', async () => {
    const permits = (address: string) => address !== '127.0.0.1';
    const push = begin({ permits, resolve: leadsTo('127.0.0.1') }, `rtmp://name.test:${server.port}/live/${KEY}`);
    await untilStatus('disconnected');
    expect(push.state.why).toBe('name.test is not public, and not among those allowed');
    expect(server.connections).toBe(0);
  });

  test('is the first that answers of those that are permitted', async () => {
    const permits = (address: string) => address !== '127.0.0.2';
    const resolve = leadsTo('127.0.0.2', '127.0.0.3', '127.0.0.1');
    begin({ permits, resolve }, `rtmp://name.test:${server.port}/live/${KEY}`);
    await untilStatus('publishing');
  });
});
