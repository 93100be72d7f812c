/**
 * `npm run demo`: starts a server, lets three participants publish over WHIP, makes a composite recording with the
 * calls acquire, start, query, stop, and checks the files it gets. Needs nothing but the npm packages.
 *
 *   npm run demo -- [--seconds 20] [--keep]      --keep leaves server and participants running afterwards
 *
 * The last line of standard output is one JSON object: {"sid", "stop": the stop answer, "files": absolute paths}.
 * Ends with 0 only if every check holds.
 */
import { existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { judgePlaylist } from '../../test/support/judge/playlist.ts';
import { judgeRecording, type Verdict } from '../../test/support/judge/recording.ts';
import { BLUE, GREEN, RED } from '../../test/support/media/participants.ts';
import { type Publisher, publishWithFfmpeg, publishWithRtc } from '../../test/support/publish/publisher.ts';
import { RecordingClient, type Reply, textIn } from '../../test/support/rest-client.ts';
import { ServerProcess } from '../../test/support/server-process.ts';

const CNAME = 'demo';
const RECORDER_UID = '527841';
const CANVAS = { width: 1280, height: 720, fps: 30 };
const SOURCE = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
const PARTICIPANTS = [RED, GREEN, BLUE];
const BUCKET = 'demo';
/** As the server's log has it. */
const TOO_SLOW = 'the machine is too slow for the whole picture';

const { values: flags } = parseArgs({
  options: { seconds: { type: 'string', default: '20' }, keep: { type: 'boolean', default: false } },
});
const seconds = Number(flags.seconds);
if (!Number.isInteger(seconds) || seconds < 17 || seconds > 3600) {
  console.error(`--seconds is ${flags.seconds}; it must be a whole number from 17 (the first slice takes 15) to 3600`);
  process.exit(2);
}

const outDir = resolve(import.meta.dirname, '../../out/demo');
const storeDir = join(outDir, 'recordings', BUCKET);
const publishers: Publisher[] = [];
let server: ServerProcess | undefined;

let cleaning: Promise<void> | undefined;
function cleanUp(): Promise<void> {
  cleaning ??= (async () => {
    await Promise.allSettled(publishers.map((p) => p.stop()));
    await server?.stop();
  })();
  return cleaning;
}
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, async () => {
    console.error(`\n${signal}: cleaning up`);
    await cleanUp();
    process.exit(130);
  });
}

/** One exchange, short enough to read: long values are cut, secrets of this throw-away server are shown. */
function showReply({ method, path, request, status, body, tookMs }: Reply): void {
  const cut = (value: unknown) =>
    JSON.stringify(value, (_key, v) => (typeof v === 'string' && v.length > 70 ? `${v.slice(0, 24)}…` : v));
  const shortPath = path.replace(/[\w-]{100,}/, (id) => `${id.slice(0, 12)}…`);
  console.log(`\n${method} ${shortPath}`);
  if (request) console.log(`  ${cut(request)}`);
  console.log(`→ ${status} in ${tookMs.toFixed(0)} ms\n  ${cut(body)}`);
}

async function publish(at: ServerProcess): Promise<void> {
  const of = (uid: string) => ({ ...at.whip(CNAME, uid), ...SOURCE });
  // One after the other: join order is the order of places on the canvas.
  publishers.push(await publishWithFfmpeg({ ...of('1'), participant: RED }));
  publishers.push(await publishWithRtc({ ...of('2'), participant: GREEN, codec: 'vp8' }));
  publishers.push(await publishWithRtc({ ...of('3'), participant: BLUE, codec: 'h264' }));
  console.log('RED, GREEN and BLUE are publishing (FFmpeg, VP8, H.264).');
}

/** Waits for `untilMs` on the monotonic clock, asking how the recording is; returns the highest status seen. */
async function watchRecording(
  client: RecordingClient,
  quiet: RecordingClient,
  ids: Ids,
  untilMs: number,
): Promise<number> {
  const began = performance.now();
  let status = 0;
  while (performance.now() < untilMs) {
    await pause(Math.min(1000, untilMs - performance.now()));
    const reply = await quiet.query(ids.resourceId, ids.sid);
    const seen = Number((reply.body['serverResponse'] as { status?: number } | undefined)?.status ?? 0);
    if (seen === 5 && status < 5) await client.query(ids.resourceId, ids.sid);
    status = Math.max(status, seen);
    const done = (performance.now() - began) / 1000;
    const line = `recording ${done.toFixed(0)} of ${seconds} s, status ${status}`;
    if (process.stderr.isTTY) process.stderr.write(`\r${line} `);
    else if (Math.round(done) % 5 === 0) console.error(line);
  }
  if (process.stderr.isTTY) process.stderr.write('\n');
  return status;
}

type Ids = { resourceId: string; sid: string };
type StopResponse = {
  uploadingStatus?: string;
  fileListMode?: string;
  fileList?: { fileName: string; trackType: string; isPlayable: boolean }[];
};

function describe(path: string, verdict: Verdict): string {
  const { video, audio } = verdict.probe;
  const size = `${((statSync(path).size ?? 0) / 1024).toFixed(0)} kB`;
  const length = `${((video?.endS ?? 0) - (video?.startS ?? 0)).toFixed(2)} s`;
  return `${relative(process.cwd(), path)}  ${length}, ${video?.width}×${video?.height} at ${video?.frameRate} fps, ${video?.codec} + ${audio?.codec} ${audio?.sampleRate} Hz, ${size}`;
}

