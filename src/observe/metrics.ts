/**
 * Metrics: what Prometheus reads of a server, in its text format (version 0.0.4). Some are counted as things happen;
 * the others are a snapshot of the server's parts, taken at each scrape.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { CATALOG, type MetricAbout, type MetricKey } from './catalog.ts';

/** A recorder at work, as it told of itself last. */
export type RecorderSample = {
  sid: string;
  appid: string;
  mode: string;
  /** How many rungs are taken from the picture (ADR 0023); undefined where none is encoded. */
  depth: number | undefined;
  lagUs: number;
  /** Of the process, and of the programs of a web page. */
  cpuUs: number;
  memoryBytes: number;
};

/** What is known of single recordings. */
export type AppsSnapshot = {
  recordings: readonly { appid: string; mode: string; state: string }[];
  recorders: readonly RecorderSample[];
  feeds: readonly { sid: string; appid: string; mode: string; backlogAgeUs: number }[];
};

/** What the database says; bytes, and seconds of age. */
export type StoredSnapshot = {
  uploads: readonly { place: 'spool' | 'backup' | 'away'; files: number; bytes: number; oldestS: number }[];
  webhooks: { pending: number; oldestS: number };
  /** Recordings of this server that want a standby; undefined outside of a fleet. */
  standbys?: { protected: number; exposed: number } | undefined;
  mixes: { queued: number; running: number };
};

/** Second recorders of a node; slices are those of the one that keeps most. */
export type StandbySnapshot = { recorders: number; lagSlices: number; bytes: number };

/** What is known of the server. */
export type ServerSnapshot = {
  channel: { publishers: number; channels: number; keptBytes: number; droppedPackets: number };
  /** Undefined outside of a fleet. */
  feedsBetweenNodes?: { given: number; taken: number } | undefined;
  /** What second recorders here keep; undefined likewise. */
  standbys?: StandbySnapshot | undefined;
  reception: { received: number; lost: number; recovered: number };
  spool: { bytes: number; freeBytes: number; sizeBytes: number };
  /** Share of all cores, 1 for all. */
  load: number;
  /** Undefined where the database did not answer. */
  stored: StoredSnapshot | undefined;
  process: ProcessSnapshot;
};

export type ProcessSnapshot = {
  version: string;
  node: string;
  cpuS: number;
  residentBytes: number;
  heapBytes: number;
  startedS: number;
  /** How late timers were since the last snapshot. */
  loopP99S: number;
  loopMaxS: number;
};

/** One value of a metric, with the labels' values in the catalog's order. */
type Sample = [key: MetricKey, value: number, ...labels: string[]];

export class Metrics {
  readonly #counted = new Registry();
  readonly #starts = histogram('starts', this.#counted);
  readonly #ended = counter('ended', this.#counted);
  readonly #runsLost = counter('runsLost', this.#counted);
  readonly #degradations = counter('degradations', this.#counted);
  readonly #feedBreaks = counter('feedBreaks', this.#counted);
  readonly #placed = counter('placed', this.#counted);
  readonly #takeovers = counter('standbyTakeovers', this.#counted);
  readonly #thumbnails = counter('thumbnails', this.#counted);
  readonly #renewals = histogram('renewals', this.#counted);
  readonly #renewalFailures = counter('renewalFailures', this.#counted);

  /** @param tookS from the start call to the recorder in its channel */
  recordingStarted(mode: string, tookS: number): void {
    this.#starts.observe({ mode }, tookS);
  }

  recordingEnded(mode: string, healthy: boolean): void {
    this.#ended.inc({ mode, outcome: healthy ? 'ok' : 'failed' });
  }

  runLost(mode: string): void {
    this.#runsLost.inc({ mode });
  }

  degraded(mode: string, kind: 'rung' | 'damage', count: number): void {
    this.#degradations.inc({ mode, kind }, count);
  }

  /** The connection to the home of a channel that is recorded here broke. */
  feedBroken(): void {
    this.#feedBreaks.inc();
  }

  /** Another node makes a recording of a channel here, which is full. */
  placedElsewhere(): void {
    this.#placed.inc();
  }

  /** A recording of a lost node goes on here with what its standby made. */
  standbyTookOver(mode: string): void {
    this.#takeovers.inc({ mode });
  }

  /** A thumbnail was drawn, or was not. */
  thumbnailAsked(outcome: 'drawn' | 'undecodable' | 'refused'): void {
    this.#thumbnails.inc({ outcome });
  }

  leaseRenewed(tookS: number): void {
    this.#renewals.observe(tookS);
  }

  leaseRenewalFailed(): void {
    this.#renewalFailures.inc();
  }

  /** The text for whoever may see everything. */
  async ofServer(apps: AppsSnapshot, server: ServerSnapshot): Promise<string> {
    return `${await textOf([...samplesOfApps(apps), ...samplesOfServer(server)])}${await this.#counted.metrics()}`;
  }

