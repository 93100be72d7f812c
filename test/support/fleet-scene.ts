/**
 * FleetScene: nodes of a fleet in this process, each with a listener for customers and one for other nodes on the
 * loopback, over a memory of who has what that a test writes itself.
 */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import type { RecordingApi } from '../../src/http/api.ts';
import { CHANGES_PATH, Changes } from '../../src/http/fleet/changes.ts';
import { Copies } from '../../src/http/fleet/copies.ts';
import { NodeDirectory } from '../../src/http/fleet/directory.ts';
import { Fleet, type FleetOptions } from '../../src/http/fleet/fleet.ts';
import { NodeLinks } from '../../src/http/fleet/links.ts';
import { nodeApi } from '../../src/http/fleet/node-api.ts';
import { Signatures } from '../../src/http/fleet/signature.ts';
import { WhipFleet } from '../../src/http/fleet/whip-fleet.ts';
import { carriedRoutes, recordingApi } from '../../src/http/recording-api.ts';
import { buildHttp } from '../../src/http/server.ts';
import { WatchTokens } from '../../src/http/watch-tokens.ts';
import { type WhipOptions, whipRoutes } from '../../src/http/whip.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import type { Node } from '../../src/store/node-tables.ts';
import { APP } from './rest-api.ts';

export const KEY = 'a key of a fleet that is long enough';

type FleetPlaces = FleetOptions['places'];

/** Who has what, as the database would say. */
class Places implements FleetPlaces {
  /** Owners by sid. */
  readonly tasks = new Map<string, string>();
  /** Channels by resource id. */
  readonly resources = new Map<string, { appid: string; cname: string; owner?: string }>();
  /** Owners by channel. */
  readonly homes = new Map<string, string>();
  /** Owners by sid. */
  readonly files = new Map<string, string>();
  /** Owners by id. */
  readonly mixes = new Map<string, string>();
  async ofTask(_appid: string, sid: string): Promise<string | undefined> {
    return this.tasks.get(sid);
  }
  async ofResource(resourceId: string) {
    return this.resources.get(resourceId);
  }
  async ofFiles(_appid: string, sid: string): Promise<string | undefined> {
    return this.files.get(sid);
  }
  async ofMix(mixId: string): Promise<string | undefined> {
    return this.mixes.get(mixId);
  }
  async home(_appid: string, cname: string): Promise<string | undefined> {
    return this.homes.get(cname);
  }
  claimHome(appid: string, cname: string): Promise<string | undefined> {
    return this.home(appid, cname);
  }
}

/** A node, and what its handlers were asked. */
export class SceneNode {
  readonly id: string;
  /** What each call on its recordings was given, by the name of the call. */
  readonly asked: { call: string; given: unknown[] }[] = [];
  /** Answers a call; may throw. */
  answer: (call: string, given: unknown[]) => unknown = (call) => ({ by: this.id, call });
  /** Headers that calls brought to the listener for nodes. */
  readonly carried: Record<string, unknown>[] = [];
  readonly published: object[] = [];
  readonly left: string[] = [];
  /** A session whose publisher is to come in elsewhere. */
  sentAway: string | undefined;
  url = '';
  nodeUrl = '';
  http!: FastifyInstance;
  inside!: FastifyInstance;
  links!: NodeLinks;
  copies!: Copies;
  readonly changes = new Changes();
  constructor(id: string) {
    this.id = id;
  }

  async close(): Promise<void> {
    await this.http.close();
    await this.inside.close();
    this.copies.close();
    await this.links.close();
  }
}

export type SceneOptions = {
  keysOf?: (id: string) => string[];
  callTimeoutMs?: number;
  whipElsewhere?: 'redirect' | 'proxy';
  /** Clock of the database. */
  databaseMs?: () => number;
  certificate?: string;
};

export class FleetScene {
  readonly places = new Places();
  readonly nodes = new Map<string, SceneNode>();
  /** Nodes whose leases are over. */
  readonly dead = new Set<string>();
  /** Since when others have not renewed their leases, milliseconds. */
  readonly seenMsAgo = new Map<string, number>();
  readonly #options: SceneOptions;

  static async open(ids: readonly string[], options: SceneOptions = {}): Promise<FleetScene> {
    const scene = new FleetScene(options);
    for (const id of ids) await scene.#add(id);
    return scene;
  }

  private constructor(options: SceneOptions) {
    this.#options = options;
  }

