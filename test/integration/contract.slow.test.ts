/**
 * The contract on a whole server: layout and subscription changed by calls while real publishers send, events posted to
 * a real receiver, and what is still known after a crash.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, type TestContext, test } from 'vitest';
import { compiledFolder } from '../../src/app/compiled.ts';
import { NOTICE_TYPES, type NoticeType } from '../../src/contract/webhook/notice.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn, isColour, presenceIn, spansWhere } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { GREEN, type Participant, RED, yuvOf } from '../support/media/participants.ts';
import { Publisher } from '../support/publish/publisher.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';

let folder: string;
let server: TestServer;
let receiver: WebhookReceiver;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-contract-'));
  receiver = await new WebhookReceiver().start();
  server = new TestServer(join(folder, 'data'), {
    AIRCHECK_NOTIFY_URL: receiver.url,
    AIRCHECK_NOTIFY_SECRET: receiver.secret,
  });
  await server.start();
});
afterAll(async () => {
  await server.end();
  await receiver.close();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Someone publishes until the test is over. */
async function publish(
  { onTestFinished }: TestContext,
  cname: string,
  uid: string,
  participant: Participant,
): Promise<void> {
  const publisher = await Publisher.start({
    client: 'rtc',
    options: {
      url: `${server.baseUrl}/whip/${server.appid}/${cname}?uid=${uid}`,
      token: server.token(cname, uid),
      participant,
      codec: 'vp8',
      width: 320,
      height: 180,
      fps: 15,
      bitrateKbps: 300,
    },
  });
  onTestFinished(() => publisher.kill());
}

const RED_BACKGROUND = yuvOf({ r: 255, g: 0, b: 0 });
const CLIENT = {
  recordingConfig: {
    channelType: 1,
    maxIdleTime: 30,
    transcodingConfig: { width: 640, height: 360, fps: 15, bitrate: 800, mixedVideoLayout: 1 },
  },
  recordingFileConfig: { avFileType: ['hls', 'mp4'] },
};
/** One user on the right, on a background of another colour. */
const CUSTOM = {
  mixedVideoLayout: 3,
  backgroundColor: '#FF0000',
  layoutConfig: [{ uid: '1', x_axis: 0.5, y_axis: 0, width: 0.5, height: 1, alpha: 1, render_mode: 0 }],
};
const types = (notices: { eventType: number }[]) => notices.map(({ eventType }) => eventType);

test('the server is the small process that it began again as, under the pid that it was started with', async () => {
  const { pid, dataDir } = server.running;
  const told = (what: 'cmdline' | 'environ') => readFileSync(`/proc/${pid}/${what}`, 'utf8').split('\0');
  expect(told('cmdline')).toContain('--max-semi-space-size=2');
  const compiled = compiledFolder(dataDir);
  expect(told('environ')).toContain(`NODE_COMPILE_CACHE=${compiled}`);
  expect(readdirSync(compiled)).not.toEqual([]);
});

