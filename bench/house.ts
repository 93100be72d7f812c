/**
 * House: a server with crowds in its channels, each channel's from one process, and recordings of any mode in it.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { PARTICIPANTS } from '../test/support/media/participants.ts';
import { recordersOf } from '../test/support/processes.ts';
import {
  type Publisher,
  publishCrowd,
  publishWithRtc,
  type RtcPublishOptions,
} from '../test/support/publish/publisher.ts';
import { localStorage, type TestRecording, TestServer, until } from '../test/support/test-server.ts';
import { cpuSecondsOf } from './proc.ts';

/** What each user sends; H.264 where no codec is named. */
export type Media = { width: number; height: number; fps: number; bitrateKbps: number; codec?: 'h264' | 'vp8' };

export class House {
  readonly dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  readonly server: TestServer;
  readonly #publishers: Publisher[] = [];
  #recordings = 0;

  /** @param env settings of the server besides @param checkout another checkout of this repository to run it from */
  constructor(env: Record<string, string> = {}, checkout?: string) {
    this.server = new TestServer(join(this.dir, 'data'), { AIRCHECK_LOG_LEVEL: 'warn', ...env }, undefined, checkout);
  }

  get pid(): number {
    return this.server.running.pid;
  }

  /** Pids of the processes that publish. */
  get publisherPids(): number[] {
    return this.#publishers.map(({ pid }) => pid);
  }

  /**
   * Users of these channels publish from one process; resolves when all of it arrives.
   * @param after users that are there already; who comes is numbered from there on
   */
  async publish(channels: readonly string[], users: number, media: Media, after = 0): Promise<void> {
    const crowd = channels.flatMap((cname) =>
      Array.from({ length: users }, (_, i): RtcPublishOptions => {
        const participant = PARTICIPANTS[i % PARTICIPANTS.length]!;
        const whip = this.server.running.whip(cname, String(after + i + 1));
        return { ...whip, participant, codec: 'h264', ...media, mono: true, motion: 'busy', loop: true };
      }),
    );
    this.#publishers.push(await publishCrowd(crowd));
    for (const cname of channels) await this.#untilReceiving(cname, after + users);
  }

  /** One more user publishes, from a process of its own; resolves when all of it arrives. */
  async join(cname: string, uid: string, sent: Omit<RtcPublishOptions, 'url' | 'token'>): Promise<Publisher> {
    const publisher = await publishWithRtc({ ...this.server.running.whip(cname, uid), ...sent });
    this.#publishers.push(publisher);
    await this.#untilReceiving(cname, (await this.server.participants(cname)).length);
    return publisher;
  }

  /** Records every user alone. @param group `subscribeUidGroup`, how many users may come */
  recordEach(cname: string, recordingConfig: object, group: number, more: object = {}): Promise<TestRecording> {
    const config = { channelType: 1, subscribeUidGroup: group, ...recordingConfig };
    return this.record(cname, 'individual', { recordingConfig: config, ...more });
  }

  record(cname: string, mode: 'mix' | 'individual' | 'web', request: object): Promise<TestRecording> {
    // A channel can have several recordings, each by a recorder with a uid of its own.
    const uid = String(9000 + this.#recordings++);
    return this.server.record(cname, uid, { storageConfig: localStorage(cname), ...request }, mode);
  }

  /**
   * Of each recorder at work, by its recording: how many rungs are taken from its picture, and how late it is, seconds;
   * as it told of itself last.
   */
  async lateness(): Promise<Map<string, { depth: number; lagS: number }>> {
    const { url, customerId, customerSecret } = this.server.running;
    const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
    const text = await (await fetch(`${url}/metrics`, { headers: { authorization } })).text();
    const valuesOf = (name: string) =>
      [...text.matchAll(new RegExp(`^${name}{sid="(\\w+)".*} (\\S+)$`, 'gm'))].map(
        ([, sid = '', value]): [string, number] => [sid, Number(value)],
      );
    const lags = new Map(valuesOf('aircheck_recorder_lag_seconds'));
    const depths = valuesOf('aircheck_recorder_rung');
    return new Map(depths.map(([sid, depth]) => [sid, { depth, lagS: lags.get(sid) ?? Number.NaN }]));
  }

  /** All publishers end. */
  async leave(): Promise<void> {
    await Promise.all(this.#publishers.splice(0).map((publisher) => publisher.stop()));
  }

  async close(): Promise<void> {
    await this.leave();
    await this.server.end();
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  #untilReceiving(cname: string, users: number): Promise<boolean> {
    const isSending = async () => {
      const people = await this.server.participants(cname);
      return people.length === users && people.every(({ tracks }) => tracks.every(({ receiving }) => receiving));
    };
    return until(`everyone in ${cname} sends`, isSending, 60_000);
  }
}

/** Stops a recording. Throws an Error when not everything was stored. */
export async function stopped(recording: TestRecording): Promise<void> {
  const { status, body } = await recording.stop();
  // Of a web page it stands deeper in the answer.
  if (status !== 200 || !JSON.stringify(body).includes('"uploadingStatus":"uploaded"'))
    throw new Error(`stop answered ${status}: ${JSON.stringify(body)}`);
}

/** CPU seconds per second that processes use over `ms`. */
export async function coresOf(pids: readonly number[], ms: number): Promise<number> {
  const total = () => pids.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0);
  const before = total();
  const began = performance.now();
  await pause(ms);
  return ((total() - before) * 1000) / (performance.now() - began);
}

/** The recorder that records: others may wait, ready for the next recording. */
export function recorderAtWork(server: number): number {
  return recordersAtWork(server, 1)[0]!;
}

/** The recorders that record, of so many recordings. */
export function recordersAtWork(server: number, recordings: number): number[] {
  const busiest = recordersOf(server).toSorted((a, b) => cpuSecondsOf(b) - cpuSecondsOf(a));
  if (busiest.length < recordings) throw new Error(`the server has ${busiest.length} of ${recordings} recorders`);
  return busiest.slice(0, recordings);
}
