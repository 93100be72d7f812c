/** openStandby: hot standbys of a node, both ways (ADR 0037): those that it is for others, and those it wants. */
import { join } from 'node:path';
import type { Config } from '../../config/load.ts';
import { CHANGES_PATH, UNTIL } from '../../http/fleet/changes.ts';
import type { NodeDirectory } from '../../http/fleet/directory.ts';
import type { NodeLinks } from '../../http/fleet/links.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Log } from '../../observe/log.ts';
import type { StandbySnapshot } from '../../observe/metrics.ts';
import type { AdoptedRun, Feed, RecorderPort, TaskObserver } from '../../session/ports.ts';
import type { Database } from '../../store/database.ts';
import type { Ownership } from '../../store/ownership.ts';
import { StandbyTables } from '../../store/standby-tables.ts';
import type { Vault } from '../../store/vault.ts';
import type { FleetFeeds } from '../fleet-feeds.ts';
import { StandbyNeeds } from './standby-needs.ts';
import { Standbys, type StandbysOptions } from './standbys.ts';

export type OpenStandby = {
  config: Config;
  database: Database;
  ownership: Ownership;
  links: Pick<NodeLinks, 'follow'>;
  directory: Pick<NodeDirectory, 'find'>;
  feeds: FleetFeeds;
  recorders: Pick<RecorderPort, 'launch'>;
  admission: StandbysOptions['admission'];
  vault: Vault;
  /** A recording of this mode goes on here with what its standby made. */
  onTakenOver(mode: string): void;
  clock: Clock;
  log: Log;
};

export type OpenedStandby = {
  /** Hears what happens to the recordings of this node. */
  observer: TaskObserver;
  /** What the standbys of this node keep. */
  readonly held: StandbySnapshot;
  /** How many recordings of this node another one protects, and how many that want it none does. */
  counts(): Promise<{ protected: number; exposed: number }>;
  adopt(sid: string, generation: number): Promise<AdoptedRun | undefined>;
  takeFeed(sid: string): Feed | undefined;
  close(): Promise<void>;
};

export async function openStandby(options: OpenStandby): Promise<OpenedStandby> {
  const { config, database, ownership, links, directory, feeds, recorders, admission, vault, clock, log } = options;
  const tables = new StandbyTables({ database, vault, self: ownership.owner });
  const needs = new StandbyNeeds({ tables, homeMoment: (sid, us) => feeds.homeMoment(sid, us), clock, log });
  const standbys = new Standbys({
    ...{ self: ownership.owner, name: config.nodeName, tables, feeds, recorders, admission, clock, log },
    onTakenOver: options.onTakenOver,
    async follow(node, onChange, signal) {
      const found = await directory.find(node);
      const onLine = (line: string) => line.startsWith(UNTIL) || onChange(line);
      if (found) await links.follow(found, CHANGES_PATH, onLine, signal);
    },
    isLeaving: () => ownership.draining,
    root: join(config.dataDir, 'standby'),
    spoolRoot: join(config.dataDir, 'spool'),
    minFreeBytes: config.spoolReserveMb * 1_000_000,
    given: { imageNetworks: config.imageNetworks, lowestRung: config.lowestRung },
  });
  await standbys.start();
  return {
    observer: needs,
    get held() {
      return standbys.held;
    },
    counts: () => tables.counts(),
    adopt: (sid, generation) => standbys.adopt(sid, generation),
    takeFeed: (sid) => standbys.takeFeed(sid),
    async close() {
      await needs.close();
      await standbys.close();
    },
  };
}
