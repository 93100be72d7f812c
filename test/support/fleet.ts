/** A fleet on this machine: two nodes with one Postgres, one key and one folder of stores, and a recording on it. */
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { nodesReplySchema } from '../../src/contract/rest/nodes.ts';
import { readSliceName } from '../../src/stages/mux/names.ts';
import { verify } from '../media/verify.ts';
import { parsePlaylist } from './judge/playlist.ts';
import { RED } from './media/participants.ts';
import type { PostgresServer } from './postgres.ts';
import { type Publisher, publishWithRtc } from './publish/publisher.ts';
import { TcpProxy } from './tcp-proxy.ts';
import { localStorage, type Reply, type TestRecording, TestServer, until } from './test-server.ts';

const CANVAS = { width: 320, height: 180, fps: 15 };
const PICTURE = { ...CANVAS, bitrateKbps: 150 };
const CNAME = 'room';
const UID = '900';
const BUCKET = 'b';
/** A recording that has so many bytes of media on a disk is live there. */
const LIVE_BYTES = 10_000;
/** Of so many an MP4 is long enough to be judged. */
export const JUDGED_BYTES = 12 * LIVE_BYTES;

/** A part of a recording, Unix milliseconds, and its slices where they are known. */
type Span = { fromMs: number; untilMs: number; slices?: { name: string; fromMs: number; untilMs: number }[] };

/** Whether all of a slice was recorded by a later run as well: then no playlist names it. */
function isCovered(name: string, spans: readonly Span[]): boolean {
  const n = spans.findIndex(({ slices }) => slices?.some((slice) => slice.name === name));
  const own = spans[n]?.slices?.find((slice) => slice.name === name);
  if (!own) return false;
  return spans.slice(n + 1).some(({ fromMs, untilMs }) => fromMs <= own.fromMs + 500 && untilMs >= own.untilMs - 500);
}

export class FleetScene {
  readonly #dir = mkdtempSync(join(tmpdir(), 'aircheck-fleet-'));
  readonly #postgres: PostgresServer;
  /** Between the first node and the database. */
  readonly #cable: TcpProxy;
  readonly first: TestServer;
  readonly second: TestServer;
  #publisher: Publisher | undefined;
  /** What the nodes say. */
  readonly #said: string[] = [];
  /** When the publisher left the first node, Unix milliseconds. */
  #leftMs = Number.POSITIVE_INFINITY;
  recording!: TestRecording;

  /** Two nodes, of which the first records a publisher of its own, with more than a second on its disk. */
  static async open(postgres: PostgresServer): Promise<FleetScene> {
    const scene = new FleetScene(postgres, await TcpProxy.open(Number(new URL(postgres.url).port)));
    try {
      await scene.first.start();
      // The only node there is: the channel is at home on it.
      await scene.publish(scene.first);
      await scene.#record();
      await scene.second.start();
      await scene.live(scene.first, JUDGED_BYTES);
    } catch (error) {
      await scene.close();
      throw error;
    }
    return scene;
  }