// Side by side: small pictures, and each waits for seconds to pass.
describe.concurrent('recordings that are changed by calls', () => {
  test('layout and subscription change in the picture and the sound, and every event is posted in order', {
    timeout: 120_000,
  }, async (context) => {
    await publish(context, 'live', '1', RED);
    await publish(context, 'live', '2', GREEN);
    const recording = await server.record('live', '9000', { ...CLIENT, storageConfig: localStorage('live') });
    const second = async (n: number) =>
      until(`second ${n}`, () => Date.now() - recording.answeredAtMs > n * 1000, 30_000);

    await second(4);
    const changed = await recording.updateLayout({ ...CUSTOM, backgroudColor: '#00FF00' });
    expect(changed.status).toBe(200);
    expect(changed.headers.get('x-aircheck-warnings')).toBe('1');
    expect(changed.body).toEqual({ cname: 'live', uid: '9000', resourceId: recording.resourceId, sid: recording.sid });
    await second(8);
    // What is not sent goes back to its default, the floating layout on black.
    expect((await recording.updateLayout({ mixedVideoLayout: 1 })).status).toBe(200);
    await second(10);
    const only = (uid: string) => ({
      streamSubscribe: {
        audioUidList: { subscribeAudioUids: [uid] },
        videoUidList: { subscribeVideoUids: [uid] },
      },
    });
    expect((await recording.update(only('2'))).status).toBe(200);
    await second(15);
    const stopped = await recording.stop();
    expect(stopped.body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });

    const mp4 = join(folder, `data/recordings/live/${recording.sid}_live_0.mp4`);
    const [left, right] = bestFitRegions(2);
    const whole = { x: 0, y: 0, width: 1, height: 1 };
    const { views } = watch(mp4, [{ rect: left! }, { rect: right! }, { rect: whole }]);
    const seconds = (spans: { fromS: number; toS: number }[]) => spans.map(({ fromS, toS }) => [fromS, toS]);
    const about = (n: number) => expect.closeTo(n, 0);
    // RED on the left, then on the right alone beside the red background, then left again, then GREEN has it all.
    expect(seconds(presenceIn(views[0]!, RED.colour))).toEqual([
      [about(0), about(4)],
      [about(8), about(10)],
    ]);
    // Until GREEN's first picture is there, which may come some frames after RED's, RED has it all.
    const later = presenceIn(views[1]!, RED.colour).filter(({ toS }) => toS > 0.5);
    expect(seconds(later)).toEqual([[about(4), about(8)]]);
    expect(seconds(spansWhere(views[0]!, (reading) => isColour(reading, RED_BACKGROUND)))).toEqual([
      [about(4), about(8)],
    ]);
    expect(seconds(presenceIn(views[2]!, GREEN.colour))).toEqual([[about(10), expect.any(Number)]]);
    const heard = listen(mp4);
    const red = beepsIn(heard, { toneHz: RED.toneHz }).map((beep) => beep.atS);
    const green = beepsIn(heard, { toneHz: GREEN.toneHz }).map((beep) => beep.atS);
    expect(red.every((atS) => atS < 10.8)).toBe(true);
    expect(red.length).toBeGreaterThanOrEqual(9);
    expect(green.length).toBeGreaterThanOrEqual(14);

    await receiver.until(() => receiver.taken(recording.sid).some(({ notice }) => notice.eventType === 11));
    const taken = receiver.taken(recording.sid);
    expect(taken.every(({ signed, body }) => signed && JSON.stringify(JSON.parse(body)) === body)).toBe(true);
    expect(taken.map(({ notice }) => notice.payload.sequence)).toEqual(taken.map((_, index) => index));
    const told = types(taken.map(({ notice }) => notice));
    expect(told.slice(0, 2)).toEqual([40, 30]);
    // A recording this short has its first playlist only after the recorder left.
    expect(told.slice(-2)).toEqual([31, 11]);
    expect(new Set(told)).toEqual(new Set([40, 30, 43, 44, 42, 4, 41, 31, 11]));
    // RED ceased to be received when it was no longer wanted.
    const silenced = taken.map(({ notice }) => notice.payload.details).filter((d) => d['state'] === 1);
    expect(silenced.some((details) => details['streamUid'] === '1')).toBe(true);
    for (const { notice } of taken)
      expect(
        NOTICE_TYPES[notice.eventType as NoticeType].details.safeParse(notice.payload.details).error,
      ).toBeUndefined();
    expect(types(await recording.events())).toEqual(told);
    const { body: report } = await server.call('GET', `/aircheck/recordings/${recording.sid}`);
    expect(report).toMatchObject({ status: 8, healthy: true, events: told.length, mode: 'mix' });
    expect(JSON.stringify(report['warnings'])).toContain('backgroudColor');
  });

  test('recordings of both modes are put on hold by calls, and what was held is in no file', {
    timeout: 60_000,
  }, async (context) => {
    await publish(context, 'held', '1', RED);
    const storageConfig = localStorage('held');
    const mix = await server.record('held', '9000', { ...CLIENT, storageConfig });
    const own = { recordingConfig: { channelType: 1, subscribeUidGroup: 0 }, storageConfig, aircheck: { mp4: true } };
    const individual = await server.record('held', '9001', own, 'individual');
    const both = [mix, individual];
    const second = (n: number) => until(`second ${n}`, () => Date.now() - mix.answeredAtMs > n * 1000, 30_000);
    const sayTo = (onhold: boolean) => Promise.all(both.map((one) => one.update({ aircheck: { onhold } })));
    await second(3.2);
    expect((await sayTo(true)).map(({ status }) => status)).toEqual([200, 200]);
    expect((await mix.query()).body).toMatchObject({ aircheck: { onhold: true } });
    await second(6.4);
    await sayTo(false);
    await second(10);
    await Promise.all(both.map((one) => one.stop()));
    const stored = join(folder, 'data/recordings/held');
    const whole = [{ rect: { x: 0, y: 0, width: 1, height: 1 } }];
    for (const path of [`${mix.sid}_held_0.mp4`, `${individual.sid}_held__uid_s_1__uid_e_av_0.mp4`].map((n) =>
      join(stored, n),
    )) {
      const view = watch(path, whole).views[0]!;
      expect(Math.abs(view.at(-1)!.atS - 6.8)).toBeLessThan(0.5);
      const flashes = flashesIn(view).map(({ atS }) => atS);
      const beeps = beepsIn(listen(path), { toneHz: RED.toneHz }).map(({ atS }) => atS);
      expect(flashes.length).toBeGreaterThanOrEqual(4);
      // Of one that is cut short there may be only the other.
      const inside = flashes.filter((atS) => atS > 0.3 && Math.abs(atS - 3.2) > 0.5 && atS < 6.4);
      expect(avOffsets(inside, beeps).missing).toEqual([]);
      expect(Math.abs(avOffsets(inside, beeps).worstMs)).toBeLessThan(100);
    }
    const { problems, playlist } = judgePlaylist(stored, `${mix.sid}_held.m3u8`);
    expect([problems, playlist.slices.map(({ discontinuity }) => discontinuity)]).toEqual([[], [true, false]]);
    for (const one of both) {
      await receiver.until(() => receiver.taken(one.sid).some(({ notice }) => notice.eventType === 11));
      const told = receiver.taken(one.sid).filter(({ notice }) => notice.eventType === 9001);
      expect(told.map(({ notice }) => notice.payload.details['onhold'])).toEqual([true, false]);
    }
  });
});

