/**
 * How soon a browser sends at its full rate: Chromium with a noisy picture and a cap of 2.5 Mbit/s on a clean path;
 * what the server received of its picture, second by second from the moment it was in the channel.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { type PublishParams, startBrowser } from '../test/support/browser.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { atMost, type Figure } from './measure.ts';

const RATE_BPS = 2_500_000;
const SHARE = 0.9;
const WITHIN_S = 5;
const WATCH_MS = 10_000;
const POLL_MS = 250;
const WINDOW_MS = 1000;
const CODECS = ['vp8', 'h264'] as const;

/** The picture's payload bytes that had come in at a moment. */
type Sample = { atMs: number; bytes: number };

export async function measureRampUp(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const server = await ServerProcess.start({
    dataDir: dir,
    env: { AIRCHECK_LOG_LEVEL: 'warn', AIRCHECK_RATE_LIMIT_PER_S: '0' },
  });
  try {
    const figures: Figure[] = [];
    for (const codec of CODECS) figures.push(judge(codec, await samplesOf(server, codec)));
    return figures;
  } finally {
    await server.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function samplesOf(server: ServerProcess, codec: NonNullable<PublishParams['codec']>): Promise<Sample[]> {
  const cname = `ramp-${codec}`;
  const { appid } = server;
  const browser = await startBrowser();
  try {
    const publisher = await browser.publish(server.url, {
      appid,
      cname,
      uid: '1',
      token: server.token(cname, '1'),
      codec,
      width: 1280,
      height: 720,
      fps: 30,
      bitrate: RATE_BPS,
      grain: true,
    });
    const samples: Sample[] = [];
    const beganMs = performance.now();
    while (performance.now() - beganMs < WATCH_MS) {
      samples.push(await received(server, cname));
      await pause(POLL_MS);
    }
    await publisher.leave();
    return samples;
  } finally {
    await browser.close();
  }
}

async function received(server: ServerProcess, cname: string): Promise<Sample> {
  const login = Buffer.from(`${server.customerId}:${server.customerSecret}`).toString('base64');
  const answer = await fetch(`${server.url}/v1/apps/${server.appid}/aircheck/channels/${cname}`, {
    headers: { authorization: `Basic ${login}` },
  });
  if (!answer.ok) throw new Error(`the channel's participants: status ${answer.status}`);
  const { participants } = (await answer.json()) as {
    participants: { tracks: { kind: string; bytes: number }[] }[];
  };
  const bytes = participants.flatMap((p) => p.tracks).find((track) => track.kind === 'video')?.bytes ?? 0;
  return { atMs: performance.now(), bytes };
}

/** The first whole second at the promised share counts, by its end; a rate that is never reached counts as never. */
function judge(codec: string, samples: readonly Sample[]): Figure {
  const beganMs = (samples[0] as Sample).atMs;
  let reachedS = Number.POSITIVE_INFINITY;
  for (const last of samples) {
    const first = samples.findLast((s) => s.atMs <= last.atMs - WINDOW_MS);
    if (first && bpsOf(first, last) >= SHARE * RATE_BPS) {
      reachedS = (last.atMs - beganMs) / 1000;
      break;
    }
  }
  const seconds: string[] = [];
  for (let first = samples[0] as Sample; ; ) {
    const last = samples.find((s) => s.atMs >= first.atMs + WINDOW_MS);
    if (!last) break;
    seconds.push((bpsOf(first, last) / 1e6).toFixed(2));
    first = last;
  }
  const what = `${codec} browser at ${SHARE * 100} % of ${RATE_BPS / 1e6} Mbit/s`;
  return atMost(what, reachedS, WITHIN_S, 's', `${seconds.join(', ')} Mbit/s`);
}

function bpsOf(first: Sample, last: Sample): number {
  return ((last.bytes - first.bytes) * 8000) / (last.atMs - first.atMs);
}
