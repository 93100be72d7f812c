/**
 * What snapshots of one user cost a recorder: 640×360 at 30 fps of 1 Mbit/s, for senders that answer requests for key
 * frames and ones that do not, and for an interval so short that all is decoded.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { SnapshotLine } from '../src/pipeline/individual/snapshot-line.ts';
import { type Encoded, VideoEncoder } from '../test/support/media/encode.ts';
import { MadePicture } from '../test/support/media/made-media.ts';
import { RED } from '../test/support/media/participants.ts';
import { atMost, type Figure } from './measure.ts';

const SIZE = { width: 640, height: 360 };
const FPS = 30;
const BITRATE_KBPS = 1000;
const MEDIA_S = 61;
/** From a request to the key frame, pictures. */
const ANSWER_FRAMES = 5;

type Case = { codec: 'h264' | 'vp8'; intervalS: number; answers: boolean };
type Cost = { coreShare: number; pictures: number; decoded: number; requests: number };

/** The sender is played once to learn what it sends when it is asked, and once more, from memory, to be measured. */
async function costOf(of: Case): Promise<Cost> {
  const { codec, answers } = of;
  const encoder = new VideoEncoder({ codec, ...SIZE, fps: FPS, bitrateKbps: BITRATE_KBPS, gopFrames: 1_000_000 });
  const picture = new MadePicture(RED, { ...SIZE, motion: 'busy', flash: false });
  const sent: Encoded[][] = [];
  let keyFrame = -1;
  await play(of, (n, asked) => {
    if (asked && answers) keyFrame = n + ANSWER_FRAMES;
    picture.draw(Math.round((n * 1e6) / FPS));
    const units = encoder.encode(picture.i420, n, n === keyFrame);
    sent.push(units);
    return units;
  });
  encoder.close();
  const before = process.cpuUsage();
  const played = await play(of, (n) => sent[n] as Encoded[]);
  const { user, system } = process.cpuUsage(before);
  return { ...played, coreShare: (user + system) / 1e6 / MEDIA_S };
}

/** @param send the samples of picture n, and whether a key frame was asked for before it */
async function play({ codec, intervalS }: Case, send: (n: number, asked: boolean) => Encoded[]) {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-snapshots-'));
  let pictures = 0;
  const line = new SnapshotLine({
    ...{ uid: '1', codec, intervalUs: intervalS * 1e6, dir, baseName: 'bench', zeroUtcMs: 0 },
    onFile: async () => void pictures++,
    onLost: (what) => process.stderr.write(`${what}\n`),
  });
  try {
    let [requests, asked] = [0, false];
    for (let n = 0; n < MEDIA_S * FPS; n++) {
      const atUs = Math.round((n * 1e6) / FPS);
      for (const unit of send(n, asked)) line.push(unit, atUs);
      asked = line.poll(atUs).keyFrameWanted;
      if (asked) requests++;
      while (line.waiting > 0) await pause(2);
    }
    const { decoded } = line;
    await line.finish();
    return { pictures, decoded, requests };
  } finally {
    line.close();
    rmSync(dir, { recursive: true });
  }
}

const CASES: [what: string, limit: number, of: Omit<Case, 'codec'>][] = [
  ['each 10 s, answering sender', 0.5, { intervalS: 10, answers: true }],
  ['each 10 s, silent sender', 3, { intervalS: 10, answers: false }],
  ['each second', 4, { intervalS: 1, answers: true }],
];

export async function measureSnapshots(): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const codec of ['h264', 'vp8'] as const)
    for (const [what, limit, of] of CASES) {
      const { coreShare, pictures, decoded, requests } = await costOf({ codec, ...of });
      const detail = `${pictures} pictures, ${decoded} of ${MEDIA_S * FPS} samples decoded, ${requests} requests`;
      figures.push(atMost(`snapshots of ${codec}, ${what}`, coreShare * 100, limit, '% of a core', detail));
    }
  return figures;
}
