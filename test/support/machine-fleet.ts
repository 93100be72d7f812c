/**
 * MachineFleet: nodes of a fleet, their Postgres and their publishers, each on a machine of its own, and recordings on
 * it whose publishers come back by themselves. What came of a recording is judged by its files.
 */
import { randomBytes } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { leftOutIn } from './judge/left-out.ts';
import { parsePlaylist } from './judge/playlist.ts';
import { type Marks, marksIn } from './judge/stretches.ts';
import { lastWritten } from './judge/user-streams.ts';
import { type Machine, Machines } from './machines.ts';
import { PARTICIPANTS, type Participant } from './media/participants.ts';
import { OwnerWatch } from './owner-watch.ts';
import { PostgresServer } from './postgres.ts';
import { type Publisher, publishWithRtc } from './publish/publisher.ts';
import { localStorage, type Reply, type TestRecording, TestServer, until } from './test-server.ts';
import { WebhookReceiver } from './webhook-receiver.ts';

const PICTURE = { width: 320, height: 180, fps: 15, bitrateKbps: 150 };
const CANVAS = { width: 320, height: 180, fps: 15 };
const UID = '1';
const RECORDER_UID = 900;
/** From when media flows to the start call: sender reports have come by then. */
const WARM_UP_MS = 1_000;
/** Longer than anybody is away. */
const MAX_IDLE_S = 100;
/** How long a publisher hears nothing before it takes its connection for lost, and some. */
const SILENT_MS = 2_000;
/** A recording shows who came back from the next key frame on. */
const SETTLED_MS = 1_500;
/** A second this close to the start or the stop may be recorded or not. */
const EDGE_S = 1.5;

export type FleetNode = { name: string; machine: Machine; server: TestServer };
export type NodeOptions = {
  /** Settings of its own, and other variables. */
  env?: Record<string, string>;
  /** Another checkout of this repository that it is run from. */
  checkout?: string;
};

/** A time in which marks may be missing, Unix milliseconds. */
export type Gap = { fromMs: number; toMs: number };

export type FleetTake = {
  cname: string;
  /** The recorder's. */
  uid: string;
  bucket: string;
  mode: 'mix' | 'individual';
  participant: Participant;
  publisher: Publisher;
  recording: TestRecording;
  /** Of its stop call. */
  stoppedMs: number;
};

export class MachineFleet {
  readonly #dir = mkdtempSync(join(tmpdir(), 'aircheck-hosts-'));
  readonly machines: Machines;
  readonly #receiver = new WebhookReceiver();
  nodes: FleetNode[] = [];
  database!: Machine;
  postgres!: PostgresServer;
  /** Where all publishers are. */
  people!: Machine;
  #owners: OwnerWatch | undefined;
  /** What all nodes said. */
  readonly #log: string[] = [];
  readonly takes: FleetTake[] = [];

  /** Starts a database, and one node after another that these options name. */
  static async open(nodes: readonly NodeOptions[] = [{}, {}, {}]): Promise<MachineFleet> {
    const fleet = new MachineFleet(await Machines.open());
    try {
      await fleet.#open(nodes);
    } catch (error) {
      await fleet.close();
      throw error;
    }
    return fleet;
  }

  private constructor(machines: Machines) {
    this.machines = machines;
  }

