/** createServer: the one place where the control process is put together. It is taken apart in the reverse order. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { feedDirOf } from '../channel/room/feed-socket.ts';
import { Rooms } from '../channel/room/rooms.ts';
import type { AppDirectory } from '../channel/whip/apps.ts';
import { WhipEndpoint } from '../channel/whip/endpoint.ts';
import { childEnvironment } from '../config/child-environment.ts';
import type { Config } from '../config/load.ts';
import type { RecordingApi } from '../http/api.ts';
import { docsRoutes } from '../http/docs.ts';
import { drainRoutes } from '../http/drain.ts';
import { Changes } from '../http/fleet/changes.ts';
import { healthRoute } from '../http/health.ts';
import { metricsRoute, openMetricsPort } from '../http/metrics.ts';
import { nodesRoute } from '../http/nodes.ts';
import { publishPageRoutes } from '../http/publish-page.ts';
import { recordingApi } from '../http/recording-api.ts';
import { buildHttp, listen, urlOf } from '../http/server.ts';
import { isPlainBeyondLoopback, readTls } from '../http/tls.ts';
import { traceCalls } from '../http/trace-calls.ts';
import { type WhipOptions, whipRoutes } from '../http/whip.ts';
import { WindowCounts } from '../http/window-counts.ts';
import { systemClock } from '../kernel/clock.ts';
import { EndpointGuard } from '../kernel/endpoint-guard.ts';
import { US } from '../kernel/time.ts';
import { Notifications } from '../notify/notifications.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { ProcessWatch } from '../observe/process-watch.ts';
import { Recordings } from '../session/recordings.ts';
import { baseName } from '../stages/mux/names.ts';
import { SpoolUsage } from '../stages/spool/spool-usage.ts';
import { KeyedJobs } from '../store/jobs.ts';
import { NodeTables } from '../store/node-tables.ts';
import { ObjectTables } from '../store/object-tables.ts';
import { OutboxTables } from '../store/outbox-tables.ts';
import { Ownership } from '../store/ownership.ts';
import { RecordingTables } from '../store/recording-tables.ts';
import { StrayTables } from '../store/stray-tables.ts';
import { requireNoTwin } from '../store/twin.ts';
import { Vault } from '../store/vault.ts';
import { Admission } from '../worker/admission.ts';
import { DiskWatch } from '../worker/disk-watch.ts';
import { Forks } from '../worker/forks.ts';
import { readMachine } from '../worker/machine-limits.ts';
import { readBootId } from '../worker/process-identity.ts';
import { Sharing } from '../worker/sharing.ts';
import { Supervisor } from '../worker/supervisor.ts';
import { isOnDiskOf, openBackup } from './backup.ts';
import { childEntry, present } from './bundled.ts';
import { compiledFolder } from './compiled.ts';
import { countRecordings } from './count-recordings.ts';
import { completeCredentials } from './credentials.ts';
import { openDashboard } from './dashboard.ts';
import { Endings } from './endings.ts';
import { folderIdentity } from './folder-identity.ts';
import type { Ground } from './ground.ts';
import { openLive } from './live/open-live.ts';
import { metricsSource } from './metrics-source.ts';
import { Moves } from './moves.ts';
import { allOf } from './observers.ts';
import { openDerived } from './open-derived.ts';
import { openKeeping } from './open-keeping.ts';
import { Pages } from './pages.ts';
import { channelPort, spoolPort } from './ports.ts';
import { pushPort } from './pushes.ts';
import { MIXING_RECORDERS, PAGE_RECORDERS, PASSING_RECORDERS, RECORDER_ENVIRONMENT } from './recorder-processes.ts';
import { secretKeys } from './secret-key.ts';
import { openTracing } from './trace-recordings.ts';
import { targetOpener, uploadPort } from './upload-port.ts';

const MB = 1024 * 1024;

export type AircheckServer = {
  /** Where the HTTP server answers, with the port it really has. */
  url: string;
  /** The configuration with the credentials that the server works with. */
  config: Config;
  /** True when credentials were made at this start. */
  madeCredentials: boolean;
  /**
   * Finishes recordings and uploads within `shutdownTimeoutS`, then ends everything. Calling it again waits for the
   * same end.
   */
  close(): Promise<void>;
  /**
   * Ends everything but recordings: recorders finish their files, publishers are let go, and no recording is noted as
   * ended, so the next start goes on with each.
   */
  leave(): Promise<void>;
  /**
   * After an uncaught error: takes no more calls and lets recorders finish their files. No recording is noted as ended,
   * so the next start goes on with each. Resolves when the process may end.
   */
  fail(error: unknown): Promise<void>;
};

