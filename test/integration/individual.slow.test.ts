/**
 * Individual mode as a client meets it: real publishers over WHIP, the REST calls, the files in the store, and players.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { manifestSchema } from '../../src/contract/line/manifest.ts';
import { type MixReply, mixReplySchema } from '../../src/contract/rest/mix.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { runCommand } from '../support/command.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { hear, see } from '../support/judge/user-streams.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import { playInBrowser } from '../support/playback.ts';
import { nicenesses, processesOf, recordersOf, sessionNicenesses } from '../support/processes.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

let folder: string;
let server: TestServer;
let browser: Browser | undefined;
/** The recording of both users, once it has ended. */
let alone: string;
const publishers: Publisher[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-alone-'));
  // A comma behind each duration, as the players here want it (RFC 8216).
  server = new TestServer(join(folder, 'data'), { AIRCHECK_FORCE_EXTINF_COMMA: 'true' });
  await server.start();
});
afterEach(async () => {
  await Promise.all(publishers.splice(0).map((publisher) => publisher.stop()));
  await browser?.close();
  browser = undefined;
});
afterAll(async () => {
  await server.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function publish(cname: string, uid: string, participant: typeof RED, codec: 'h264' | 'vp8'): Promise<void> {
  const media = { participant, width: 320, height: 180, fps: 30, bitrateKbps: 400, codec } as const;
  publishers.push(await publishWithRtc({ ...server.running.whip(cname, uid), ...media }));
}
const everyoneSends = (cname: string, count: number) =>
  until(
    'everyone sends sound and picture',
    async () => {
      const people = await server.participants(cname);
      return people.length === count && people.every((p) => p.tracks.filter((t) => t.receiving).length === 2);
    },
    30_000,
  );
const INDIVIDUAL = { channelType: 1, subscribeUidGroup: 0, maxIdleTime: 10 };

describe('individual mode', { timeout: 240_000 }, () => {
  test('gives each user playlists that play, and tells of each', async () => {
    await publish('alone', '11', RED, 'h264');
    await publish('alone', '22', GREEN, 'vp8');
    await everyoneSends('alone', 2);
    const recording = await server.record(
      'alone',
      '9000',
      {
        recordingConfig: { ...INDIVIDUAL, streamMode: 'standard' },
        storageConfig: localStorage('alone'),
        recordingFileConfig: { avFileType: ['hls', 'mp4'] },
        aircheck: { manifest: true, speakers: true },
      },
      'individual',
    );
    const early = (await recording.query()).body['serverResponse'];
    expect(early).toMatchObject({ fileListMode: 'json', fileList: [], sliceStartTime: 0 });
    await pause(20_000);
    const listed = (await recording.query()).body['serverResponse'] as { status: number; fileList: object[] };
    expect(listed.status).toBe(5);
    // Packets that the server takes too late are lost; a recorder that is late reads them where it was.
    const recorders = recordersOf(server.running.pid);
    expect(nicenesses(server.running.pid)).toEqual(new Set([0]));
    expect(nicenesses(...recorders)).toEqual(new Set([10]));
    if (sessionNicenesses(server.running.pid).size > 0) expect(sessionNicenesses(...recorders)).toEqual(new Set([10]));
    const stopped = await recording.stop();
    expect(stopped.status).toBe(200);
    alone = recording.sid;
    const { fileList, uploadingStatus } = stopped.body['serverResponse'] as {
      fileList: { fileName: string; trackType: string; uid: string; mixedAllUser: boolean; isPlayable: boolean }[];
      uploadingStatus: string;
    };
    expect(uploadingStatus).toBe('uploaded');
    const base = `${recording.sid}_alone__uid_s_`;
    const speakers = `${recording.sid}_alone_speakers.mka`;
    const told = fileList.map(({ fileName, trackType, uid, mixedAllUser, isPlayable }) =>
      [fileName.replace(base, '').replace(speakers, 'speakers.mka'), trackType, uid, mixedAllUser, isPlayable].join(
        ' ',
      ),
    );
    expect(told.sort()).toEqual([
      '11__uid_e_audio.m3u8 audio 11 false true',
      '11__uid_e_av.m3u8 audio_and_video 11 false true',
      '11__uid_e_av_0.mp4 audio_and_video 11 false true',
      '11__uid_e_video.m3u8 video 11 false true',
      '22__uid_e_audio.m3u8 audio 22 false true',
      '22__uid_e_av.mpd audio_and_video 22 false true',
      '22__uid_e_av_0.mp4 audio_and_video 22 false true',
      '22__uid_e_video.m3u8 video 22 false false',
      'speakers.mka audio 0 true true',
    ]);
    const dir = join(server.dataDir, 'recordings', 'alone');
    for (const { fileName } of fileList) expect(existsSync(join(dir, fileName))).toBe(true);

    const merged = join(dir, `${base}11__uid_e_av.m3u8`);
    const [flashes, beeps] = [see(merged, RED).flashes, hear(merged, RED).beeps];
    expect(flashes.length).toBeGreaterThan(18);
    const offsets = avOffsets(flashes.slice(1, -1), beeps);
    expect(Math.abs(offsets.medianMs)).toBeLessThanOrEqual(40);
    // One MP4 of each, H.264 as it came and VP8 made H.264, each in step.
    for (const [uid, participant] of [
      ['11', RED],
      ['22', GREEN],
    ] as const) {
      const mp4 = join(dir, `${base}${uid}__uid_e_av_0.mp4`);
      const marks = { flashes: see(mp4, participant).flashes, beeps: hear(mp4, participant).beeps };
      expect(marks.flashes.length).toBeGreaterThan(18);
      expect(Math.abs(avOffsets(marks.flashes.slice(1, -1), marks.beeps).medianMs)).toBeLessThanOrEqual(40);
    }
    const manifest = manifestSchema.parse(
      JSON.parse(readFileSync(join(dir, `${recording.sid}_alone_manifest.json`), 'utf8')),
    );
    expect(manifest.users.map(({ uid }) => uid)).toEqual(['11', '22']);
    expect(manifest.mp4s).toHaveLength(2);
    // A track of each speaker, from the recording's zero to its end, in step with the same user's own playlist.
    expect(manifest.speakers).toMatchObject({ name: speakers, startUs: 0, uids: ['11', '22'] });
    for (const [track, participant] of [RED, GREEN].entries()) {
      const spoken = beepsIn(listen(join(dir, speakers), { track }), participant).map(({ atS }) => atS);
      expect(spoken.length).toBeGreaterThan(18);
      const alone = hear(join(dir, `${base}${track === 0 ? 11 : 22}__uid_e_audio.m3u8`), participant).beeps;
      const offsets = avOffsets(alone.slice(1, -1), spoken);
      expect(offsets.missing).toEqual([]);
      expect(Math.abs(offsets.worstMs)).toBeLessThan(25);
    }
    browser = await startBrowser();
    for (const name of ['av', 'video', 'audio']) {
      const played = await playInBrowser(browser.context, join(dir, `${base}11__uid_e_${name}.m3u8`), { seekS: 16 });
      expect(played).toMatchObject({ error: '', ...(name !== 'audio' && { width: 320, height: 180 }) });
    }
    // Single slices of WebM play as they are.
    const [webm] = readdirSync(dir).filter((name) => name.startsWith(`${base}22`) && name.endsWith('.webm'));
    expect(await playInBrowser(browser.context, join(dir, webm as string))).toMatchObject({ error: '', width: 320 });

    const events = await recording.events();
    const kinds = (type: number) => events.filter(({ eventType }) => eventType === type);
    expect(kinds(4)).toHaveLength(6);
    expect(kinds(42)).toSatisfy((starts: typeof events) =>
      starts.every(
        ({ payload }) =>
          payload.details['mixedAllUser'] === false && /^(11|22)$/.test(String(payload.details['streamUid'])),
      ),
    );
    expect(events.every(({ payload }) => payload.serviceScene === 'rtc_record')).toBe(true);
    expect(kinds(31)[0]?.payload.details['fileList']).toHaveLength(9);
  });

  test('is mixed afterwards by the server, over HTTP and by the command line', async () => {
    const mixes = `/aircheck/recordings/${alone}/mixes`;
    const canvas = { width: 640, height: 360, fps: 30, bitrate: 800, mixedVideoLayout: 1 };
    const begun = await server.call('POST', mixes, { from: 4, to: 14, transcodingConfig: canvas });
    expect(begun).toMatchObject({ status: 201, body: { users: ['11', '22'], from: 4, to: 14 } });
    // Its process gives way to all others; when it is killed, another begins anew.
    const mixer = await until(
      'a process mixes',
      () => processesOf(server.dataDir).find(({ args, pid }) => args.includes('mixer') && nicenesses(pid).has(19)),
      40_000,
    );
    process.kill(mixer.pid, 'SIGKILL');
    const path = `${mixes}/${begun.body['mixId']}`;
    let mix: MixReply = mixReplySchema.parse(begun.body);
    await until(
      'the mix is done',
      async () => {
        mix = mixReplySchema.parse((await server.call('GET', path)).body);
        return mix.state === 'done' || mix.state === 'failed';
      },
      150_000,
    );
    expect(mix).toMatchObject({ state: 'done', progress: 1, attempts: 2, error: null, warnings: [] });
    const { customerId, customerSecret } = server.running;
    const credentials = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
    const brought = await fetch(new URL(mix.file ?? '', server.baseUrl), { headers: { authorization: credentials } });
    const file = join(folder, 'mix.mp4');
    writeFileSync(file, Buffer.from(await brought.arrayBuffer()));
    const seen = { participants: [RED, GREEN], source: { width: 320, height: 180 }, width: 640, height: 360, fps: 30 };
    expect(judgeRecording(file, { ...seen, seconds: { from: 9.95, to: 10.05 } }).problems).toEqual([]);

    // One user, by the command.
    const settings = {
      ...{ AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: new URL(server.baseUrl).port },
      ...{ AIRCHECK_APP_ID: server.appid, AIRCHECK_CUSTOMER_ID: customerId, AIRCHECK_CUSTOMER_SECRET: customerSecret },
    };
    const one = join(folder, 'one.mp4');
    const words = ['mix', alone, '--users', '22', '--from', '5', '--to', '+0:10', '--size', '320x180', '-o', one, '-q'];
    expect(await runCommand(settings, ...words)).toEqual({ code: 0, stdout: `${one}\n`, stderr: '' });
    const small = { participants: [GREEN], source: { width: 320, height: 180 }, width: 320, height: 180, fps: 30 };
    expect(judgeRecording(one, { ...small, seconds: { from: 4.95, to: 5.05 } }).problems).toEqual([]);
    const refused = await runCommand(settings, 'mix', alone, '--users', '33', '-q');
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringMatching(/no user 33; it has 11, 22/) });
    const listed = await server.call('GET', mixes);
    expect((listed.body['mixes'] as MixReply[]).map(({ users }) => users)).toEqual([['22'], ['11', '22']]);
  });

  test('lets go of one of them for good, though the server is killed meanwhile', async () => {
    const dir = join(server.dataDir, 'recordings', 'alone');
    const isTheirs = (name: string) => name.includes('__uid_s_11__');
    const before = new Map(readdirSync(dir).map((name) => [name, readFileSync(join(dir, name))]));
    const speakers = join(dir, `${alone}_alone_speakers.mka`);
    const spoken = listen(speakers, { track: 1 });
    const path = `/aircheck/recordings/${alone}/removals`;
    expect((await server.call('GET', `${path}/preview?uid=11`)).body).toMatchObject({ uid: '11', needsKeys: false });
    expect((await server.call('POST', path, { uid: '11' })).status).toBe(202);
    await server.kill();
    await server.start();
    type Told = { state: string; error: string | null; files: { name: string; outcome: string; bytes: number }[] };
    const record = await until(
      'the person is removed',
      async () => {
        const [told] = (await server.call('GET', path)).body['removals'] as Told[];
        return told?.state === 'removed' && told;
      },
      30_000,
    );
    const deleted = record.files.filter(({ outcome }) => outcome === 'deleted').map(({ name }) => name);
    expect(deleted.sort()).toEqual([...before.keys()].filter(isTheirs).sort());
    for (const { name, bytes } of record.files) expect(bytes, name).toBe(before.get(name)?.length);

    // The other's files are as they were, and what is everybody's has the other alone, to the last sample.
    const shared = ['speakers.mka', 'manifest.json', 'report.json'].map((kind) => `${alone}_alone_${kind}`);
    for (const [name, data] of before)
      if (!isTheirs(name) && !shared.includes(name))
        expect(readFileSync(join(dir, name)).equals(data), name).toBe(true);
    const left = listen(speakers);
    expect([left.endS, left.gaps, left.damaged]).toEqual([spoken.endS, [], 0]);
    expect(Buffer.from(left.mono.buffer).equals(Buffer.from(spoken.mono.buffer))).toBe(true);
    const manifest = manifestSchema.parse(JSON.parse(readFileSync(join(dir, shared[1]!), 'utf8')));
    expect(manifest.speakers).toMatchObject({ uids: ['22'], bytes: statSync(speakers).size });
    for (const { name, bytes } of [...manifest.slices, ...manifest.mp4s])
      expect(statSync(join(dir, name)).size, name).toBe(bytes);

    // Mixes that show the person are gone, and others are not.
    const listed = await server.call('GET', `/aircheck/recordings/${alone}/mixes`);
    expect((listed.body['mixes'] as MixReply[]).map(({ users }) => users)).toEqual([['22']]);
    const mp4s = () => readdirSync(join(server.dataDir, 'mixes')).filter((name) => name.endsWith('.mp4'));
    await until('the MP4 of the mix is removed', async () => mp4s().length === 1, 40_000);

    // Nothing of the person is on the disk: no file, no playlist that names one, no media; the database has the record.
    const others = [...before].filter(([name]) => !isTheirs(name)).map(([, data]) => data);
    const samples = [...before]
      .filter(([name]) => /\.(ts|mp4)$/.test(name) && isTheirs(name))
      .map(([, data]) => data.subarray(data.length >> 1, (data.length >> 1) + 64))
      // The silence of one is that of another.
      .filter((sample) => !others.some((data) => data.includes(sample)));
    expect(samples.length).toBeGreaterThan(3);
    for (const entry of readdirSync(server.dataDir, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const found = join(entry.parentPath, entry.name);
      expect(isTheirs(entry.name), found).toBe(false);
      const data = readFileSync(found);
      if (!found.startsWith(join(server.dataDir, 'db'))) expect(data.includes('__uid_s_11__'), found).toBe(false);
      for (const sample of samples) expect(data.includes(sample), found).toBe(false);
    }
    const { body } = await server.call('GET', `/aircheck/recordings/${alone}`);
    expect(JSON.stringify(body)).not.toMatch(/__uid_s_11__|"uid":"11"/);
    expect((await server.call('GET', `${path}/preview?uid=33`)).body).toMatchObject({ code: 404 });
  });

  test('without anything to record is 206 with code 435', async () => {
    const storageConfig = localStorage('nobody');
    const request = { recordingConfig: INDIVIDUAL, storageConfig };
    const recording = await server.record('nobody', '9000', request, 'individual');
    expect(await recording.stop()).toMatchObject({ status: 206, body: { code: 435 } });
  });
});