  node(id: string): SceneNode {
    const node = this.nodes.get(id);
    if (!node) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** What a node finds of the others that live. */
  others(id: string): Node[] {
    return this.#live().filter((each) => each.id !== id);
  }

  async close(): Promise<void> {
    for (const node of this.nodes.values()) await node.close();
  }

  async #add(id: string): Promise<void> {
    const { keysOf = () => [KEY], callTimeoutMs = 1_000, databaseMs = () => Date.now() } = this.#options;
    const { whipElsewhere = 'redirect', certificate } = this.#options;
    const node = new SceneNode(id);
    const log = pino({ level: 'silent' });
    const keys = keysOf(id);
    const links = new NodeLinks({ keys, databaseMs, tls: undefined });
    node.copies = new Copies({ links, clock: systemClock, databaseMs, log });
    const fleet = new Fleet({
      ...{ self: id, places: this.places, links, clock: systemClock, log, callTimeoutMs, copies: node.copies },
      directory: new NodeDirectory(
        { live: async () => this.#live() },
        { ...systemClock, monoUs: () => clockUs++ * 1e7 },
      ),
      holds: () => false,
      syncStopTimeoutMs: callTimeoutMs,
    });
    const recordings = new Proxy({}, { get: (_, call) => this.#handler(node, String(call)) });
    const api = {
      recordings,
      fleet,
      customers: [{ id: 'id', secret: 'se:cret', apps: undefined }],
      isApp: (appid: string) => appid === APP,
      participants: (_appid: string, cname: string) => [{ at: id, cname }],
      thumbnails: {
        of: async (_appid: string, cname: string, uid: string) => ({
          ...{ jpeg: Buffer.from(`${id} ${cname} ${uid}`), etag: `"${id}"`, takenMs: 0 },
        }),
      },
      dashboard: { link: this.#handler(node, 'link'), keepCall: () => {} },
      backlog: { list: async () => [], retry: async () => true },
      notifications: {},
      mixes: new Proxy({}, { get: (_, call) => this.#handler(node, String(call)) }),
      live: {
        recordings: new Proxy({}, { get: (_, call) => this.#handler(node, String(call)) }),
        tokens: new WatchTokens({ keys, clock: systemClock, lifeS: 60 }),
        origins: ['*'],
      },
    } as unknown as RecordingApi;
    const whip: WhipOptions = {
      endpoint: {
        async publish(request) {
          node.published.push(request);
          return { sessionId: `session-of-${id}`, answer: 'v=0\r\n', etag: '"e"' };
        },
        trickle: () => {},
        leave: (sessionId) => void node.left.push(sessionId),
        isSentAway: (sessionId) => sessionId === node.sentAway,
      },
      apps: { find: (appid) => (appid === APP ? { appid, certificate } : undefined) },
      clock: systemClock,
    };
    const whipFleet = (elsewhere: 'redirect' | 'proxy' | 'tell') =>
      new WhipFleet({ fleet, elsewhere, keys, databaseMs });
    node.links = links;
    node.http = buildHttp({ log });
    recordingApi(node.http, api);
    node.http.register(whipRoutes, { ...whip, fleet: whipFleet(whipElsewhere) });
    node.inside = buildHttp({ log, takesRequestIds: true });
    node.inside.addHook('onRequest', async ({ headers, url }) => {
      if (url !== CHANGES_PATH) node.carried.push(headers);
    });
    const { changes } = node;
    const guard = { fleet, signatures: new Signatures(keys), changes, clock: systemClock, databaseMs };
    nodeApi(node.inside, guard, async (routes) => {
      routes.register(carriedRoutes(api));
      routes.register(whipRoutes, { ...whip, fleet: whipFleet('tell') });
    });
    for (const app of [node.http, node.inside]) await app.listen({ host: '127.0.0.1', port: 0 });
    node.url = originOf(node.http);
    node.nodeUrl = originOf(node.inside);
    this.nodes.set(id, node);
  }

  #handler(node: SceneNode, call: string): unknown {
    if (call === 'about') return () => undefined;
    return async (...given: unknown[]) => {
      node.asked.push({ call, given });
      const reply = await node.answer(call, given);
      return call === 'start' ? { reply, storeRefusal: undefined } : reply;
    };
  }

  #live(): Node[] {
    return [...this.nodes.values()]
      .filter(({ id }) => !this.dead.has(id))
      .map(({ id, url, nodeUrl }) => ({
        ...{
          id,
          name: id,
          version: '1',
          wire: 2,
          nodeUrl,
          publicUrl: url,
          state: 'live',
          recordings: 0,
          publishers: 0,
        },
        ...{ capacity: { cores: 4, bytes: 8e9 }, load: { cores: 0, bytes: 0 }, calls: new Map() },
        seenMsAgo: this.seenMsAgo.get(id) ?? 0,
      }));
  }
}

/** Each look at this clock is later than the last by more than a directory is good for. */
let clockUs = 0;

function originOf(app: FastifyInstance): string {
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`;
}
