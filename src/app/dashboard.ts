/** What the dashboard needs of the server, put together. */
import type { Rooms } from '../channel/room/rooms.ts';
import type { Config } from '../config/load.ts';
import type { DashboardApi } from '../http/api.ts';
import { Changes } from '../http/dashboard/changes.ts';
import { callKeeper } from '../http/dashboard/kept-calls.ts';
import { dashboardPage } from '../http/dashboard/page.ts';
import { Sessions } from '../http/dashboard/sessions.ts';
import { signInRoutes } from '../http/dashboard/sign-in.ts';
import type { buildHttp } from '../http/server.ts';
import { WindowCounts } from '../http/window-counts.ts';
import type { Clock } from '../kernel/clock.ts';
import type { Log } from '../observe/log.ts';
import type { Recordings } from '../session/recordings.ts';
import type { Database } from '../store/database.ts';
import { NodeTables } from '../store/node-tables.ts';
import { RecordingList } from '../store/recording-list.ts';
import { SessionTables } from '../store/session-tables.ts';
import { StoredFiles } from '../store/stored-files.ts';
import { type FileLinksOptions, linkToFile } from './file-links.ts';
import type { Mixes } from './mixes/mixes.ts';
import { type OpenThumbnails, openThumbnails } from './open-thumbnails.ts';

export type DashboardOptions = Pick<FileLinksOptions, 'openTarget'> &
  Pick<OpenThumbnails, 'forks' | 'entry' | 'env' | 'metrics'> & {
    recordings: Pick<Recordings, 'report' | 'storageOf'>;
    mixes: Pick<Mixes, 'listOf'>;
    database: Database;
    config: Config;
    rooms: Pick<Rooms, 'occupied' | 'publicationsOf'>;
    version: string;
    clock: Clock;
    log: Log;
  };

/** Adds the dashboard and its sign-in to `http`, and tells what the API needs for it, and what ends its process. */
export function openDashboard(http: ReturnType<typeof buildHttp>, options: DashboardOptions) {
  const { database, config, rooms, recordings, mixes, openTarget, version, clock, log, ...processes } = options;
  const { customers, apps, localStorageDir, thumbnails: isOn } = config;
  const sessions = new Sessions({ tables: new SessionTables(database), customers });
  signInRoutes(http, {
    ...{ sessions, customers, version, counts: new WindowCounts(clock) },
    appids: () => apps.map(({ appid }) => appid),
  });
  dashboardPage(http);
  const list = new RecordingList(database);
  const files = new StoredFiles(database);
  const links: FileLinksOptions = {
    ...{ openTarget, clock },
    find: (appid, sid) => recordings.report(appid, sid),
    fileOf: (appid, sid, name) => files.find(appid, sid, name),
    storageOf: (sid) => recordings.storageOf(sid),
  };
  const nodes = new NodeTables(database);
  const dashboard: DashboardApi = {
    ...{ files, localStorageDir, clock, hasThumbnails: isOn },
    link: (appid, sid, name, request) => linkToFile(links, { appid, sid, name }, request),
    changes: new Changes({ ...{ list, clock, log }, mixesOf: (appid, sids) => mixes.listOf(appid, sids) }),
    keepCall: callKeeper({ files, clock }),
    channels: async (appid) => {
      const here = rooms.occupied().flatMap((each) => (each.appid === appid ? [each.cname] : []));
      return [...new Set([...here, ...(await nodes.channels(appid))])].sort();
    },
  };
  const signedIn: Sessions['customerOf'] = (request) => sessions.customerOf(request);
  return { list, dashboard, signedIn, ...openThumbnails({ ...processes, isOn, rooms, clock, log }) };
}