  private constructor(postgres: PostgresServer, cable: TcpProxy) {
    this.#postgres = postgres;
    this.#cable = cable;
    const url = new URL(postgres.url);
    url.port = String(cable.port);
    const env = {
      AIRCHECK_DATABASE_URL: url.href,
      AIRCHECK_FLEET_KEY: randomBytes(32).toString('hex'),
      AIRCHECK_NODE_PORT: '0',
      AIRCHECK_LOCAL_STORAGE_DIR: join(this.#dir, 'stores'),
    };
    this.first = new TestServer(join(this.#dir, 'first'), env, (line) => void this.#said.push(line));
    this.second = this.first.another(join(this.#dir, 'second'), { AIRCHECK_DATABASE_URL: postgres.url });
  }

  /** Cuts the first node off from the database. */
  cut(): void {
    this.#cable.cut();
  }
  mend(): void {
    this.#cable.mend();
  }

  /**
   * Resolves once the other node has the recording. Publishers that come to it before may be sent to the first.
   * @param epoch how many nodes have had it by then
   */
  async takenOver(epoch = 2): Promise<void> {
    const taken = () => this.#rows(`select 1 from tasks where sid = '${this.recording.sid}' and epoch = ${epoch}`);
    await until('the other node has the recording', async () => (await taken()).length > 0, 30_000);
    const home = () =>
      this.#rows(
        `select 1 from homes h join tasks t using (appid, cname, owner) where t.sid = '${this.recording.sid}'`,
      );
    await until('the channel is at home there', async () => (await home()).length > 0, 30_000);
  }

  /** The publisher leaves where it is without a word, and comes to this node. */
  async publish(node: TestServer): Promise<void> {
    this.#publisher?.kill();
    if (node !== this.first) this.#leftMs = Date.now();
    this.#publisher = await this.#newPublisher(node);
  }

  #newPublisher(node: TestServer, more: { waits?: boolean } = {}): Promise<Publisher> {
    return publishWithRtc({
      ...node.running.whip(CNAME, '1'),
      ...{ participant: RED, codec: 'vp8', ...PICTURE, motion: 'busy', ...more },
    });
  }

  /** A publisher that is ready to join at a node, however long the machine takes for that. */
  ready(node: TestServer): Promise<Publisher> {
    return this.#newPublisher(node, { waits: true });
  }

  /** The publisher comes to a node while it still sends to the other, as the publish page does when it is told. */
  async follow(node: TestServer, next: Publisher): Promise<void> {
    const former = this.#publisher;
    this.#publisher = next;
    await next.join();
    const arrived = async () => (await node.participants(CNAME)).some(({ tracks }) => tracks.every((t) => t.receiving));
    await until('the publisher is at its new node', arrived, 30_000);
    this.#leftMs = Date.now();
    await former?.stop();
  }

  /** The publisher does not know that it is to move: it is disconnected, and then comes to a node at once. */
  async comeAgain(next: Publisher): Promise<void> {
    const isSentAway = () => this.#said.some((line) => line.includes('"sent away"'));
    await until('the publisher is disconnected', isSentAway, 30_000);
    await next.join();
    this.#publisher?.kill();
    this.#publisher = next;
  }

  /** Resolves once a node has nothing of any recording any more. */
  async emptied(node: TestServer): Promise<void> {
    const carries = async () => {
      const { self, nodes } = nodesReplySchema.parse((await node.ask('GET', '/v1/aircheck/nodes')).body);
      return nodes.find(({ id }) => id === self)?.recordings;
    };
    await until('a draining node has nothing left', async () => (await carries()) === 0, 30_000);
  }

  /** What each run recorded, in order. */
  async spans(): Promise<Span[]> {
    const rows = await this.#rows(
      `select o.name, generation, (o.file->>'startUtcMs')::float8 as from_ms,
         (o.file->>'startUtcMs')::float8 + (o.file->>'durationUs')::float8 / 1000 as until_ms
       from objects o join runs r using (sid, generation)
       where o.sid = '${this.recording.sid}' and o.kind = 'slice' and r.kind = 'record' order by generation, from_ms`,
    );
    return [...Map.groupBy(rows, (row) => row['generation']).values()].map((all) => {
      const slices = all.map(({ name, from_ms, until_ms }) => ({
        ...{ name: String(name), fromMs: Number(from_ms), untilMs: Number(until_ms) },
      }));
      return { fromMs: slices[0]!.fromMs, untilMs: slices.at(-1)!.untilMs, slices };
    });
  }

  async #record(): Promise<void> {
    this.recording = await this.first.record(CNAME, UID, {
      storageConfig: localStorage(BUCKET),
      recordingConfig: {
        ...{ channelType: 1, maxIdleTime: 60 },
        transcodingConfig: { ...CANVAS, bitrate: 300, mixedVideoLayout: 1 },
      },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    });
  }

  /**
   * Resolves to the wall time at which the recording is live on a node, Unix milliseconds.
   * @param sinceMs slices that begin before are of an earlier stay there
   */
  async live(node: TestServer, bytes = LIVE_BYTES, sinceMs = 0): Promise<number> {
    await until('a node records', () => this.#spooledBytes(node, sinceMs) > bytes, 40_000);
    return Date.now();
  }

  #spooledBytes({ dataDir }: TestServer, sinceMs: number): number {
    const folder = join(dataDir, 'spool', this.recording.sid);
    if (!existsSync(folder)) return 0;
    const names = (readdirSync(folder, { recursive: true }) as string[]).filter((name) => {
      const slice = /\.ts(\.part)?$/.test(name) ? readSliceName(basename(name).replace(/\.part$/, '')) : undefined;
      return slice !== undefined && slice.startUtcMs >= sinceMs;
    });
    return names.reduce((sum, name) => sum + (statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0), 0);
  }

  get #task(): string {
    const { resourceId, sid } = this.recording;
    return `/cloud_recording/resourceid/${resourceId}/sid/${sid}/mode/mix`;
  }
  query(node: TestServer): Promise<Reply> {
    return node.call('GET', `${this.#task}/query`);
  }
  stop(node: TestServer): Promise<Reply> {
    return node.call('POST', `${this.#task}/stop`, { cname: CNAME, uid: UID, clientRequest: {} });
  }

