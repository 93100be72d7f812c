/**
 * openFleet: what makes a server a node of a fleet (ADR 0026). It takes requests of other nodes on a listener of its
 * own, carries calls to them, keeps the homes of its channels, gives their feeds to other nodes and reads theirs (ADR
 * 0032), hands over what it records when it drains (ADR 0029), and brings back what other nodes took over (ADR 0027).
 */
import type { AddressInfo } from 'node:net';
import type { Rooms } from '../channel/room/rooms.ts';
import type { WhipEndpoint } from '../channel/whip/endpoint.ts';
import type { Config } from '../config/load.ts';
import { environmentName } from '../config/settings.ts';
import type { RecordingApi } from '../http/api.ts';
import { requireAcquaintance } from '../http/fleet/acquaintance.ts';
import type { Changes } from '../http/fleet/changes.ts';
import { Copies } from '../http/fleet/copies.ts';
import { NodeDirectory } from '../http/fleet/directory.ts';
import { feedRoutes, takeStreams } from '../http/fleet/feeds/feed-routes.ts';
import { HomeFeeds } from '../http/fleet/feeds/home-feeds.ts';
import { Fleet } from '../http/fleet/fleet.ts';
import { NodeLinks } from '../http/fleet/links.ts';
import { nodeApi, refusalOf } from '../http/fleet/node-api.ts';
import { Signatures } from '../http/fleet/signature.ts';
import { WhipFleet } from '../http/fleet/whip-fleet.ts';
import { carriedRoutes } from '../http/recording-api.ts';
import { buildHttp, listen } from '../http/server.ts';
import { readAuthorities, readTls } from '../http/tls.ts';
import { type WhipOptions, whipRoutes } from '../http/whip.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ChannelPort } from '../session/ports.ts';
import type { Recordings } from '../session/recordings.ts';
import type { Database } from '../store/database.ts';
import { NodeTables } from '../store/node-tables.ts';
import type { ObjectTables } from '../store/object-tables.ts';
import type { Ownership } from '../store/ownership.ts';
import { PlaceTables } from '../store/place-tables.ts';
import { FleetFeeds } from './fleet-feeds.ts';
import { type OpenedStandby, type OpenStandby, openStandby } from './standby/open-standby.ts';
import { openStrays, type StraysOptions } from './strays.ts';

export type FleetParts = {
  config: Config;
  database: Database;
  ownership: Ownership;
  recordings: Recordings;
  rooms: Rooms;
  /** Folder for the sockets of feeds. */
  feedDir: string;
  metrics: Pick<Metrics, 'placedElsewhere' | 'feedBroken' | 'standbyTookOver'>;
  whip: WhipEndpoint;
  /** What strayed from this node is brought back with these. */
  strays: Pick<StraysOptions, 'tables' | 'spool' | 'recorders' | 'openTarget' | 'backup'> & { objects: ObjectTables };
  /** What standbys here need besides (ADR 0037). */
  standby: Pick<OpenStandby, 'vault' | 'admission'>;
  /** Told of each change of a recording here. */
  changes: Changes;
  clock: Clock;
  log: Log;
};

export type OpenFleet = {
  /** Carries calls that come in here. */
  fleet: Fleet;
  /** Opens the feed of a recording where its channel is at home. */
  openFeed: ChannelPort['openFeed'];
  /** Feeds between nodes: those that other nodes read of this one's channels, and that this one reads of theirs. */
  readonly feeds: { given: number; taken: number };
  /** The second recorders of this node, and what is told of those that its own recordings want elsewhere. */
  standby: OpenedStandby;
  /** How many calls a second come for an app to other nodes. */
  callsElsewhere(appid: string): number;
  /** Sends publishers who come in here where they belong. */
  whipFleet: WhipFleet;
  /**
   * Takes the same calls from other nodes, once `ready`. Resolves to the address that they use. Throws a Fault when the
   * port cannot be had, and when the nodes that live refuse the key of this one.
   */
  listen(api: RecordingApi, whip: WhipOptions, ready: Promise<void>): Promise<string>;
  /**
   * Of a draining server: offers what is recorded to other nodes, gives up the homes where nothing is, so that other
   * nodes take those channels, and has their publishers come in there. Or takes the offers back. Rejects when the
   * database cannot be written.
   */
  drain(draining: boolean): Promise<void>;
  /**
   * Of a draining server that is about to end: resolves once nothing is left that another node could take over, or when
   * none has in time.
   */
  handOver(): Promise<void>;
  close(): Promise<void>;
};

/** How often homes are looked after. */
const SWEEP_MS = 5_000;
/** Publishers who do not move by themselves to their channel's new home are disconnected after this time. */
const MOVE_MS = 10_000;