  /** The text for a customer who may see these recordings alone. */
  ofApps(apps: AppsSnapshot): Promise<string> {
    return textOf(samplesOfApps(apps));
  }
}

function samplesOfApps({ recordings, recorders, feeds }: AppsSnapshot): Sample[] {
  const samples: Sample[] = [];
  const counts = new Map<string, number>();
  for (const { mode, state } of recordings) counts.set(`${mode} ${state}`, (counts.get(`${mode} ${state}`) ?? 0) + 1);
  for (const [key, count] of counts) samples.push(['recordings', count, ...key.split(' ')]);
  for (const { sid, mode, depth, lagUs, cpuUs, memoryBytes } of recorders) {
    if (depth !== undefined) samples.push(['recorderRung', depth, sid, mode]);
    samples.push(['recorderLag', lagUs / 1e6, sid, mode], ['recorderCpu', cpuUs / 1e6, sid, mode]);
    samples.push(['recorderMemory', memoryBytes, sid, mode]);
  }
  for (const { sid, mode, backlogAgeUs } of feeds) samples.push(['feedBacklog', backlogAgeUs / 1e6, sid, mode]);
  return samples;
}

function samplesOfServer({
  channel,
  feedsBetweenNodes,
  standbys,
  reception,
  spool,
  load,
  stored,
  process,
}: ServerSnapshot): Sample[] {
  return [
    ['publishers', channel.publishers],
    ['channels', channel.channels],
    ['packetsReceived', reception.received],
    ['packetsLost', reception.lost],
    ['packetsRecovered', reception.recovered],
    ['feedKept', channel.keptBytes],
    ['feedDropped', channel.droppedPackets],
    ...(feedsBetweenNodes
      ? ([
          ['feedsBetweenNodes', feedsBetweenNodes.given, 'home'],
          ['feedsBetweenNodes', feedsBetweenNodes.taken, 'recorder'],
        ] satisfies Sample[])
      : []),
    ...(standbys
      ? ([
          ['standbyRecorders', standbys.recorders],
          ['standbyLag', standbys.lagSlices],
          ['standbyBytes', standbys.bytes],
        ] satisfies Sample[])
      : []),
    ['spoolBytes', spool.bytes],
    ['spoolFree', spool.freeBytes],
    ['spoolSize', spool.sizeBytes],
    ['load', load],
    ['databaseUp', stored ? 1 : 0],
    ...(stored ? samplesOfStored(stored) : []),
    ['build', 1, process.version, process.node],
    ['cpu', process.cpuS],
    ['memory', process.residentBytes],
    ['heap', process.heapBytes],
    ['started', process.startedS],
    ['loopP99', process.loopP99S],
    ['loopMax', process.loopMaxS],
  ];
}

function samplesOfStored({ uploads, webhooks, standbys, mixes }: StoredSnapshot): Sample[] {
  return [
    ...(standbys
      ? ([
          ['standbyRecordings', standbys.protected, 'protected'],
          ['standbyRecordings', standbys.exposed, 'exposed'],
        ] satisfies Sample[])
      : []),
    ...uploads.flatMap(({ place, files, bytes, oldestS }): Sample[] => [
      ['uploadFiles', files, place],
      ['uploadBytes', bytes, place],
      ['uploadAge', oldestS, place],
    ]),
    ['webhooks', webhooks.pending],
    ['webhookAge', webhooks.oldestS],
    ['mixes', mixes.queued, 'queued'],
    ['mixes', mixes.running, 'running'],
  ];
}

async function textOf(samples: readonly Sample[]): Promise<string> {
  const registry = new Registry();
  for (const [key, value, ...labels] of samples) {
    const { name, kind, labels: labelNames }: MetricAbout = CATALOG[key];
    const named = Object.fromEntries(labelNames.map((label, n) => [label, labels[n] ?? '']));
    const known = registry.getSingleMetric(name);
    if (kind === 'counter') ((known as Counter | undefined) ?? counter(key, registry)).inc(named, value);
    else ((known as Gauge | undefined) ?? new Gauge(optionsOf(key, registry))).set(named, value);
  }
  return registry.metrics();
}

function counter(key: MetricKey, registry: Registry): Counter {
  return new Counter(optionsOf(key, registry));
}

function histogram(key: MetricKey, registry: Registry): Histogram {
  const { buckets = [] }: MetricAbout = CATALOG[key];
  return new Histogram({ ...optionsOf(key, registry), buckets: [...buckets] });
}

function optionsOf(key: MetricKey, registry: Registry) {
  const { name, help, labels }: MetricAbout = CATALOG[key];
  return { name, help, labelNames: [...labels], registers: [registry] };
}