/** Starts a server. Throws a Fault when it cannot, and then leaves nothing running, and its ground free. */
export async function createServer(given: Config, ground: Ground): Promise<AircheckServer> {
  const machineClock = systemClock;
  const log = createLog(given.logLevel);
  const endings = new Endings(log);

  try {
    endings.push(() => ground.lock.release());
    // Opened before this process grows: a fork copies what the system keeps about the memory of its parent.
    const children = childEnvironment({
      ...RECORDER_ENVIRONMENT,
      NODE_COMPILE_CACHE: compiledFolder(given.dataDir),
    });
    const forks = new Forks({ clock: machineClock, log, env: children, present });
    endings.push(() => forks.close());
    // One that cannot be opened is told of where it is needed first.
    const opened = ground.database.catch(() => undefined);
    endings.push(async () => (await opened)?.close());
    forks.open();
    const { config, made } = completeCredentials(given);
    const appOf = (appid: string) => config.apps.find((app) => app.appid === appid);
    const apps: AppDirectory = { find: appOf };
    const tls = config.tlsCertFile ? readTls({ certFile: config.tlsCertFile, keyFile: config.tlsKeyFile }) : undefined;
    if (isPlainBeyondLoopback({ host: config.host, tls: tls !== undefined }))
      log.warn(
        { host: config.host },
        'plain HTTP beyond this machine: passwords and tokens cross the network in the clear; set tlsCertFile and tlsKeyFile, or put a proxy that speaks TLS before it',
      );

    const database = await ground.database;
    const isInFleet = config.fleetKey.length > 0;

    const folder = await folderIdentity(config.dataDir, database);
    await requireNoTwin(database, folder, join(config.dataDir, 'folder-id'), machineClock);
    const bootId = readBootId();
    const processWatch = new ProcessWatch(machineClock);
    endings.push(() => processWatch.close());
    const tracing = await openTracing(config, { version: processWatch.version, clock: machineClock, log });
    endings.push(() => tracing?.close());
    const metrics = new Metrics();
    const ownership = await Ownership.begin({
      ...{ database, folder, bootId: bootId ?? folder, clock: machineClock, log },
      onRenewal: (tookUs) => (tookUs === undefined ? metrics.leaseRenewalFailed() : metrics.leaseRenewed(tookUs / US)),
    });
    endings.push(() => ownership.close());
    // Nodes go on with each other's recordings, and must agree on what time it is.
    const clock = isInFleet ? ownership.clock : machineClock;

    const feedDir = feedDirOf(config.dataDir);
    endings.push(() => rmSync(feedDir, { recursive: true, force: true }));
    const { rtcHost: host, rtcPort: port } = config;
    const rooms = new Rooms({
      ...{ clock, log, feedDir },
      bounds: {
        perEncoding: { maxBytes: config.keepStreamMb * MB, maxUs: config.keepS * US },
        totalBytes: config.keepTotalMb * MB,
      },
      limits: {
        total: config.maxPublishers,
        perApp: config.maxPublishersPerApp,
        tracksPerChannel: config.maxTracksPerChannel,
      },
    });
    endings.push(() => rooms.close());
    const whip = new WhipEndpoint({ clock, log, rooms, host, port, gatherTimeoutMs: config.iceGatherTimeoutMs });
    endings.push(() => whip.close());

    const pages = await Pages.open({
      ...{ dataDir: config.dataDir, folder, networks: config.pageNetworks, log },
      ...{ guard: config.pageGuard, user: config.pageUser },
      limits: {
        memoryBytes: config.pageMemoryMb * 1_000_000,
        processes: config.pageProcesses,
        cores: config.pageCores,
      },
    });
    // Swept after the processes that waited with a browser have ended, because they leave their folders.
    endings.push(() => pages.sweep());
    const { pagesReady } = config;
    const kept = pagesReady > 0 ? { count: pagesReady, prepare: () => pages.prepareCommand() } : undefined;

    const entry = childEntry();
    log.debug({ entry }, 'children begin there');
    const supervisor = new Supervisor({
      clock,
      log,
      forks,
      entry,
      args: ['recorder'],
      env: children,
      completeArgs: ['complete'],
      ofMode: {
        mix: MIXING_RECORDERS,
        individual: PASSING_RECORDERS,
        web: { ...PAGE_RECORDERS, ...(kept && { ready: kept }) },
      },
      readyTimeoutMs: config.recorderReadyTimeoutS * 1000,
      stopTimeoutMs: config.recorderStopTimeoutS * 1000,
      warmRecorders: config.warmRecorders,
      sharing: new Sharing(config.recordingsPerRecorder),
      completeParallel: config.completeParallel,
      completeTimeoutMs: config.completeTimeoutS * 1000,
    });
    endings.push(() => supervisor.close());

    const webhookOf = (appid: string) => appOf(appid)?.notifications;
    const outbox = new OutboxTables(database);
    const notifications = new Notifications({
      tables: outbox,
      // Deliveries mostly wait for receivers; a few that hang must not hold up the others.
      jobs: new KeyedJobs({ database, queue: 'notifications', log, clock, parallel: 32 }),
      webhookOf,
      shared: !database.exclusive,
      configured: config.apps.some((app) => app.notifications !== undefined),
      clock,
      log,
      retry: { forMs: config.notifyRetryHours * 3_600_000, maxRetries: config.notifyMaxRetries },
      timeoutMs: config.notifyTimeoutS * 1000,
      retentionDays: config.eventRetentionDays,
    });
    endings.push(() => notifications.close());
    await notifications.start();

    const spoolRoot = join(config.dataDir, 'spool');
    mkdirSync(spoolRoot, { recursive: true, mode: 0o700 });
    const spool = spoolPort(spoolRoot, config.spoolReserveMb * 1_000_000);
    const vault = new Vault(secretKeys(config.dataDir, config));
    const tables = new RecordingTables(database, ownership, vault, notifications.outbox, isInFleet);
    const objects = new ObjectTables({ database, vault, folder, clock, log });
    const guard = new EndpointGuard({ networks: config.storageNetworks, plainHttp: config.storagePlainHttp });
    const stores = { localStorageDir: config.localStorageDir, guard, clock, log };
    const openTarget = targetOpener(stores);
    const backup = await openBackup(config);
    endings.push(() => backup.close());
    // Nothing waits for this test: the backup matters only once a customer's store is away.
    void backup.test(`${folder}_test`, clock).then((fault) => {
      const text = 'the backup store takes no files: those of a store that is away would wait on the spool';
      if (fault) log.warn({ why: fault.message }, text);
    });
    const removeSpool = (sid: string) => spool.remove(sid);
    const moves = new Moves({
      tables: objects,
      // Each server has a queue of its own: only the server that keeps a file can move it on.
      jobs: new KeyedJobs({ database, queue: `moves-${folder}`, log, clock, parallel: 4 }),
      backup,
      openTarget,
      tell: (sid, what) => tables.tellAfterwards(sid, what, clock.nowMs()),
      removeSpool,
      transitDir: join(config.dataDir, 'transit'),
      keepMs: config.backupKeepHours * 3_600_000,
      clock,
      log,
    });
    endings.push(() => moves.close());
    await moves.start();
    const strayTables = new StrayTables({ database, ownership, objects, vault });
    const admission = new Admission({
      clock,
      limits: {
        cpuPercent: config.admissionCpuPercent,
        memoryPercent: config.admissionMemoryPercent,
        spoolFreeBytes: config.admissionSpoolMb * 1_000_000,
      },
      machine: () => readMachine(spoolRoot),
      running: () => supervisor.atWork(),
      joins: (plan) => supervisor.hasRoomFor(plan),
      spoolRefusalOf: (appid) => diskWatch.refusalOf(appid),
    });

    const changes = new Changes();
    const recordings = new Recordings({
      pages,
      pushes: pushPort(config.pushNetworks),
      ...{ imageNetworks: config.imageNetworks, lowestRung: config.lowestRung, standby: config.standby },
      store: tables,
      channel: channelPort(rooms, (who) => joined?.openFeed(who) ?? rooms.openFeed(who), whip, apps, clock),
      recorders: supervisor,
      uploads: uploadPort({
        ...stores,
        testWrites: config.storageTest,
        backup: { store: backup, afterMs: config.backupAfterS * 1000 },
        ledgerOf: (hold) => objects.open(hold),
        certaintyOf: isInFleet ? (hold) => ownership.certainty(hold) : undefined,
        moves,
      }),
      spool,
      strays: strayTables,
      standbys: { adopt: async (sid, generation) => joined?.standby.adopt(sid, generation) },
      ...{ clock, bootId, log },
      observer: allOf([countRecordings(metrics), tracing?.recordings], () => joined?.standby.observer),
      onChanged: (sid) => changes.tell(sid),
      syncStopTimeoutMs: config.syncStopTimeoutS * 1000,
      resourceLifeMs: config.resourceLifeS * 1000,
      callTimeoutMs: config.callTimeoutMs,
      maxRecordings: config.maxRecordings,
      admission,
      start: {
        clampBitrate: config.clampBitrate,
        refuseIndividualMp4: config.refuseIndividualMp4,
        requireUidGroup: config.requireUidGroup,
      },
      retentionDaysOf: (appid) => appOf(appid)?.retentionDays ?? config.retentionDays,
      mayRecord: (appid) => appOf(appid)?.recording === true,
      sliceStartTimeUnit: config.sliceStartTimeUnit,
      forceExtinfComma: config.forceExtinfComma,
      ...{ failoverNames: config.failoverNames, storeReports: config.qualityReport },
      mp4Limit: { durationMs: config.mp4MaxDurationS * 1000, bytes: config.mp4MaxBytes },
      baseName,
    });

    const found = { spool, backup, openTarget, objectsOf: (sid: string) => objects.objectsOf(sid) };
    const { cuts, mixes, ...derived } = await openDerived({
      ...{ ...found, config, recordings, database, vault, folder, inFleet: isInFleet, owner: ownership.owner },
      ...{ forks, entry, env: children, clock, log },
    });
    endings.push(() => derived.close());
    const live = await openLive({ ...found, config, recordings, clock, log });
    endings.push(() => live.close());
    const keeping = await openKeeping({
      ...{ dataDir: config.dataDir, database, vault, folder, inFleet: isInFleet, backup, openTarget, spool },
      ...{ reserveBytes: config.spoolReserveMb * 1_000_000, copies: [cuts, live] },
      ...{ forks, entry, env: children, clock, log },
    });
    endings.push(() => keeping.close());

    const usage = new SpoolUsage(spoolRoot);
    const diskWatch: DiskWatch = new DiskWatch({
      clock,
      log,
      spoolRoot,
      limits: {
        reserveBytes: config.spoolReserveMb * 1_000_000,
        totalBytes: config.spoolTotalMb * 1_000_000,
        recordingBytes: config.spoolRecordingMb * 1_000_000,
        appPercent: config.spoolAppPercent,
      },
      isShared: config.apps.length > 1,
      measure: () => usage.measure(),
      backupBytes: async () => (isOnDiskOf(spoolRoot, config) ? objects.backupBytes() : new Map<string, number>()),
      recordings: () => recordings.list(),
      end: (sid, why) => recordings.endForRoom(sid, why),
    });
    endings.push(() => diskWatch.close());

    const http = buildHttp({ log, tls, legacyErrorCodes: config.legacyErrorCodes });
    endings.push(() => http.close());
    if (tracing) traceCalls(http, tracing.recordings.onCall);
    // Calls about a recording of an earlier server wait until it has been taken up.
    const ready = Promise.withResolvers<void>();
    ready.promise.catch(() => {});
    http.addHook('onRequest', () => ready.promise);
    healthRoute(http, async () => {
      await database.query('select 1');
      return { recordings: recordings.size };
    });
    const source = metricsSource({
      ...{ metrics, rooms, objects, outbox, mixes, process: processWatch, clock, log },
      recordings: () => recordings.list(),
      atWork: () => supervisor.atWork(),
      reception: whip.reception,
      disk: diskWatch,
      feedsBetweenNodes: () => joined?.feeds,
      standbys: () => joined?.standby,
      cores: () => readMachine(spoolRoot).cores,
    });
    metricsRoute(http, { customers: config.customers, source });
    const { metricsHost, metricsPort } = config;
    if (metricsPort > 0) {
      const scraped = await openMetricsPort(source, { host: metricsHost, port: metricsPort, log });
      endings.push(() => scraped.close());
    }
    const joined = isInFleet
      ? // Most servers are in none, and need not load it.
        await (await import('./fleet.ts')).openFleet({
          ...{ config, database, ownership, recordings, rooms, feedDir, whip, metrics, changes, clock, log },
          standby: { vault, admission },
          strays: { tables: strayTables, objects, spool, recorders: supervisor, openTarget, backup },
        })
      : undefined;
    endings.push(() => joined?.close());
    const drain = async (draining: boolean) => {
      recordings.drain(draining);
      await ownership.drain(draining);
      await joined?.drain(draining);
    };
    const nodes = new NodeTables(database);
    const { version } = processWatch;
    const { signedIn, closeThumbnails, ...shown } = openDashboard(http, {
      ...{ database, config, rooms, recordings, mixes, openTarget, version, metrics, clock, log },
      ...{ forks, entry, env: children },
    });
    endings.push(closeThumbnails);
    nodesRoute(http, {
      ...{ customers: config.customers, signedIn, self: ownership.owner },
      list: () => nodes.list(),
      disk: () => diskWatch.seen,
    });
    drainRoutes(http, { customers: config.customers, drain });
    const calls = new WindowCounts(clock, joined?.callsElsewhere);
    const api: RecordingApi = {
      recordings,
      ...(joined && { fleet: joined.fleet }),
      ...shown,
      signedIn,
      notifications,
      ...(config.rateLimitPerS > 0 && { rateLimit: { perS: config.rateLimitPerS, clock, counts: calls } }),
      notifySourceIps: config.notifySourceIps,
      customers: config.customers,
      isApp: (appid) => apps.find(appid) !== undefined,
      backlog: {
        list: (appid) => moves.list(appid),
        retry: async (appid, sid) => recordings.retryUpload(appid, sid) || moves.retry(appid, sid),
      },
      cuts,
      mixes,
      live: live.api,
      retention: keeping.retention,
      removals: keeping.removals,
      participants: (appid, cname) => rooms.participants(appid, cname),
    };
    recordingApi(http, api);
    const whipOptions: WhipOptions = { endpoint: whip, apps, clock, checkPublishPrivileges: true };
    http.register(whipRoutes, { ...whipOptions, fleet: joined?.whipFleet });
    http.register(publishPageRoutes, { isInFleet });
    http.register(docsRoutes);
    // The port is taken before recordings are taken up; without it they would have to be ended again.
    await listen(http, config);
    const url = urlOf(http, tls ? 'https' : 'http');
    const nodeUrl = await joined?.listen(api, whipOptions, ready.promise);
    let isLeft = false;
    endings.push(() => isLeft || recordings.close(0));
    try {
      await recordings.recover();
      await mixes.start();
      await diskWatch.start();
      await ownership.announce(
        {
          ...{ name: config.nodeName, version: processWatch.version, nodeUrl },
          publicUrl: nodeUrl && (config.publicUrl || url),
        },
        () => ({
          ...{ ...admission.carries(), recordings: recordings.size, publishers: rooms.held.places },
          calls: Object.fromEntries([...calls.take()].filter(([appid]) => appOf(appid) !== undefined)),
        }),
      );
    } catch (error) {
      ready.reject(error);
      throw error;
    }
    ready.resolve();
    supervisor.warmUp();
    // Before anything else ends: calls that wait for a stop are still answered.
    const finish = [
      () => drain(true),
      // Other nodes take what is new, and what can move, while this one ends what it has.
      () => joined?.handOver(),
      () => recordings.close(config.shutdownTimeoutS * 1000),
    ];
    const leave = [
      () => {
        isLeft = true;
        recordings.drain(true);
      },
      () => supervisor.release(config.recorderStopTimeoutS * 1000),
      () => recordings.leave(),
    ];
    return {
      url,
      config,
      madeCredentials: made,
      close: () => endings.end(finish),
      leave: () => endings.end(leave),
      async fail(error) {
        log.fatal({ err: error }, 'an error that nobody caught: the server ends, and recorders finish their files');
        void http.close().catch(() => {});
        await supervisor.release(config.recorderStopTimeoutS * 1000);
      },
    };
  } catch (error) {
    await endings.end();
    throw error;
  }
}