  async #open(nodes: readonly NodeOptions[]): Promise<void> {
    this.database = await this.machines.add('database');
    this.people = await this.machines.add('people');
    await this.#receiver.start(0, this.machines.address);
    this.postgres = await PostgresServer.start({ machine: this.database });
    const shared = {
      AIRCHECK_DATABASE_URL: this.postgres.url,
      AIRCHECK_FLEET_KEY: randomBytes(32).toString('hex'),
      AIRCHECK_LOCAL_STORAGE_DIR: join(this.#dir, 'stores'),
      AIRCHECK_NOTIFY_URL: this.#receiver.url,
      AIRCHECK_NOTIFY_SECRET: this.#receiver.secret,
      // The machine that all machines are on is small.
      AIRCHECK_ADMISSION_CPU_PERCENT: '0',
    };
    const pattern = new TestServer(join(this.#dir, 'none'), shared, (line) => void this.#log.push(line));
    for (const [n, { env = {}, checkout }] of nodes.entries()) {
      const name = String.fromCharCode(97 + n);
      const machine = await this.machines.add(name);
      const where = { machine, ...(checkout !== undefined && { checkout }) };
      this.nodes.push({ name, machine, server: pattern.another(join(this.#dir, name), env, where) });
    }
    const [first, ...others] = this.nodes;
    await first?.server.start();
    // Together they would make the tables of the database at once.
    await Promise.all(others.map(({ server }) => server.start()));
    this.#owners = await OwnerWatch.begin(this.postgres);
  }

  /**
   * Somebody publishes into a channel of its own, and is recorded. All are begun at the first node.
   * @param beside records once more who is recorded already
   */
  async record(mode: FleetTake['mode'] = 'mix', beside?: FleetTake): Promise<FleetTake> {
    const n = this.takes.length;
    const { cname, participant } = beside ?? {
      cname: `room${n}`,
      participant: PARTICIPANTS[n % PARTICIPANTS.length]!,
    };
    const publisher = beside?.publisher ?? (await this.#publish(cname, participant));
    try {
      const [uid, bucket] = [String(RECORDER_UID + n), `take${n}`];
      const recording = await this.#first.record(cname, uid, this.#request(bucket, mode), mode);
      const take = { ...{ cname, uid, bucket, mode, participant, publisher, recording }, stoppedMs: Number.NaN };
      this.takes.push(take);
      return take;
    } catch (error) {
      publisher.kill();
      throw error;
    }
  }

  async #publish(cname: string, participant: Participant): Promise<Publisher> {
    const server = this.#first;
    const publisher = await publishWithRtc(
      {
        ...server.running.whip(cname, UID),
        ...{ participant, codec: 'h264', ...PICTURE, motion: 'busy', comesBack: true },
      },
      this.people,
    );
    try {
      const isReceiving = async () => (await server.participants(cname))[0]?.tracks.every((each) => each.receiving);
      await until(`somebody sends into ${cname}`, isReceiving, 10_000);
      await pause(WARM_UP_MS);
    } catch (error) {
      publisher.kill();
      throw error;
    }
    return publisher;
  }

  get #first(): TestServer {
    return this.nodes[0]!.server;
  }

  #request(bucket: string, mode: FleetTake['mode']): object {
    const common = { storageConfig: localStorage(bucket) };
    const recordingConfig = { channelType: 1, maxIdleTime: MAX_IDLE_S };
    if (mode === 'individual') return { ...common, recordingConfig: { ...recordingConfig, subscribeUidGroup: 1 } };
    return {
      ...common,
      recordingConfig: {
        ...recordingConfig,
        transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 },
      },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    };
  }

  /** The node that owns a recording. */
  async ownerOf({ recording }: FleetTake): Promise<FleetNode> {
    const [row] = await this.postgres.rows(
      `select node_url from tasks join owners using (owner) where sid = '${recording.sid}'`,
    );
    const found = this.nodes.find(
      ({ machine }) => row && new URL(String(row['node_url'])).hostname === machine.address,
    );
    if (!found) throw new Error(`${recording.sid} has no owner`);
    return found;
  }

  /** Resolves to the node that goes on with a recording, once another than this one does. */
  async takenFrom(node: FleetNode, take: FleetTake): Promise<FleetNode> {
    const other = async () => {
      const owner = await this.ownerOf(take);
      return owner !== node && owner;
    };
    return until(`another node has ${take.cname}`, other, 15_000);
  }

  /**
   * Resolves once a node that goes on with a recording has something of it on its disk, to the time that has passed
   * since a moment, milliseconds. It begins with the first picture and sound that come to it.
   * @param sinceMs Unix milliseconds
   */
  async live(node: FleetNode, take: FleetTake, sinceMs: number): Promise<number> {
    const folder = join(node.server.dataDir, 'spool', take.recording.sid);
    const isLive = () => slicesSince(folder, sinceMs).some((path) => Number.isFinite(lastWritten(path)));
    await until(`${node.name} records ${take.cname}`, isLive, 25_000);
    return Date.now() - sinceMs;
  }

  /** Asks about a recording at some node. */
  query({ mode, recording }: FleetTake, at: FleetNode): Promise<Reply> {
    return at.server.call('GET', `${pathOf(recording, mode)}/query`);
  }

  /** Stops all recordings, each at one of these nodes. Throws an Error when one is not stored in order. */
  async stop(at: readonly FleetNode[] = this.nodes): Promise<void> {
    const stopped = this.takes.map(async (take, n) => {
      const { server } = at[n % at.length]!;
      take.stoppedMs = Date.now();
      const body = { cname: take.cname, uid: take.uid, clientRequest: {} };
      const reply = await server.call('POST', `${pathOf(take.recording, take.mode)}/stop`, body);
      const status = (reply.body['serverResponse'] as { uploadingStatus?: string } | undefined)?.uploadingStatus;
      if (reply.status !== 200 || status !== 'uploaded')
        throw new Error(`stop of ${take.cname} answered ${reply.status}: ${JSON.stringify(reply.body)}`);
    });
    await Promise.all(stopped);
  }

  /** Resolves once nodes that were away have stored what they alone had, and it has its place. */
  async mended(): Promise<void> {
    const left = () => this.postgres.rows('select 1 from strays where storage is not null');
    await until('all that nodes had alone is in its place', async () => (await left()).length === 0, 60_000);
  }

  /** How many nodes have a lease that lives. */
  async liveNodes(): Promise<number> {
    return (await this.postgres.rows('select 1 from owners where lease_until > now()')).length;
  }

  /** What was measured, in words. */
  notes(): string[] {
    const publishers = new Set(this.takes.map(({ publisher }) => publisher));
    const lost = [...publishers].flatMap(({ comebacks }) => comebacks.filter(({ type }) => type === 'lost'));
    return [
      `no task without an owner for more than ${(this.#owners?.longestUnownedMs ?? 0).toFixed(0)} ms`,
      `publishers came back ${lost.length} times`,
    ];
  }

  /** What is wrong with all recordings, in words, and with who owned them. @param gaps as of `problemsOf` */
  async problems(gaps: readonly Gap[] = []): Promise<string[]> {
    const each = await Promise.all(this.takes.map((take) => this.problemsOf(take, gaps)));
    return [...each.flat(), ...((await this.#owners?.end()) ?? [])];
  }

  /**
   * What is wrong with the files and the events of a recording that has been stopped, in words.
   * @param gaps when something may be missing
   */
  async problemsOf(take: FleetTake, gaps: readonly Gap[]): Promise<string[]> {
    const problems = [...this.#fileProblems(take, gaps), ...(await this.#eventProblems(take))];
    return problems.map((problem) => `${take.bucket} (${take.mode} of ${take.cname}): ${problem}`);
  }

  marksOf({ cname, bucket, mode, participant, recording }: FleetTake): Marks {
    const dir = this.#storeOf(bucket);
    const base = `${recording.sid}_${cname}`;
    const of = (kind: string) => `${base}__uid_s_${UID}__uid_e_${kind}.m3u8`;
    const playlists =
      mode === 'mix' ? { video: `${base}.m3u8`, audio: `${base}.m3u8` } : { video: of('video'), audio: of('audio') };
    return marksIn(playlists, { dir, participant, source: PICTURE, aboutS: recording.calledAtMs / 1000 });
  }

  #fileProblems(take: FleetTake, gaps: readonly Gap[]): string[] {
    const marks = this.marksOf(take);
    const { problems } = marks;
    const dir = this.#storeOf(take.bucket);
    const names = readdirSync(dir);
    const named = names
      .filter((name) => name.endsWith('.m3u8'))
      .flatMap((name) => parsePlaylist(readFileSync(join(dir, name), 'utf8')).slices.map((slice) => slice.name));
    const slices = names.filter((name) => name.endsWith('.ts'));
    problems.push(...leftOutIn(dir));
    const absent = named.filter((name) => !slices.includes(name));
    if (absent.length > 0) problems.push(`named and stored nowhere: ${absent.join(', ')}`);
    if (new Set(named).size !== named.length) problems.push('a slice is named twice');
    const firstS = Math.ceil(take.recording.calledAtMs / 1000 + EDGE_S);
    const lastS = Math.floor(take.stoppedMs / 1000 - EDGE_S);
    const seconds = Array.from({ length: Math.max(0, lastS - firstS + 1) }, (_, i) => firstS + i);
    const isInGap = (second: number) =>
      [...gaps, ...comebacksOf(take)].some(({ fromMs, toMs }) => second * 1000 >= fromMs && second * 1000 <= toMs);
    const required = seconds.filter((second) => !isInGap(second));
    if (required.length < 5) problems.push(`${required.length} s are too few to be judged`);
    for (const kind of ['flashes', 'beeps'] as const) {
      const missing = required.filter((second) => !marks[kind].has(second));
      if (missing.length > 0)
        problems.push(
          `${missing.length} of ${required.length} ${kind} are missing, at ${missing.map((second) => second - Math.floor(take.recording.calledAtMs / 1000)).join(', ')} s`,
        );
    }
    return problems;
  }

  /** Numbered without a gap, one end, and delivered in their order, signed. */
  async #eventProblems({ recording: { sid } }: FleetTake): Promise<string[]> {
    const { server } = this.nodes.find((node) => node.server.isRunning)!;
    const hasEnded = async () => (await server.events(sid)).some(({ eventType }) => eventType === 11);
    await until('the last event', hasEnded, 20_000).catch(() => {});
    const events = await server.events(sid);
    const arrived = () => [...new Map(this.#receiver.taken(sid).map((each) => [each.notice.noticeId, each])).values()];
    await until('all webhooks', () => arrived().length >= events.length, 20_000).catch(() => {});
    const problems: string[] = [];
    const numbersOf = (notices: readonly Notice[]) => notices.map(({ payload }) => payload.sequence);
    for (const [what, numbers] of [
      ['events are numbered', numbersOf(events)],
      ['webhooks are numbered', numbersOf(arrived().map(({ notice }) => notice))],
    ] as const)
      if (numbers.length !== events.length || numbers.some((number, i) => number !== i))
        problems.push(`${what} ${numbers.join(' ')}`);
    if (arrived().some(({ signed }) => !signed)) problems.push('a webhook is not signed as it should be');
    const ends = events.filter(({ eventType }) => eventType === 11).length;
    if (ends !== 1) problems.push(`event 11 came ${ends} times`);
    return problems;
  }

  #storeOf(bucket: string): string {
    return join(this.#dir, 'stores', bucket);
  }

  /** Copies what is stored, what the nodes said, and what the database has of all files and runs into a folder. */
  async keep(dir: string): Promise<void> {
    cpSync(join(this.#dir, 'stores'), join(dir, 'stores'), { recursive: true });
    writeFileSync(join(dir, 'nodes.log'), this.#log.join('\n'));
    const of = async (table: string) => this.postgres.rows(`select * from ${table} order by sid`);
    const rows = { objects: await of('objects'), runs: await of('runs'), strays: await of('strays') };
    writeFileSync(join(dir, 'rows.json'), JSON.stringify(rows, null, 1));
    const comebacks = this.takes.map(({ bucket, publisher }) => ({ bucket, comebacks: publisher.comebacks }));
    writeFileSync(join(dir, 'publishers.json'), JSON.stringify(comebacks, null, 1));
  }

  async close(): Promise<void> {
    for (const { publisher } of this.takes) publisher.kill();
    await this.#owners?.end().catch(() => {});
    for (const { machine } of this.nodes) machine.thaw();
    await Promise.all(this.nodes.map(({ server }) => server.end()));
    await this.postgres?.close();
    await this.#receiver.close().catch(() => {});
    await this.machines.close();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}

function pathOf({ resourceId, sid }: TestRecording, mode: FleetTake['mode']): string {
  return `/cloud_recording/resourceid/${resourceId}/sid/${sid}/mode/${mode}`;
}

/** When the publisher itself took its connection for lost, and until the one after that carried media. */
function comebacksOf({ publisher }: FleetTake): Gap[] {
  return publisher.comebacks.flatMap(({ type, atMs }, i, all) => {
    if (type !== 'lost') return [];
    const backMs = all[i + 1]?.atMs ?? Number.POSITIVE_INFINITY;
    return [{ fromMs: atMs - SILENT_MS, toMs: backMs + SETTLED_MS }];
  });
}

/** The slices of a recording on a spool, finished or not, that were begun since a moment. */
function slicesSince(folder: string, sinceMs: number): string[] {
  if (!existsSync(folder)) return [];
  const names = readdirSync(folder, { recursive: true }) as string[];
  return names
    .filter((name) => /\.ts(\.part)?$/.test(name))
    .map((name) => join(folder, name))
    .filter((path) => (statSync(path, { throwIfNoEntry: false })?.birthtimeMs ?? 0) > sinceMs);
}
