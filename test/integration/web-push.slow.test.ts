/**
 * A recorded web page that is pushed live too, by the whole product: to nginx's RTMP module, which is killed, stopped
 * and started again meanwhile. What was pushed is judged by what nginx kept of it, and the recording by its files.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pageUser, probeNamespaces } from '../../src/app/pages.ts';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { messageOf } from '../../src/kernel/fault.ts';
import { findPrograms } from '../../src/stages/source/page/programs.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { flashesIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { NginxRtmp } from '../support/nginx-rtmp.ts';
import {
  isAlive,
  type ProcessRef,
  pagesRoot,
  processesNaming,
  processesOf,
  recorderOf,
  signal,
} from '../support/processes.ts';
import { freeTcpPort } from '../support/server-process.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';
import { BEEP_HZ, FLASH, PAGE, PageServer, pageFrames } from '../support/web-page.ts';

let folder: string;
let server: TestServer;
let pages: PageServer;
let first: NginxRtmp;
let second: NginxRtmp;
const lines: string[] = [];
/** Why pages cannot be recorded on this machine; undefined when they can. */
const refusal = await probeNamespaces(findPrograms(), pageUser('nobody')).then(() => undefined, messageOf);

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-push-'));
  pages = await new PageServer().start();
  first = new NginxRtmp(join(folder, 'first'), await freeTcpPort());
  second = new NginxRtmp(join(folder, 'second'), await freeTcpPort());
  server = new TestServer(
    join(folder, 'data'),
    {
      AIRCHECK_PAGE_NETWORKS: '127.0.0.1',
      AIRCHECK_PUSH_NETWORKS: '127.0.0.1',
      AIRCHECK_ADMISSION_CPU_PERCENT: '0',
    },
    (line) => lines.push(line),
  );
  await Promise.all([server.start(), first.start(), second.start()]);
});
afterAll(async () => {
  await server.end();
  await Promise.all([pages.close(), first.kill(), second.kill()]);
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

const KEYS = ['key-one', 'key-two', 'key-three'] as const;
const outputs = (...urls: string[]) => urls.map((rtmpUrl) => ({ rtmpUrl }));
const startRequest = (...urls: string[]) => ({
  extensionServiceConfig: {
    extensionServices: [
      {
        serviceName: 'web_recorder_service',
        serviceParam: {
          ...{ url: pages.url('/counter'), audioProfile: 1, videoWidth: PAGE.width, videoHeight: PAGE.height },
          ...{ videoFps: 30, maxRecordingHour: 1 },
        },
      },
      { serviceName: 'rtmp_publish_service', serviceParam: { outputs: outputs(...urls) } },
    ],
  },
  recordingFileConfig: { avFileType: ['hls'] },
  storageConfig: localStorage('web'),
});

type PushState = { outputs: { rtmpUrl: string; status: string }[]; state: string };
async function pushesOf(recording: TestRecording): Promise<PushState> {
  const { body } = await recording.query();
  const { extensionServiceState } = body['serverResponse'] as { extensionServiceState: { payload: PushState }[] };
  return extensionServiceState[1]!.payload;
}
/** Resolves once the pushes stand as these, by the keys of their streams. */
const untilStatus = (recording: TestRecording, wanted: Record<string, string>, timeoutMs = 30_000) =>
  until(
    JSON.stringify(wanted),
    async () => {
      const { outputs } = await pushesOf(recording);
      const now = Object.fromEntries(outputs.map(({ rtmpUrl, status }) => [rtmpUrl.split('/').at(-1), status]));
      return JSON.stringify(now) === JSON.stringify(wanted);
    },
    timeoutMs,
  );
/** Resolves once so many more bytes went to an address, its key left out. */
async function untilSent({ sid }: TestRecording, address: string, bytes: number): Promise<void> {
  const sent = async () => {
    const { body } = await server.call('GET', `/aircheck/recordings/${sid}`);
    const { pushes = [] } = body['quality'] as { pushes?: { address: string; sentBytes: number }[] };
    return pushes.filter((push) => push.address === address).reduce((sum, { sentBytes }) => sum + sentBytes, 0);
  };
  const before = await sent();
  await until(`${bytes} bytes more`, async () => (await sent()) >= before + bytes, 40_000);
}
const seconds = (s: number) => new Promise((resolve) => setTimeout(resolve, s * 1000));
const pushers = (): ProcessRef[] => processesOf(server.dataDir).filter(({ args }) => args.includes('push'));

const reloadsOf = (events: Notice[]) =>
  events.flatMap(({ eventType, payload }) => (eventType === 73 ? [payload.details['reason']] : []));

/** Of a stream that a server kept: what its pictures show, and how far its sound is from them. */
function judgePushed(file: string) {
  const frames = pageFrames(file);
  const [readings = []] = watch(file, [{ rect: FLASH }]).views;
  const flashes = flashesIn(readings).map(({ atS }) => atS);
  const beeps = beepsIn(listen(file), { toneHz: BEEP_HZ }).map(({ atS }) => atS);
  return { frames, offsets: avOffsets(flashes, beeps) };
}

describe.skipIf(refusal !== undefined)('a page that is pushed', { timeout: 180_000 }, () => {
  test('goes to its servers whatever becomes of them, and the recording is whole', async () => {
    const recording = await server.record('pushed', '1', startRequest(first.url(KEYS[0])), 'web');
    expect(await pushesOf(recording)).toEqual({
      outputs: [{ rtmpUrl: first.url(KEYS[0]), status: 'connecting' }],
      state: 'init',
    });
    await untilStatus(recording, { [KEYS[0]]: 'publishing' });
    const openMs = performance.now();
    await seconds(6.5);

    // Its server dies and comes back, and another address is added meanwhile.
    await first.kill();
    await untilStatus(recording, { [KEYS[0]]: 'disconnected' });
    await first.start();
    await recording.update({ rtmpPublishConfig: { outputs: outputs(first.url(KEYS[0]), second.url(KEYS[1])) } });
    await untilStatus(recording, { [KEYS[0]]: 'publishing', [KEYS[1]]: 'publishing' });
    await seconds(5.5);

    // One server is silent; at the other one address is replaced; all are on hold for a moment.
    second.signal('SIGSTOP');
    await recording.update({ rtmpPublishConfig: { outputs: outputs(first.url(KEYS[2]), second.url(KEYS[1])) } });
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'publishing' });
    await seconds(1);
    second.signal('SIGCONT');
    // From its first key frame on.
    await untilSent(recording, first.url('***'), 5_000);
    const heldMs = performance.now();
    await recording.update({ webRecordingConfig: { onhold: true } });
    await untilStatus(recording, { [KEYS[2]]: 'onhold', [KEYS[1]]: 'onhold' });
    await recording.update({ webRecordingConfig: { onhold: false } });
    const goesOnMs = performance.now();
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'publishing' });

    // The process that pushes dies, and another one goes on.
    const [pusher] = pushers();
    expect(pusher?.args.join(' ')).not.toMatch(/key-/);
    signal(pusher!, 'SIGKILL');
    await untilStatus(recording, { [KEYS[2]]: 'disconnected', [KEYS[1]]: 'disconnected' });
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'publishing' });

    // So does the recorder, and takes it along; the next one pushes again.
    const doomed = [recorderOf(server.dataDir, recording.sid)!, ...pushers()];
    signal(doomed[0]!, 'SIGKILL');
    const recordedS = (performance.now() - openMs - (goesOnMs - heldMs)) / 1000;
    await until('both are gone', () => doomed.every((process_) => !isAlive(process_)), 15_000);
    await untilStatus(recording, { [KEYS[2]]: 'disconnected', [KEYS[1]]: 'disconnected' });
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'publishing' });

    // What the page is played with dies: only loading it again brings its sound back, and the push goes on. One server
    // is stopped for so long that it is given up, once it has shown by some confirmations how often it confirms: one
    // that never did is for push.slow.test.ts.
    await untilSent(recording, second.url('***'), 60_000);
    second.signal('SIGSTOP');
    const [player] = processesNaming('audio.mojom.AudioService', pagesRoot(server.dataDir));
    expect(signal(player!, 'SIGKILL')).toBe(true);
    await until('the page is loaded again', async () => reloadsOf(await recording.events()).length > 0, 25_000);
    // A page that is silent meanwhile, and is hardly drawn, sends little that could be missed.
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'disconnected' }, 60_000);
    second.signal('SIGCONT');
    await untilStatus(recording, { [KEYS[2]]: 'publishing', [KEYS[1]]: 'publishing' });
    await seconds(4);
    expect((await recording.stop()).status).toBe(200);
    await until('nothing pushes any more', () => pushers().length === 0, 15_000);

    // What was recorded: nothing is missing but what was on hold and what nobody saw while there was no recorder.
    const name = `${recording.sid}_pushed.m3u8`;
    expect(judgePlaylist(join(server.dataDir, 'recordings', 'web'), name).problems).toEqual([]);
    const frames = pageFrames(join(server.dataDir, 'recordings', 'web', name));
    expect(frames.every(({ whole }) => whole)).toBe(true);
    const again = frames.findIndex(({ count }, i) => i > 0 && count < frames[i - 1]!.count);
    const { video, audio } = probeFile(join(server.dataDir, 'recordings', 'web', name));
    expect(video!.ordered && audio!.ordered).toBe(true);
    const beeps = beepsIn(listen(join(server.dataDir, 'recordings', 'web', name)), { toneHz: BEEP_HZ });
    expect(beeps.at(-1)!.atS).toBeGreaterThan(frames.at(-1)!.atS - 1.5);
    const steps = frames.slice(1, again).map(({ atS }, i) => atS - frames[i]!.atS);
    expect(Math.max(...steps)).toBeLessThan(0.5);
    // What the encoder still held went with the recorder.
    expect(frames[again - 1]!.atS).toBeGreaterThan(recordedS - 1.5);

    // What was pushed: at each connection from a key frame on, at its zero, in step.
    const [[one, oneAgain], twos, threes] = [first.files(KEYS[0]), second.files(KEYS[1]), first.files(KEYS[2])];
    // A key frame comes each three seconds.
    for (const [file, leastS] of [
      [one!, 1.5],
      [oneAgain!, 1.2],
      [twos[0]!, 4],
    ] as const) {
      const { frames, offsets } = judgePushed(file);
      expect(frames.at(-1)!.atS, file).toBeGreaterThan(leastS);
      expect(Math.abs(offsets.medianMs), file).toBeLessThan(80);
    }
    // Each process that pushed, and each run, made connections of its own; the second of them was short. The server
    // that was stopped got one more.
    expect([twos.length, threes.length]).toEqual([4, 3]);
    for (const files of [twos, threes]) {
      for (const frames of [pageFrames(files[0]!), pageFrames(files[2]!)]) {
        expect(frames[0]!.atS).toBeLessThan(0.2);
        expect(frames.every(({ whole }) => whole)).toBe(true);
        // What a busy machine's page draws less often is there less often.
        const counts = frames.map(({ count }) => count);
        const drawn = counts.at(-1)! - counts[0]!;
        expect(new Set(counts).size).toBeGreaterThan(0.5 * Math.min(frames.length, drawn));
      }
    }

    const events = await recording.events();
    const statuses = events.flatMap(({ eventType, payload }) => (eventType === 100 ? [payload.details['status']] : []));
    expect(reloadsOf(events)).toEqual(['audio_silence']);
    expect(statuses.slice(0, 3)).toEqual(['connecting', 'publishing', 'disconnected']);
    expect(statuses.filter((status) => status === 'onhold')).toHaveLength(2);
    expect(statuses.slice(-2)).toEqual(['disconnected', 'disconnected']);

    const { body } = await server.call('GET', `/aircheck/recordings/${recording.sid}`);
    const { pushes } = body['quality'] as { pushes: Record<string, number>[] };
    const masked = first.url('***');
    expect(pushes[0]).toMatchObject({ address: masked, connections: 2, lastFailure: expect.stringMatching(/\w/) });
    expect(pushes[0]!['publishedMs']).toBeGreaterThan(5_000);
    expect(pushes.every(({ startedMs, endedMs }) => endedMs! > startedMs!)).toBe(true);
    expect(JSON.stringify([events, body, lines])).not.toMatch(/key-(one|two|three)/);
  });
});
