/**
 * The stage all measurements play on: a real server in a process of its own, participants in processes of theirs, and
 * recordings made over the REST API into the server's local folder.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Participant } from '../test/support/media/participants.ts';
import { BLUE, GREEN, RED, YELLOW } from '../test/support/media/participants.ts';
import { type Publisher, publishWithRtc, type RtcPublishOptions } from '../test/support/publish/publisher.ts';
import { RecordingClient, type Reply, textIn } from '../test/support/rest-client.ts';
import { type ServerOptions, ServerProcess } from '../test/support/server-process.ts';

export const CAST: readonly Participant[] = [RED, GREEN, BLUE, YELLOW];
export const SOURCE = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
export const CANVAS = { width: 1280, height: 720, fps: 30 };
export const BITRATE_KBPS = 2000;
const UID = '9000';

export type Take = {
  resourceId: string;
  sid: string;
  cname: string;
  /** Wall time of the start call and of its answer, microseconds. */
  calledUs: number;
  answeredUs: number;
};

export class Stage {
  readonly server: ServerProcess;
  readonly client: RecordingClient;
  #dir: string;
  #publishers: Publisher[] = [];

  /** @param options further settings of the server, and another checkout to run it from */
  static async open({ env, checkout }: Pick<ServerOptions, 'env' | 'checkout'> = {}): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
    const settings = { AIRCHECK_LOG_LEVEL: 'warn', AIRCHECK_RATE_LIMIT_PER_S: '0', ...env };
    return new Stage(
      dir,
      await ServerProcess.start({ dataDir: dir, env: settings, ...(checkout !== undefined && { checkout }) }),
    );
  }

  private constructor(dir: string, server: ServerProcess) {
    this.#dir = dir;
    this.server = server;
    this.client = new RecordingClient(server);
  }

  /** Lets the cast publish into `cname`, in order; half send VP8 and half H.264. */
  async publish(cname: string, options: Pick<RtcPublishOptions, 'loop' | 'motion'>): Promise<void> {
    for (const [i, participant] of CAST.entries()) {
      const codec = i % 2 === 0 ? 'vp8' : 'h264';
      const at = this.server.whip(cname, String(i + 1));
      this.#publishers.push(await publishWithRtc({ ...at, participant, codec, ...SOURCE, ...options }));
    }
  }

  async leave(): Promise<void> {
    await Promise.all(this.#publishers.splice(0).map((p) => p.stop()));
  }

  /** acquire and start; `before` runs between the two. Throws an Error when either is refused. */
  async start(cname: string, before: () => Promise<void> = async () => {}): Promise<Take> {
    const resourceId = textIn(await this.client.acquire(cname, UID), 'resourceId');
    await before();
    const calledUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
    const start = await this.client.startMix(resourceId, {
      cname,
      uid: UID,
      token: this.server.token(cname, UID),
      recordingConfig: { channelType: 1, transcodingConfig: { ...CANVAS, bitrate: BITRATE_KBPS, mixedVideoLayout: 1 } },
      storageConfig: { vendor: 1000, region: 0, bucket: cname, accessKey: '-', secretKey: '-' },
    });
    const answeredUs = Math.round((performance.timeOrigin + performance.now()) * 1000);
    return { resourceId, sid: textIn(start, 'sid'), cname, calledUs, answeredUs };
  }

  /** Stops synchronously. Throws an Error when not everything was stored. */
  async stop(take: Take): Promise<Reply> {
    const reply = await this.client.stop(take.resourceId, take.sid, take.cname, UID);
    const state = (reply.body['serverResponse'] as { uploadingStatus?: string } | undefined)?.uploadingStatus;
    if (reply.status !== 200 || state !== 'uploaded')
      throw new Error(`stop answered ${reply.status}: ${JSON.stringify(reply.body)}\n${this.server.log.slice(-2000)}`);
    return reply;
  }

  /** The stored file of a recording with this ending, `.mp4` or `.m3u8`. */
  file(take: Take, ending: string): string {
    const dir = join(this.#dir, 'recordings', take.cname);
    const name = readdirSync(dir).find((f) => f.startsWith(take.sid) && f.endsWith(ending));
    if (!name) throw new Error(`the recording left no ${ending} in ${dir}`);
    return join(dir, name);
  }

  async close(): Promise<void> {
    await this.leave();
    await this.server.stop();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}
