/**
 * openFleet: what makes a server a node of a fleet (ADR 0026). It takes requests of other nodes on a listener of its
 * own, carries calls to them, and keeps the homes of its channels.
 */
import type { AddressInfo } from 'node:net';
import type { Rooms } from '../channel/room/rooms.ts';
import type { WhipEndpoint } from '../channel/whip/endpoint.ts';
import type { Config } from '../config/load.ts';
import { environmentName } from '../config/settings.ts';
import type { RecordingApi } from '../http/api.ts';
import { NodeDirectory } from '../http/fleet/directory.ts';
import { Fleet } from '../http/fleet/fleet.ts';
import { NodeLinks } from '../http/fleet/links.ts';
import { nodeApi } from '../http/fleet/node-api.ts';
import { Signatures } from '../http/fleet/signature.ts';
import { WhipFleet } from '../http/fleet/whip-fleet.ts';
import { carriedRoutes } from '../http/recording-api.ts';
import { buildHttp, listen } from '../http/server.ts';
import { readAuthorities, readTls } from '../http/tls.ts';
import { type WhipOptions, whipRoutes } from '../http/whip.ts';
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { Recordings } from '../session/recordings.ts';
import type { Database } from '../store/database.ts';
import { NodeTables } from '../store/node-tables.ts';
import type { Ownership } from '../store/ownership.ts';
import { PlaceTables } from '../store/place-tables.ts';

export type FleetParts = {
  config: Config;
  database: Database;
  ownership: Ownership;
  recordings: Recordings;
  rooms: Rooms;
  whip: WhipEndpoint;
  clock: Clock;
  log: Log;
};

export type OpenFleet = {
  /** Carries calls that come in here. */
  fleet: Fleet;
  /** How many calls a second come for an app to other nodes. */
  callsElsewhere(appid: string): number;
  /** Sends publishers who come in here where they belong. */
  whipFleet: WhipFleet;
  /** Takes the same calls from other nodes, once `ready`. Resolves to the address that they use. */
  listen(api: RecordingApi, whip: WhipOptions, ready: Promise<void>): Promise<string>;
  /**
   * Of a draining server: gives up the homes where nothing is recorded, so that other nodes take those channels, and
   * has their publishers come in there.
   */
  leaveHomes(): Promise<void>;
  close(): Promise<void>;
};

/** How often homes are looked after. */
const SWEEP_MS = 5_000;

/** Throws a Fault when the certificates for requests between nodes cannot be used. */
export function openFleet({ config, database, ownership, recordings, rooms, whip, clock, log }: FleetParts): OpenFleet {
  const { owner: self } = ownership;
  const { fleetKey: keys } = config;
  const files = { certFile: config.nodeTlsCertFile, keyFile: config.nodeTlsKeyFile };
  const tls = files.certFile ? { ...readTls(files), ca: readAuthorities(config.nodeTlsCaFile) } : undefined;
  const databaseMs = () => ownership.clock.nowMs();
  const places = new PlaceTables(database);
  const links = new NodeLinks({ keys, databaseMs, tls });
  const directory = new NodeDirectory(new NodeTables(database), clock);
  const fleet = new Fleet({
    ...{ self, places, links, directory, clock, log },
    holds: (sid) => recordings.holds(sid),
    callTimeoutMs: config.callTimeoutMs,
    syncStopTimeoutMs: config.syncStopTimeoutS * 1000,
  });
  const http = buildHttp({
    log,
    tls: tls && { cert: tls.cert, key: tls.key, clientCa: tls.ca },
    legacyErrorCodes: config.legacyErrorCodes,
    takesRequestIds: true,
  });

  const sweep = async () => {
    const leaving = ownership.draining;
    if (leaving)
      for (const { appid, cname } of await places.unrecorded(self, rooms.occupied())) {
        log.info(
          { appid, cname },
          'nothing is recorded in a channel of this draining server: its publishers are sent away',
        );
        whip.sendAway(appid, cname);
      }
    const occupied = rooms.occupied();
    if (!leaving) await places.keepHomes(self, occupied);
    await places.releaseHomes(self, occupied, clock.nowMs(), leaving);
    for (const { appid, cname } of await places.elsewhere(self, occupied)) {
      log.warn({ appid, cname }, 'a channel is at home on another node now: its publishers are sent there');
      whip.sendAway(appid, cname);
    }
  };
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
    callsElsewhere: (appid) => directory.callsElsewhere(appid, self),
    whipFleet: new WhipFleet({ fleet, elsewhere: config.whipElsewhere, keys, databaseMs }),
    async listen(api, whipOptions, ready) {
      http.addHook('onRequest', () => ready);
      nodeApi(http, { fleet, signatures: new Signatures(keys), databaseMs }, async (routes) => {
        routes.register(carriedRoutes(api));
        const whipFleet = new WhipFleet({ fleet, elsewhere: 'tell', keys, databaseMs });
        routes.register(whipRoutes, { ...whipOptions, fleet: whipFleet });
      });
      const { nodeHost: host, nodePort } = config;
      const settings = `${environmentName('nodeHost')} and ${environmentName('nodePort')}`;
      await listen(http, { host, port: nodePort }, settings);
      const { port } = http.server.address() as AddressInfo;
      return config.nodeUrl || `${tls ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
    },
    leaveHomes: sweep,
    async close() {
      timer.cancel();
      await sweeping;
      await http.close();
      await links.close();
    },
  };
}