function checkStop(stop: Reply, problems: string[]): string[] {
  const response = (stop.body['serverResponse'] ?? {}) as StopResponse;
  if (stop.status !== 200) problems.push(`stop answered ${stop.status}: ${JSON.stringify(stop.body)}`);
  if (response.uploadingStatus !== 'uploaded') problems.push(`uploadingStatus is ${response.uploadingStatus}`);
  if (response.fileListMode !== 'json') problems.push(`fileListMode is ${response.fileListMode}`);
  const names = Array.isArray(response.fileList) ? response.fileList.map((f) => f.fileName) : [];
  for (const kind of ['.m3u8', '.mp4']) {
    if (!names.some((name) => name.endsWith(kind))) problems.push(`the file list names no ${kind}`);
  }
  const paths = names.map((name) => join(storeDir, name));
  for (const path of paths) if (!existsSync(path)) problems.push(`${path} is not there`);
  return paths.filter((path) => existsSync(path));
}

async function main(): Promise<number> {
  const problems: string[] = [];
  rmSync(outDir, { recursive: true, force: true });
  mkdirSync(outDir, { recursive: true });
  console.log('Starting a server (the first start makes a database and takes a few seconds) …');
  server = await ServerProcess.start({ dataDir: outDir });
  console.log(`Aircheck is at ${server.url}, its data in ${relative(process.cwd(), outDir) || outDir}`);
  await publish(server);

  const client = new RecordingClient(server, showReply);
  const quiet = new RecordingClient(server);
  const resourceId = textIn(await client.acquire(CNAME, RECORDER_UID), 'resourceId');
  const start = await client.startMix(resourceId, {
    cname: CNAME,
    uid: RECORDER_UID,
    token: server.token(CNAME, RECORDER_UID),
    recordingConfig: {
      channelType: 1,
      transcodingConfig: { ...CANVAS, bitrate: 2000, mixedVideoLayout: 1, backgroundColor: '#000000' },
    },
    avFileType: ['hls', 'mp4'],
    storageConfig: { vendor: 1000, region: 0, bucket: BUCKET, accessKey: '-', secretKey: '-' },
  });
  const ids = { resourceId, sid: textIn(start, 'sid') };
  const status = await watchRecording(client, quiet, ids, performance.now() + seconds * 1000);
  if (status !== 5) problems.push(`the status never became 5 (a file is stored) but ${status}`);
  const stop = await client.stop(ids.resourceId, ids.sid, CNAME, RECORDER_UID);
  if (!flags.keep) await cleanUp();

  const listed = checkStop(stop, problems);
  console.log('\nThe files:');
  const files = [...listed];
  for (const path of listed) {
    const verdict = judgeRecording(path, {
      participants: PARTICIPANTS,
      source: SOURCE,
      ...CANVAS,
      seconds: { from: seconds - 0.5, to: seconds + 1 },
    });
    console.log(`  ${describe(path, verdict)}`);
    const marks = verdict.participants.map((p) => `${p.name} ${p.flashes.length}/${p.beeps.length}`).join(', ');
    console.log(
      `    flashes/beeps: ${marks}; sound against picture: median ${verdict.medianMs.toFixed(0)} ms, worst ${verdict.worstMs.toFixed(0)} ms`,
    );
    problems.push(...verdict.problems.map((p) => `${path.split('.').at(-1)}: ${p}`));
    if (path.endsWith('.m3u8')) {
      const hls = judgePlaylist(storeDir, relative(storeDir, path));
      for (const slice of hls.slices) files.push(join(storeDir, slice.name));
      console.log(`    ${hls.slices.length} slices, ${hls.realS.toFixed(2)} s together`);
      problems.push(...hls.problems.map((p) => `m3u8: ${p}`));
    }
  }
  if (problems.length > 0 && server.log.includes(TOO_SLOW))
    problems.unshift(
      `${TOO_SLOW}: it has too little CPU now, and what follows may come of that (docs/guide/composite.md)`,
    );
  const mp4 = listed.find((path) => path.endsWith('.mp4'));
  if (mp4) console.log(`\nPlay it:  ffplay ${relative(process.cwd(), mp4)}   or mpv, VLC, a browser (open the file)`);
  console.log(
    problems.length === 0
      ? '\nAll is well: three participants at their places, a flash and a beep each second, in step; uploaded; playable.'
      : `\nWRONG:\n${problems.map((p) => `  - ${p}`).join('\n')}`,
  );
  if (problems.length > 0) console.log(`\nThe server's last words:\n${server.log.slice(-3000)}`);
  if (flags.keep) await keepRunning(server);
  console.log(JSON.stringify({ sid: ids.sid, stop: stop.body, files }));
  return problems.length === 0 ? 0 : 1;
}

/** Shows how to go on by hand, and waits for Ctrl-C. */
async function keepRunning(at: ServerProcess): Promise<void> {
  const publishPage = new URLSearchParams({ appid: at.appid, cname: CNAME, uid: '4', token: at.token(CNAME, '4') });
  console.log(`
The server and its participants go on until Ctrl-C.
  API          ${at.url}/v1/apps/${at.appid}/cloud_recording
  Customer     ${at.customerId}:${at.customerSecret}
  Certificate  ${at.certificate}
  Join too     ${at.url}/publish?${publishPage}
  Token for the recorder's uid ${RECORDER_UID}: ${at.token(CNAME, RECORDER_UID)}`);
  await new Promise<void>((resume) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) {
      process.removeAllListeners(signal);
      process.once(signal, () => resume());
    }
    // A pending promise alone does not keep a process alive.
    setInterval(() => {}, 60_000);
  });
  await cleanUp();
}

try {
  const code = await main();
  process.exit(code);
} catch (error) {
  console.error(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  if (server) console.error(`The server's last words:\n${server.log.slice(-3000)}`);
  await cleanUp();
  process.exit(1);
}
