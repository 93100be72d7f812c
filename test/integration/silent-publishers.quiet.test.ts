/**
 * Publishers of the embedded channel that fall silent, stay, and vanish: who may stay and who is put out, and when. It
 * is waited for most of a minute, beside other tests that wait.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startBrowser } from '../support/browser.ts';
import { RED } from '../support/media/participants.ts';
import { publishWithRtc } from '../support/publish/publisher.ts';
import { until } from '../support/test-server.ts';
import { WhipServer } from '../support/whip-server.ts';

let server: WhipServer;
beforeAll(async () => {
  server = await WhipServer.start();
});
afterAll(() => server.close());

describe.concurrent('who is silent', () => {
  test('muting does not end the user, killing the browser does within a minute', async ({ onTestFinished }) => {
    const room = 'mute';
    const browser = await startBrowser();
    onTestFinished(() => browser.close());
    const publisher = await browser.publish(server.baseUrl, {
      ...{ appid: server.appid, cname: room, uid: '6', token: server.token(room, '6'), width: 320, height: 180 },
    });
    await until('both tracks arrive', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 20_000);
    const session = server.in(room)[0]!.sessionId;
    await publisher.setMuted('audio', true);
    await publisher.setMuted('video', true);
    await publisher.page.evaluate(
      'Promise.all(window.aircheckPublisher.connection.getSenders().map((s) => s.replaceTrack(null)))',
    );
    await until('nothing arrives any more', () => server.in(room)[0]?.tracks.every((t) => !t.receiving), 20_000);
    const mutedAt = performance.now();
    await until('15 s pass', () => performance.now() - mutedAt > 15_000, 16_000);
    expect(server.in(room)[0]?.sessionId).toBe(session);
    const killedAt = performance.now();
    browser.kill();
    // Who may be silent is gone when the consent to send to him is (RFC 7675), which lasts half a minute.
    await until('the vanished user is out', () => server.in(room).length === 0, 60_000);
    expect(performance.now() - killedAt).toBeGreaterThan(1000);
  });

  test('killing a client that answers consent checks ends the user, and not at once', async ({ onTestFinished }) => {
    const room = 'rtc-killed';
    const url = `${server.baseUrl}/whip/${server.appid}/${room}?uid=7`;
    const media = { participant: RED, codec: 'vp8', width: 320, height: 180, fps: 15, bitrateKbps: 200 } as const;
    const publisher = await publishWithRtc({ url, token: server.token(room, '7'), ...media });
    onTestFinished(() => publisher.kill());
    await until('both tracks arrive', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 20_000);
    const killedAt = performance.now();
    publisher.kill();
    await until('the vanished user is out', () => server.in(room).length === 0, 60_000);
    expect(performance.now() - killedAt).toBeGreaterThan(1000);
  });

  // Consent (RFC 7675) runs out 30 s after the last check that was answered, and FFmpeg answers none.
  test('FFmpeg stays for longer than consent lasts, and killing it ends the user within 15 s', async ({
    onTestFinished,
  }) => {
    const room = 'ffmpeg-long';
    const publisher = await server.publishWithFfmpeg(room, '9');
    onTestFinished(() => publisher.kill());
    await until('both tracks arrive', () => server.in(room)[0]?.tracks.every((t) => t.receiving), 15_000);
    const session = server.in(room)[0]!.sessionId;
    const startedAt = performance.now();
    await until(
      '45 s pass, or the user left',
      () => server.in(room).length === 0 || performance.now() - startedAt > 45_000,
      46_000,
    );
    const [there] = server.in(room);
    expect(there?.sessionId, `gone after ${Math.round(performance.now() - startedAt)} ms`).toBe(session);
    expect(there!.tracks.map((t) => t.receiving)).toEqual([true, true]);
    expect(there!.tracks.find(({ kind }) => kind === 'audio')!.packets).toBeGreaterThan(44 * 50);
    const killedAt = performance.now();
    publisher.kill();
    await until('the vanished user is out', () => server.in(room).length === 0, 15_000);
    expect(performance.now() - killedAt).toBeGreaterThan(1000);
  });
});
