/**
 * Performance: plays a plan to a real server over impaired networks, records it, and hands over the MP4 with the times at
 * which things were done.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/kernel/clock.ts';
import type { WayCounters } from '../support/impair/impairment.ts';
import { UdpProxy } from '../support/impair/udp-proxy.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { freeUdpPort } from '../support/server-process.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';
import { CANVAS, type Course, type Deed, GOP_S, type Plan, type Role, SOURCE, type Step } from './plan.ts';

const RECORDER_UID = '9000';
const BITRATE_KBPS = 1500;
/** From when everyone's media flows to the start of the recording: sender reports have come by then. */
const WARM_UP_MS = 1500;

export type Performance = {
  course: Course;
  mp4: string;
  /** What became of the packets of all participants, on their way to the server. */
  network: WayCounters;
};

export class Stage {
  readonly #dir: string;
  readonly #server: TestServer;
  readonly #rtcPort: number;
  #performances = 0;

  /** Starts a server. Rejects with an Error that holds its last words when it does not come up. */
  static async open(): Promise<Stage> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-media-'));
    const rtcPort = await freeUdpPort();
    const env = { AIRCHECK_RTC_PORT: String(rtcPort), AIRCHECK_LOG_LEVEL: 'warn' };
    const stage = new Stage(dir, new TestServer(join(dir, 'data'), env), rtcPort);
    try {
      await stage.#server.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  private constructor(dir: string, server: TestServer, rtcPort: number) {
    this.#dir = dir;
    this.#server = server;
    this.#rtcPort = rtcPort;
  }