  /** Resolves once a node that is back has stored what it had. */
  async broughtBack(): Promise<void> {
    const stored = () =>
      this.#rows(`select 1 from strays where sid = '${this.recording.sid}' and stored_ms is not null`);
    await until('the first node has stored what it had', async () => (await stored()).length > 0, 40_000);
  }
  /** Resolves once a recording that has ended has all of it in its place. */
  async mended(): Promise<void> {
    const left = () => this.#rows(`select 1 from strays where sid = '${this.recording.sid}' and storage is not null`);
    await until('nothing is left to mend', async () => (await left()).length === 0, 60_000);
  }
  #rows(sql: string): Promise<Record<string, unknown>[]> {
    return this.#postgres.rows(sql);
  }

  /**
   * What is wrong with the files of a recording that both nodes made, the first from its start call on and the second
   * from `liveMs` on, in words.
   */
  async problems(liveMs: number): Promise<string[]> {
    const { calledAtMs } = this.recording;
    // The first may record for longer than its publisher is there: such slices lie within those of the second.
    const made = await this.spans();
    return this.problemsOf([
      { ...made[0], fromMs: calledAtMs, untilMs: this.#leftMs },
      { ...made[1], fromMs: liveMs, untilMs: Number.POSITIVE_INFINITY },
    ]);
  }

  /** The same of one made in these spans: each has an MP4 in which the publisher is seen and heard throughout. */
  problemsOf(spans: readonly Span[]): string[] {
    const store = join(this.#dir, 'stores', BUCKET);
    const base = `${this.recording.sid}_${CNAME}`;
    const problems: string[] = [];
    const { slices } = parsePlaylist(readFileSync(join(store, `${base}.m3u8`), 'utf8'));
    const named = slices.map(({ name }) => name);
    const stored = readdirSync(store).sort();
    const all = stored.filter((name) => name.endsWith('.ts') && !isCovered(name, spans));
    if (named.join() !== all.join()) problems.push(`the playlist names ${named.join(', ')} of ${all.join(', ')}`);
    const breaks = slices.slice(1).filter(({ discontinuity }) => discontinuity).length;
    if (breaks !== spans.length - 1) problems.push(`the playlist has ${breaks} discontinuities`);
    const mp4s = stored.filter((name) => name.endsWith('.mp4'));
    const parts = spans.map((span, n) => ({ name: `${base}_${n}.mp4`, ...span }));
    if (mp4s.join() !== parts.map(({ name }) => name).join()) return [...problems, `its MP4s are ${mp4s.join(', ')}`];
    const roles = [{ uid: '1', participant: RED, codec: 'vp8' as const, picture: PICTURE }];
    for (const { name, fromMs, untilMs } of parts) {
      const plan = { seconds: 60, seed: 1, roles, canvas: CANVAS };
      const gone = { fromS: (untilMs - fromMs) / 1000, toS: Number.POSITIVE_INFINITY };
      const outages = Number.isFinite(untilMs) && gone.fromS > 0 ? [gone] : [];
      const course = { plan, zeroWallS: fromMs / 1000, steps: [], outages };
      const { flashes, beeps, damaged } = verify(join(store, name), course);
      for (const [kind, { required, missing }] of Object.entries({ flashes, beeps })) {
        if (required < 2) problems.push(`${name} is too short to be judged`);
        if (missing.length > 0) problems.push(`${name}: ${kind} are missing at ${missing.join(', ')} of ${required}`);
      }
      if (damaged > 0) problems.push(`${name}: ${damaged} pictures or blocks of sound are damaged`);
    }
    return problems;
  }

  async close(): Promise<void> {
    this.#publisher?.kill();
    this.#cable.mend();
    await this.first.end();
    await this.second.end();
    this.#cable.close();
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