test('a wrong token is told by event 1 and 404, after a start that was answered 200', async () => {
  const acquired = await server.call('POST', '/cloud_recording/acquire', {
    cname: 'locked',
    uid: '9',
    clientRequest: {},
  });
  const resource = `/cloud_recording/resourceid/${acquired.body['resourceId']}`;
  const started = await server.call('POST', `${resource}/mode/mix/start`, {
    cname: 'locked',
    uid: '9',
    clientRequest: { token: server.token('other', '9'), storageConfig: localStorage('locked') },
  });
  expect(started.status).toBe(200);
  const sid = String(started.body['sid']);
  await receiver.until(() => receiver.taken(sid).length === 2);
  const [first, last] = receiver.taken(sid).map(({ notice }) => notice);
  expect(first?.payload.details).toMatchObject({ errorCode: 110, errorLevel: 5, module: 0 });
  expect(last?.payload.details).toEqual({ msgName: 'session_exit', exitStatus: 1 });
  expect((await server.call('GET', `${resource}/sid/${sid}/mode/mix/query`)).body['code']).toBe(404);
});

test('after a crash of the server, handles, conflicts and events are still known', {
  timeout: 120_000,
}, async (context) => {
  receiver.behave = () => 503;
  context.onTestFinished(() => {
    receiver.behave = () => 200;
  });
  await publish(context, 'crash', '1', RED);
  const recording = await server.record('crash', '9000', { ...CLIENT, storageConfig: localStorage('crash') });
  await receiver.until(() => receiver.received.some(({ notice }) => notice.sid === recording.sid));
  const acquired = await server.call('POST', '/cloud_recording/acquire', {
    cname: 'later',
    uid: '9',
    clientRequest: {},
  });
  await server.kill();
  receiver.behave = () => 200;
  await server.start();

  // The recording of the server that died goes on; its resource is used up.
  expect((await recording.query()).status).toBe(200);
  const again = await server.call('POST', `/cloud_recording/resourceid/${recording.resourceId}/mode/mix/start`, {
    cname: 'crash',
    uid: '9000',
    clientRequest: { storageConfig: localStorage('crash') },
  });
  expect(again).toMatchObject({ status: 201, body: { code: 7, sid: recording.sid } });
  // What was acquired before the crash can be started after it.
  const started = await server.call(
    'POST',
    `/cloud_recording/resourceid/${acquired.body['resourceId']}/mode/mix/start`,
    {
      cname: 'later',
      uid: '9',
      clientRequest: { token: server.token('later', '9'), storageConfig: localStorage('later') },
    },
  );
  expect(started.status).toBe(200);
  await server.call(
    'POST',
    `/cloud_recording/resourceid/${acquired.body['resourceId']}/sid/${started.body['sid']}/mode/mix/stop`,
    { cname: 'later', uid: '9', clientRequest: { async_stop: true } },
  );
  const stopped = await recording.stop();
  expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  // All that the dead server could not deliver arrives, in order and without a gap, up to the end that the new one
  // made.
  await receiver.until(() => receiver.taken(recording.sid).some(({ notice }) => notice.eventType === 11));
  const taken = receiver.taken(recording.sid).map(({ notice }) => notice);
  expect(taken.map(({ payload }) => payload.sequence)).toEqual(taken.map((_, index) => index));
  expect(types(taken).filter((type) => type === 12)).toHaveLength(1);
  expect(types(taken)).toContain(4);
  expect(types(taken).slice(-2)).toEqual([31, 11]);
  expect(taken.at(-1)?.payload.details).toMatchObject({ exitStatus: 0 });
});