  /** Records the plan. Rejects with an Error when a publisher cannot publish or a call is refused. */
  async perform(plan: Plan): Promise<Performance> {
    const cname = `plan${this.#performances++}`;
    const cast = new Cast(this.#server, this.#rtcPort, cname, plan.seed);
    try {
      // One after another: the order of joining is the order of places.
      const first = plan.roles.filter((role) => !role.absent);
      for (const role of plan.roles) if (role.absent) await cast.prepare(role);
      for (const role of first) await cast.join(role);
      await until(
        'everyone sends sound and picture',
        async () => {
          const people = await this.#server.participants(cname);
          const sending = people.filter((p) => p.tracks.filter((t) => t.receiving).length === 2);
          return sending.length === first.length;
        },
        15_000,
      );
      await pause(WARM_UP_MS);
      const recording = await this.#server.record(cname, RECORDER_UID, {
        recordingConfig: {
          channelType: 1,
          transcodingConfig: { ...CANVAS, bitrate: BITRATE_KBPS, mixedVideoLayout: 1 },
        },
        recordingFileConfig: { avFileType: ['hls', 'mp4'] },
        storageConfig: localStorage(cname),
      });
      cast.setZero(recording.calledAtMs);
      const zeroWallS = recording.calledAtMs / 1000;
      const steps = await play(plan, cast, zeroWallS);
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

/** Does what the plan's events say at their times, until the plan's end. */
async function play(plan: Plan, cast: Cast, zeroWallS: number): Promise<Step[]> {
  const events = plan.roles
    .flatMap((role) => (role.events ?? []).map(({ atS, ...deed }) => ({ atS, deed, role })))
    .sort((a, b) => a.atS - b.atS);
  const nowS = () => Date.now() / 1000 - zeroWallS;
  const steps: Step[] = [];
  for (const atS of new Set(events.map((event) => event.atS))) {
    await pause(Math.max(0, (atS - nowS()) * 1000));
    const fromS = nowS();
    const together = events.filter((event) => event.atS === atS);
    await Promise.all(together.map(({ role, deed }) => cast.act(role, deed)));
    const order = together.length > 1 ? await cast.order() : [];
    const done = together.map(({ role, deed }) => ({ fromS, toS: nowS(), uid: role.uid, ...deed }));
    steps.push(...done.sort((a, b) => order.indexOf(a.uid) - order.indexOf(b.uid)));
  }
  await pause(Math.max(0, (plan.seconds - nowS()) * 1000));
  return steps;
}

/** The publishers of one performance, each behind a proxy of its own. */
class Cast {
  readonly #server: TestServer;
  readonly #rtcPort: number;
  readonly #cname: string;
  readonly #there = new Map<string, { publisher: Publisher; proxy: UdpProxy }>();
  readonly #proxies: UdpProxy[] = [];
  #seed: number;
  #zeroMs: number | undefined;

  constructor(server: TestServer, rtcPort: number, cname: string, seed: number) {
    this.#server = server;
    this.#rtcPort = rtcPort;
    this.#cname = cname;
    this.#seed = seed;
  }

  get network(): WayCounters {
    const ways = this.#proxies.map((proxy) => proxy.counters.toServer);
    const total = (of: keyof WayCounters) => ways.reduce((sum, way) => sum + way[of], 0);
    return { taken: total('taken'), lost: total('lost'), duplicated: total('duplicated') };
  }

  /** Uids of those who are in the channel, in the order in which they came. */
  async order(): Promise<string[]> {
    return (await this.#server.participants(this.#cname)).map(({ uid }) => uid);
  }

  async join(role: Role): Promise<void> {
    this.#there.set(role.uid, await this.#open(role, false));
  }

  /** Makes ready someone who comes later. */
  async prepare(role: Role): Promise<void> {
    this.#there.set(role.uid, await this.#open(role, true));
  }

  async #open(role: Role, waits: boolean): Promise<{ publisher: Publisher; proxy: UdpProxy }> {
    const { toServer, toPublisher } = role;
    const proxy = await UdpProxy.open({
      serverPort: this.#rtcPort,
      ...(toServer && { toServer }),
      ...(toPublisher && { toPublisher }),
      seed: this.#seed,
      clock: systemClock,
    });
    this.#proxies.push(proxy);
    this.#seed += 2;
    if (this.#zeroMs !== undefined) proxy.setZero(Date.now() - this.#zeroMs);
    try {
      const publisher = await publishWithRtc({
        ...this.#server.running.whip(this.#cname, role.uid),
        participant: role.participant,
        codec: role.codec,
        ...SOURCE,
        ...role.picture,
        gopS: GOP_S,
        motion: 'busy',
        via: proxy.address,
        waits,
        ...role.sends,
      });
      return { publisher, proxy };
    } catch (error) {
      proxy.close();
      throw error;
    }
  }

  async act(role: Role, deed: Deed): Promise<void> {
    const there = this.#there.get(role.uid);
    if (deed.does === 'rejoin') {
      if (there) throw new Error(`${role.participant.name} is to rejoin and never left`);
      return this.join(role);
    }
    if (!there) throw new Error(`${role.participant.name} is to ${deed.does} and is not there`);
    const { publisher, proxy } = there;
    switch (deed.does) {
      case 'join':
        await publisher.join();
        await until('who joined is there', async () => (await this.order()).includes(role.uid), 10_000);
        return;
      case 'leave':
        this.#there.delete(role.uid);
        await publisher.stop();
        proxy.close();
        return;
      case 'lose':
        await until('who is cut off is gone', async () => !(await this.order()).includes(role.uid), 30_000);
        this.#there.delete(role.uid);
        publisher.kill();
        proxy.close();
        return;
      case 'replace':
        await this.join(role);
        publisher.kill();
        proxy.close();
        return;
      case 'restart':
        return publisher.restart();
      case 'show':
        return publisher.show(deed.scene);
      case 'muteAudio':
        return publisher.mute('audio');
      case 'unmuteAudio':
        return publisher.unmute('audio');
      case 'muteVideo':
        return publisher.mute('video');
      case 'unmuteVideo':
        return publisher.unmute('video');
    }
  }

  /** @param wallMs what the plan's blackouts count from, Unix milliseconds */
  setZero(wallMs: number): void {
    this.#zeroMs = wallMs;
    for (const { proxy } of this.#there.values()) proxy.setZero(Date.now() - wallMs);
  }

  async close(): Promise<void> {
    const there = [...this.#there.values()];
    this.#there.clear();
    await Promise.all(there.map(({ publisher }) => publisher.stop()));
    for (const { proxy } of there) proxy.close();
  }
}
