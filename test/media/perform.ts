/**
 * Performance: plays a plan to a real server over impaired networks, records it, and hands over the MP4 with the times
 * at which things were done.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { WayCounters } from '../support/impair/impairment.ts';
import { localStorage, TestServer } from '../support/test-server.ts';
import { Cast } from './cast.ts';
import { CANVAS, type Course, type Plan } from './plan.ts';

const RECORDER_UID = '9000';
const BITRATE_KBPS = 1500;

export type Performance = {
  course: Course;
  mp4: string;
  /** What became of the packets of all participants, on their way to the server. */
  network: WayCounters;
};

export class Stage {
  readonly #dir: string;
  readonly #server: TestServer;
  #performances = 0;

  /** Starts a server. Rejects with an Error that holds its last words when it does not come up. */
  static async open(): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-media-'));
    const stage = new Stage(dir, new TestServer(join(dir, 'data'), { AIRCHECK_LOG_LEVEL: 'warn' }));
    try {
      await stage.#server.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  private constructor(dir: string, server: TestServer) {
    this.#dir = dir;
    this.#server = server;
  }

  /** Records the plan. Rejects with an Error when a publisher cannot publish or a call is refused. */
  async perform(plan: Plan): Promise<Performance> {
    const cname = `plan${this.#performances++}`;
    const cast = new Cast(this.#server, cname, plan);
    try {
      await cast.gather();
      const recording = await this.#server.record(cname, RECORDER_UID, {
        recordingConfig: {
          channelType: 1,
          transcodingConfig: { ...CANVAS, bitrate: BITRATE_KBPS, mixedVideoLayout: 1 },
        },
        recordingFileConfig: { avFileType: ['hls', 'mp4'] },
        storageConfig: localStorage(cname),
      });
      const zeroWallS = recording.calledAtMs / 1000;
      const steps = await cast.play(zeroWallS);
      const stopped = await recording.stop();
      const state = (stopped.body['serverResponse'] as { uploadingStatus?: string } | undefined)?.uploadingStatus;
      if (stopped.status !== 200 || state !== 'uploaded')
        throw new Error(`stop answered ${stopped.status}: ${JSON.stringify(stopped.body)}`);
      const mp4 = this.#file(cname, `${recording.sid}_${cname}_0.mp4`);
      return { course: { plan, zeroWallS, steps }, mp4, network: cast.network };
    } finally {
      await cast.close();
    }
  }

  async close(): Promise<void> {
    await this.#server.end();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #file(bucket: string, name: string): string {
    const dir = join(this.#server.dataDir, 'recordings', bucket);
    if (!readdirSync(dir).includes(name)) throw new Error(`the recording left no ${name}`);
    return join(dir, name);
  }
}
