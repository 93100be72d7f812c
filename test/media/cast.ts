/**
 * Cast: the publishers of one performance, each behind a network of its own, and how they do what the plan says.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/kernel/clock.ts';
import type { WayCounters } from '../support/impair/impairment.ts';
import { UdpProxy } from '../support/impair/udp-proxy.ts';
import { PagePublisher } from '../support/publish/browser-publisher.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { type TestServer, until } from '../support/test-server.ts';
import { type Deed, GOP_S, type Plan, type Role, SOURCE, type Step } from './plan.ts';

/** From when everyone's media flows to the start of the recording: sender reports have come by then. */
const WARM_UP_MS = 1500;

export class Cast {
  readonly #server: TestServer;
  readonly #cname: string;
  readonly #plan: Plan;
  readonly #there = new Map<string, { publisher: Publisher | PagePublisher; proxy: UdpProxy }>();
  readonly #proxies: UdpProxy[] = [];
  #seed: number;
  #zeroMs: number | undefined;

  constructor(server: TestServer, cname: string, plan: Plan) {
    this.#server = server;
    this.#cname = cname;
    this.#plan = plan;
    this.#seed = plan.seed;
  }

  /**
   * Lets all who are there from the start join, one after another: that is the order of places. The others are made
   * ready.
   */
  async gather(): Promise<void> {
    const first = this.#plan.roles.filter((role) => !role.absent);
    for (const role of this.#plan.roles) if (role.absent) await this.#prepare(role);
    for (const role of first) await this.#join(role);
    await until(
      'everyone sends sound and picture',
      async () => {
        const people = await this.#server.participants(this.#cname);
        const sending = people.filter((p) => p.tracks.filter((t) => t.receiving).length === 2);
        return sending.length === first.length;
      },
      30_000,
    );
    await pause(WARM_UP_MS);
  }

  /**
   * Does what the plan's events say at their times, until the plan's end.
   * @param zeroWallS what all times count from, seconds since the Unix epoch
   */
  async play(zeroWallS: number): Promise<Step[]> {
    this.#setZero(zeroWallS * 1000);
    const events = this.#plan.roles
      .flatMap((role) => (role.events ?? []).map(({ atS, ...deed }) => ({ atS, deed, role })))
      .sort((a, b) => a.atS - b.atS);
    const nowS = () => Date.now() / 1000 - zeroWallS;
    const steps: Step[] = [];
    for (const atS of new Set(events.map((event) => event.atS))) {
      await pause(Math.max(0, (atS - nowS()) * 1000));
      const fromS = nowS();
      const together = events.filter((event) => event.atS === atS);
      await Promise.all(together.map(({ role, deed }) => this.#act(role, deed)));
      const order = together.length > 1 ? await this.#order() : [];
      const done = together.map(({ role, deed }) => ({ fromS, toS: nowS(), uid: role.uid, ...deed }));
      steps.push(...done.sort((a, b) => order.indexOf(a.uid) - order.indexOf(b.uid)));
    }
    await pause(Math.max(0, (this.#plan.seconds - nowS()) * 1000));
    return steps;
  }

  get network(): WayCounters {
    const ways = this.#proxies.map((proxy) => proxy.counters.toServer);
    const total = (of: keyof WayCounters) => ways.reduce((sum, way) => sum + way[of], 0);
    return { taken: total('taken'), lost: total('lost'), duplicated: total('duplicated') };
  }

  /** Uids of those who are in the channel, in the order in which they came. */
  async #order(): Promise<string[]> {
    return (await this.#server.participants(this.#cname)).map(({ uid }) => uid);
  }

  async #join(role: Role): Promise<void> {
    this.#there.set(role.uid, await this.#open(role, false));
  }

  /** Makes ready someone who comes later. */
  async #prepare(role: Role): Promise<void> {
    this.#there.set(role.uid, await this.#open(role, true));
  }

  async #open(role: Role, waits: boolean): Promise<{ publisher: Publisher | PagePublisher; proxy: UdpProxy }> {
    const { toServer, toPublisher } = role;
    const proxy = await UdpProxy.open({
      serverPort: this.#server.rtcPort,
      ...(toServer && { toServer }),
      ...(toPublisher && { toPublisher }),
      seed: this.#seed,
      clock: systemClock,
    });
    this.#proxies.push(proxy);
    this.#seed += 2;
    if (this.#zeroMs !== undefined) proxy.setZero(Date.now() - this.#zeroMs);
    try {
      if (role.page) return { publisher: await this.#openPage(role, role.page.hue, proxy), proxy };
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

  #openPage(role: Role, hue: number, proxy: UdpProxy): Promise<PagePublisher> {
    const { baseUrl, appid } = this.#server;
    const { width, height, fps, bitrateKbps } = { ...SOURCE, ...role.picture };
    const { uid, codec } = role;
    const params = {
      ...{ appid, cname: this.#cname, uid, token: this.#server.token(this.#cname, uid) },
      ...{ codec, hue, tone: role.participant.toneHz, width, height, fps, bitrate: bitrateKbps * 1000 },
    };
    return PagePublisher.start(baseUrl, params, proxy.address);
  }

  async #act(role: Role, deed: Deed): Promise<void> {
    const there = this.#there.get(role.uid);
    if (deed.does === 'rejoin') {
      if (there) throw new Error(`${role.participant.name} is to rejoin and never left`);
      return this.#join(role);
    }
    if (!there) throw new Error(`${role.participant.name} is to ${deed.does} and is not there`);
    const { publisher, proxy } = there;
    switch (deed.does) {
      case 'leave':
        this.#there.delete(role.uid);
        await publisher.stop();
        proxy.close();
        return;
      case 'lose':
        await until('who is cut off is gone', async () => !(await this.#order()).includes(role.uid), 30_000);
        this.#there.delete(role.uid);
        publisher.kill();
        proxy.close();
        return;
      case 'replace':
        await this.#join(role);
        publisher.kill();
        proxy.close();
        return;
      case 'muteAudio':
        return publisher.mute('audio');
      case 'unmuteAudio':
        return publisher.unmute('audio');
      case 'muteVideo':
        return publisher.mute('video');
      case 'unmuteVideo':
        return publisher.unmute('video');
    }
    if (publisher instanceof PagePublisher) throw new Error(`a page cannot ${deed.does}`);
    switch (deed.does) {
      case 'join':
        await publisher.join();
        await until('who joined is there', async () => (await this.#order()).includes(role.uid), 30_000);
        return;
      case 'restart':
        return publisher.restart();
      case 'show':
        return publisher.show(deed.scene);
      case 'stepClock':
        return publisher.stepClock(deed);
      case 'padUpperLayer':
        return publisher.padUpperLayer();
      case 'fillUpperLayer':
        return publisher.fillUpperLayer();
    }
  }

  /** @param wallMs what the plan's blackouts count from, Unix milliseconds */
  #setZero(wallMs: number): void {
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