/** Throws a Fault when the certificates for requests between nodes cannot be used. */
export async function openFleet(parts: FleetParts): Promise<OpenFleet> {
  const { config, database, ownership, recordings, rooms, feedDir, whip, metrics, changes, clock, log } = parts;
  const { owner: self } = ownership;
  const { fleetKey: keys } = config;
  const files = { certFile: config.nodeTlsCertFile, keyFile: config.nodeTlsKeyFile };
  const tls = files.certFile ? { ...readTls(files), ca: readAuthorities(config.nodeTlsCaFile) } : undefined;
  const databaseMs = () => ownership.clock.nowMs();
  const places = new PlaceTables(database);
  const links = new NodeLinks({ keys, databaseMs, tls });
  const copies = new Copies({ links, clock, databaseMs, log });
  const directory = new NodeDirectory(new NodeTables(database), clock);
  const fleet = new Fleet({
    ...{ self, places, links, copies, directory, clock, log },
    holds: (sid) => recordings.holds(sid),
    callTimeoutMs: config.callTimeoutMs,
    syncStopTimeoutMs: config.syncStopTimeoutS * 1000,
    onPlaced: () => metrics.placedElsewhere(),
  });
  const given = new HomeFeeds({ rooms, clock, log });
  const taken = new FleetFeeds({
    ...{ self, places, directory, links, given, rooms, feedDir, clock, log },
    onBroken: () => metrics.feedBroken(),
  });
  const http = buildHttp({
    log,
    tls: tls && { cert: tls.cert, key: tls.key, clientCa: tls.ca },
    legacyErrorCodes: config.legacyErrorCodes,
    takesRequestIds: true,
  });

  const sweep = async () => {
    const leaving = ownership.draining;
    const occupied = rooms.occupied();
    if (!leaving) await places.keepHomes(self, occupied, taken.channels);
    // Where a draining server records nothing, publishers who move find the channel a new home.
    await places.releaseHomes(self, leaving ? [] : occupied, clock.nowMs(), leaving);
    if (leaving)
      for (const { appid, cname } of await places.unrecorded(self, occupied)) {
        log.info(
          { appid, cname },
          'nothing is recorded in a channel of this draining server: its publishers are sent away',
        );
        void whip.sendAway(appid, cname, MOVE_MS);
      }
    for (const { appid, cname } of await places.elsewhere(self, occupied)) {
      log.warn({ appid, cname }, 'a channel is at home on another node now: its publishers are sent there');
      void whip.sendAway(appid, cname, MOVE_MS);
    }
  };
  const { handOverTimeoutS } = config;
  const isAlone = async () => !(await directory.all()).some(({ id, state }) => id !== self && state === 'live');
  const { objects, ...forStrays } = parts.strays;
  const strays = await openStrays({
    ...{ ...forStrays, objects, database, clock, log },
    isHeld: (sid) => recordings.holds(sid),
  });
  const standby = await openStandby({
    ...{ config, database, ownership, links, directory, feeds: taken, recorders: parts.strays.recorders, clock, log },
    ...parts.standby,
    onTakenOver: (mode) => metrics.standbyTookOver(mode),
  });
  let sweeping: Promise<void> | undefined;
  const timer = clock.every(SWEEP_MS, () => {
    sweeping ??= sweep()
      .catch((error) => log.debug({ error: messageOf(error) }, 'homes of channels could not be looked after'))
      .finally(() => {
        sweeping = undefined;
      });
  });

  return {
    fleet,
    openFeed: async (who) => standby.takeFeed(who.sid) ?? taken.open(who),
    standby,
    get feeds() {
      return { given: given.size, taken: taken.channels.length };
    },
    callsElsewhere: (appid) => directory.callsElsewhere(appid, self),
    whipFleet: new WhipFleet({ fleet, elsewhere: config.whipElsewhere, keys, databaseMs }),
    async listen(api, whipOptions, ready) {
      await requireAcquaintance(links, await directory.all());
      http.addHook('onRequest', () => ready);
      const guard = { fleet, signatures: new Signatures(keys), changes, clock, databaseMs };
      takeStreams(http, given, (request) => refusalOf(guard, request));
      nodeApi(http, guard, async (routes) => {
        routes.register(carriedRoutes(api));
        routes.register(feedRoutes(given));
        const whipFleet = new WhipFleet({ fleet, elsewhere: 'tell', keys, databaseMs });
        routes.register(whipRoutes, { ...whipOptions, fleet: whipFleet });
      });
      const { nodeHost: host, nodePort } = config;
      const settings = `${environmentName('nodeHost')} and ${environmentName('nodePort')}`;
      await listen(http, { host, port: nodePort }, settings);
      const { port } = http.server.address() as AddressInfo;
      return config.nodeUrl || `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    },
    async drain(draining) {
      if (handOverTimeoutS > 0 || !draining) await recordings.offer(draining);
      if (draining) await sweep();
    },
    async handOver() {
      if (handOverTimeoutS > 0 && !(await isAlone())) await recordings.handedOver(handOverTimeoutS * 1000);
    },
    async close() {
      timer.cancel();
      await sweeping;
      await strays.close();
      await standby.close();
      await taken.close();
      given.close();
      await http.close();
      copies.close();
      await links.close();
    },
  };
}
